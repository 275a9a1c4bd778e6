package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/control"
)

func TestServiceFiles(t *testing.T) {
	dir := t.TempDir()
	builtIn, operators := filepath.Join(dir, "os"), filepath.Join(dir, "mine")
	put := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(builtIn, "ntp.yml"), "services:\n  ntp:\n    image: ros/ntp\n    network_mode: host\n    restart: always\n    depends_on:\n      network: {condition: service_started}\n    x-ros: {scope: system}\n")
	put(filepath.Join(builtIn, "network.yml"), "services:\n  network:\n    image: ros/network\n    network_mode: host\n    restart: always\n    x-ros: {scope: system}\n")
	put(filepath.Join(operators, "bad.yml"), "services:\n  bad:\n    image: ros/bad\n    imagee: x\n    pirvileged: true\n    x-ros: {scope: system}\n")
	put(filepath.Join(operators, "junk.yml"), "services: [\n")

	f := newServiceFiles(builtIn, operators, slog.New(slog.DiscardHandler))
	f.read(false)
	short := func(p control.Plan) control.Plan { // without the folder of the test
		for i := range p.Steps {
			p.Steps[i].File = strings.TrimPrefix(p.Steps[i].File, dir)
		}
		for i, fault := range p.Faults {
			text, _, _ := strings.Cut(strings.ReplaceAll(fault.Error, dir, ""), ": ")
			p.Faults[i].Error = text // what the fault says is compose's business
		}
		return p
	}
	want := control.Plan{
		Steps: []control.PlanStep{
			{Service: "network", File: "/os/network.yml"},
			{Service: "ntp", File: "/os/ntp.yml", WaitsFor: []string{"network to be started"}},
		},
		Faults: []control.PlanFault{
			{Service: "bad", Error: "/mine/bad.yml:4"},
			{Service: "bad", Error: "/mine/bad.yml:5"},
			{Error: "/mine/junk.yml:1"},
		},
	}
	if diff := cmp.Diff(want, short(f.plan())); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	definitions := f.definitions()
	var names []string
	for _, d := range definitions {
		names = append(names, d.Service.Name)
	}
	if diff := cmp.Diff([]string{"network", "ntp", "bad", "junk.yml"}, names); diff != "" {
		t.Fatalf("definitions (-want +got):\n%s", diff)
	}
	if fault := definitions[2].Fault; !strings.Contains(fault, "bad.yml:4: ") || !strings.Contains(fault, "; "+operators+"/bad.yml:5: ") {
		t.Errorf("fault of bad is %q, want both lines of it", fault)
	}
}

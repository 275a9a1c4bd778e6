package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/bootlog"
)

var update = flag.Bool("update", false, "write the golden files and docs/cli.md anew")

// golden compares with a file of testdata, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what ros prints now; go test ./cmd/ros -update writes it (-want +got):\n%s", path, diff)
	}
}

const phasesTable = `STEP           WHERE    START  TOOK
mounts         initrd   0.412  0.013
modules        initrd   0.425  0.486  <- slowest phase
os-image       initrd   0.911  0.391
state-disk     initrd   1.302  0.058
    failed: no disk with label RANCHER_STATE
containerd     init     1.460  0.252
rosd           init     1.712  0.268
`

func TestBoot(t *testing.T) {
	check(t, newApp(t, machine()), "ros boot", result{out: phasesTable + `udev-coldplug  service  2.050  0.250
network        service  2.310  1.210  <- slowest service
syslog         service  2.320  0.120
ntp            service  3.530  -      unhealthy
docker         service  -      -      waiting
    waits for ntp to be healthy, network to be healthy
cron           service  -      -      backoff
web            service  -      -      failed

Boot: network was ready after 3.52 s, 4 services are not ready yet
`})
}

func TestBootJSON(t *testing.T) {
	rosd := machine()
	rosd.boot.Record.Phases = rosd.boot.Record.Phases[3:4]
	rosd.boot.Services = nil
	check(t, newApp(t, rosd), "ros boot --json", result{out: `{
  "record": {
    "version": "v0.1.0",
    "slot": "iso",
    "state": "RAM",
    "phases": [
      {
        "name": "state-disk",
        "stage": 1,
        "required": false,
        "start": 1.302,
        "end": 1.36,
        "error": "no disk with label RANCHER_STATE"
      }
    ]
  },
  "services": null
}
`})
}

func TestBootWithoutRosd(t *testing.T) {
	a := newApp(t, nil)
	down := `ros: cannot show the services of the boot: rosd does not run (nothing listens at DIR/rosd.sock)
try: ros service logs rosd
`
	check(t, a, "ros boot", result{code: 3, err: down})
	if err := bootlog.Write(a.bootRecord, machine().boot.Record); err != nil {
		t.Fatal(err)
	}
	phases := `STEP        WHERE   START  TOOK
mounts      initrd  0.412  0.013
modules     initrd  0.425  0.486  <- slowest phase
os-image    initrd  0.911  0.391
state-disk  initrd  1.302  0.058
    failed: no disk with label RANCHER_STATE
containerd  init    1.460  0.252
rosd        init    1.712  0.268
`
	check(t, a, "ros boot", result{out: phases, code: 3, err: down})
}

func TestBootChart(t *testing.T) {
	a := newApp(t, machine())
	got := a.try("ros boot --svg -")
	if got.code != 0 || got.err != "" {
		t.Fatalf("ros boot --svg - ends with %d, %q", got.code, got.err)
	}
	golden(t, "testdata/boot.svg", got.out)

	file := filepath.Join(filepath.Dir(a.socket), "b.svg")
	check(t, a, "ros boot --svg "+file, result{out: "drawn into DIR/b.svg\n"})
	drawn, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(drawn) != got.out {
		t.Errorf("the file is not what goes to standard output")
	}
	check(t, a, "ros boot --svg "+file+"/x", result{code: 1, err: "ros: cannot draw the boot: open DIR/b.svg/x: not a directory\n"})
}

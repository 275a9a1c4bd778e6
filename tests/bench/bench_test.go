package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindings(t *testing.T) {
	one := boot{Memory: map[string]memory{}, Timed: map[string][]float64{}}
	for _, line := range []string{
		"@bench begin uptime=3.10 .",
		"@bench memory idle MemTotal=2000 MemAvailable=1500 AnonPages=70 Slab=30 .",
		"@bench pss idle kib=300 processes=12 own=20 .",
		"@bench process idle name=dockerd kib=80 count=1 .",
		"@bench process idle name=containerd-shim kib=40 count=9 .",
		"@bench timed label=hot from=10.00 to=12.50 .",
		"@bench timed label=hot from=13.00 to=14.00 .",
		"@bench failed what=cold .",
	} {
		found := finding.FindStringSubmatch(line)
		if found == nil {
			t.Fatalf("%q is not a finding", line)
		}
		one.add(found[1], strings.Fields(found[2]))
	}
	want := boot{
		Memory: map[string]memory{"idle": {
			Total: 2000, Available: 1500, Anonymous: 70, Slab: 30, PSS: 300, Processes: 12, Own: 20,
			ByName: map[string]int64{"dockerd": 80, "containerd-shim": 40},
		}},
		Timed:  map[string][]float64{"hot": {2.5, 1}},
		Failed: []string{"cold"},
	}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Error(diff)
	}
	if finding.MatchString("@bench docker uptime=1") {
		t.Error("a line that is not complete counts as a finding")
	}
}

func TestLine(t *testing.T) {
	for _, tt := range []struct {
		name       string
		budget     float64
		ours, peer []float64
		want       string
	}{
		{"met", 0.7, []float64{3, 1, 2}, []float64{4}, "| met | 2.00 (1.00–3.00) | 4.00 | 0.50 | ≤ 0.7 | met |\n"},
		{"missed", 0.5, []float64{6}, []float64{10}, "| missed | 6.00 | 10.0 | 0.60 | ≤ 0.5 | **missed by 20 %** |\n"},
		{"no budget", 0, []float64{1, 2}, []float64{100, 200}, "| no budget | 1.50 (1.00–2.00) | 150 (100–200) | 0.01 |  |  |\n"},
		{"one side", 0.7, []float64{1}, nil, "| one side | 1.00 | – |  | ≤ 0.7 |  |\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			line(&b, tt.name, tt.budget, tt.ours, tt.peer)
			if b.String() != tt.want {
				t.Errorf("line = %q, want %q", b.String(), tt.want)
			}
		})
	}
}

func TestWriteBetween(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page.md")
	const before, after = "# Page\n<begin>\n", "<end>\nmore\n"
	if err := os.WriteFile(name, []byte(before+"old\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := writeBetween(name, "<begin>", "<end>", "new\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != before+"new\n"+after {
		t.Errorf("page = %q, %v", got, err)
	}
	if err := writeBetween(name, "<other>", "<end>", "new\n"); err == nil {
		t.Error("no error although a mark is missing")
	}
}

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

var rancherRow = regexp.MustCompile("(?m)^\\| `(ros [^`]+)` \\| .* \\| `([A-Za-z]+)` \\|$")

// Every command line of RancherOS's documentation is taken as it is written
// there, and the test that is named for its effect exists.
func TestRancherOSCommandLines(t *testing.T) {
	text, err := os.ReadFile("../../docs/rancheros.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := rancherRow.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 30 || len(rows) != strings.Count(string(text), "\n| `ros ") {
		t.Fatalf("%d rows of docs/rancheros.md can be read", len(rows))
	}
	tests := testNames(t, "../../cmd", "../../internal", "../../tests")
	t.Chdir(t.TempDir()) // some write files
	for _, row := range rows {
		line, test := row[1], row[2]
		rosd := machine()
		rosd.services = append(rosd.services, control.Service{Name: "kernel-headers", Scope: "user", State: control.Running})
		rosd.after = map[string]control.Service{
			"kernel-headers": {Name: "kernel-headers", State: control.Stopped},
			"udev-coldplug":  {Name: "udev-coldplug", State: control.Done},
			"network":        {Name: "network", State: control.Healthy},
			"ntp":            {Name: "ntp", State: control.Healthy},
		}
		rosd.steps = []control.ImageStep{{Text: "done"}, {Done: true}}
		rosd.consoles = twoConsoles().consoles
		a := newApp(t, rosd)
		a.uid = 0
		a.environ = os.Environ
		a.turnInto = func(string, []string, []string) error { return nil }
		if err := os.MkdirAll(filepath.Join(a.homes, "rancher"), 0o755); err != nil {
			t.Fatal(err)
		}
		var out, complaint strings.Builder
		a.stdout, a.stderr = &out, &complaint
		code := a.run(t.Context(), strings.Fields(line))
		if gone := isGone(line); gone && code == 0 || !gone && code != 0 {
			t.Errorf("%s ends with %d: %s", line, code, complaint.String())
		}
		if !tests[test] {
			t.Errorf("%s: there is no test %s", line, test)
		}
	}
}

// isGone says whether a line is answered with what there is instead.
func isGone(line string) bool {
	for _, words := range []string{"service build", "--ssh-port", "--version="} {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}

var testFunction = regexp.MustCompile(`(?m)^func ([A-Za-z]+)\(`)

// testNames are the functions of all test files below some folders.
func testNames(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range testFunction.FindAllSubmatch(text, -1) {
				names[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

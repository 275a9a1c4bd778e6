package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

var rancherRow = regexp.MustCompile("(?m)^\\| `((?:ros|system-docker) [^`]+)` \\| .* \\| `([A-Za-z]+)` \\|$")

// Every command line of RancherOS's documentation is taken as it is written
// there, and the test that is named for its effect exists.
func TestRancherOSCommandLines(t *testing.T) {
	text, err := os.ReadFile("../../docs/rancheros.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := rancherRow.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 30 || len(rows) != strings.Count(string(text), "\n| `ros ")+strings.Count(string(text), "\n| `system-docker ") {
		t.Fatalf("%d rows of docs/rancheros.md can be read", len(rows))
	}
	tests := testNames(t, "../../cmd", "../../internal", "../../tests")
	t.Chdir(t.TempDir()) // some read or write files
	lay(t, "cloud-config.yml", edge)
	lay(t, "images.tar", "")
	for _, row := range rows {
		line, test := row[1], row[2]
		if !tests[test] {
			t.Errorf("%s: there is no test %s", line, test)
		}
		// Of system-docker only the words are looked at here: without a rosd a line
		// that is taken ends otherwise than one that is not.
		if strings.HasPrefix(line, systemDockerName) {
			if got := newApp(t, nil).try(line); got.code != exitUnreachable && !isGone(line) || got.code != exitUsage && isGone(line) {
				t.Errorf("%s ends with %d: %s", line, got.code, got.err)
			}
			continue
		}
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
		rosd.work = map[string]string{"upgrade": armed2 + "\n", "list": `{"event":"result","result":[]}` + "\n"}
		for _, verb := range []string{"install", "args"} {
			rosd.work[verb] = `{"event":"result","result":{}}` + "\n"
		}
		a := newApp(t, rosd)
		a.uid = 0
		a.environ = os.Environ
		a.getenv = func(name string) string { return map[string]string{"EDITOR": "true"}[name] }
		// Where it is asked before the machine restarts, somebody is there to say yes.
		a.terminal = strings.HasPrefix(line, "ros os ") || strings.HasPrefix(line, "ros install ")
		a.stdin = strings.NewReader("yes\n")
		if line == "ros config merge" {
			a.stdin = strings.NewReader(edge)
		}
		lay(t, a.release, `{"version":"v0.1.0"}`)
		(&fakeInit{answer: `{"ok":true}`}).serve(t, a.initSocket)
		a.turnInto = func(string, []string, []string) error { return nil }
		if err := os.MkdirAll(filepath.Join(a.homes, "rancher"), 0o755); err != nil {
			t.Fatal(err)
		}
		var out, complaint strings.Builder
		a.stdout, a.stderr = &out, &complaint
		code := a.run(t.Context(), strings.Fields(strings.ReplaceAll(line, `"`, "")))
		if gone := isGone(line); gone && code == 0 || !gone && code != 0 {
			t.Errorf("%s ends with %d: %s", line, code, complaint.String())
		}
	}
}

// isGone says whether a line is answered with what there is instead.
func isGone(line string) bool {
	for _, words := range []string{
		"service build", "--ssh-port", "--version=", "install -t raid", "install -i", "install -p", "install -k", "install -r",
		"system-docker build", "system-docker info",
	} {
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

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/control"
)

// twoConsoles is a machine with a console of an image.
func twoConsoles() *fakeRosd {
	rosd := machine()
	rosd.consoles = []control.Console{
		{Name: "default", State: control.ConsoleCurrent, Image: "ros/console"},
		{Name: "box-1", State: control.ConsoleEnabled, Image: "box:1", Persistent: true},
		{Name: "debian", State: control.ConsoleAvailable, Repository: "core", SignedBy: "release"},
	}
	rosd.steps = []control.ImageStep{{Text: "logins are in console debian now"}, {Done: true}}
	return rosd
}

func TestConsoleList(t *testing.T) {
	const list = `STATE      NAME     KEEPS    IMAGE        REPOSITORY  SIGNED BY
current    default  nothing  ros/console  -           -
enabled    box-1    all      box:1        -           -
available  debian   -        -            core        release
`
	rosd := twoConsoles()
	check(t, newApp(t, rosd), "ros console list", result{out: list})
	check(t, newApp(t, rosd), "ros console list -u", result{out: list})
	check(t, newApp(t, rosd), "ros console ls -q", result{out: "default\nbox-1\ndebian\n"})
	check(t, newApp(t, rosd), "ros console current", result{out: "default\n"})
	asks(t, rosd, "consoles ", "consoles refresh=1", "consoles ", "consoles ")
	rosd.consoles = append(rosd.consoles, control.Console{Repository: "other", Error: `cannot use repository "other": no route to host`})
	check(t, newApp(t, rosd), "ros console list", result{out: list, err: "ros: cannot use repository \"other\": no route to host\n", code: 1})
}

func TestConsoleChange(t *testing.T) {
	for _, tt := range []struct {
		name, line, typed string
		uid               int
		want              result
		asked             []string
	}{
		{name: "no", line: "ros console switch debian", typed: "n\n", want: result{out: "Logins will be in console debian. Continue? [y/N] nothing has changed\n"}, asked: []string{"consoles "}},
		{name: "yes", line: "ros console switch debian", typed: "y\n", want: result{out: "Logins will be in console debian. Continue? [y/N] logins are in console debian now\n"},
			asked: []string{"consoles ", `consoles switch {"name":"debian"}`}},
		{name: "nobody", line: "ros console switch debian", asked: []string{"consoles "}, want: result{code: 2,
			out: "Logins will be in console debian. Continue? [y/N] \n", err: "ros: cannot go on: nobody answers\ntry: ros console switch debian --force\n"}},
		{name: "without a question", line: "ros console switch -f --no-pull debian", want: result{out: "logins are in console debian now\n"},
			asked: []string{`consoles switch {"name":"debian","no_pull":true}`}},
		{name: "enable", line: "ros console enable debian", want: result{out: "logins are in console debian now\n"}, asked: []string{`consoles enable {"name":"debian"}`}},
		{name: "reset", line: "ros console reset --force", want: result{out: "logins are in console debian now\n"}, asked: []string{"consoles reset {}"}},
		{name: "which", line: "ros console switch", want: result{err: "ros: cannot switch the console: name one\ntry: ros console switch debian\n", code: 2}},
		{name: "not root", line: "ros console switch -f debian", uid: 1100, want: result{err: "ros: cannot switch the console: needs root\ntry: sudo ros console switch -f debian\n", code: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rosd := twoConsoles()
			a := newApp(t, rosd)
			a.uid, a.stdin = tt.uid, strings.NewReader(tt.typed)
			check(t, a, tt.line, tt.want)
			asks(t, rosd, tt.asked...)
		})
	}
}

// entrance is rosd as logins meet it: it runs nothing and says what it was asked.
func entrance(t *testing.T, a *app, code int, refuse string) *string {
	t.Helper()
	var asked string
	a.consoleSocket = filepath.Join(t.TempDir(), "console.sock")
	listener, err := net.Listen("unix", a.consoleSocket)
	if err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		body.ReadFrom(r.Body)
		asked = r.URL.Path + " " + body.String()
		if refuse != "" {
			answer(w, 409, control.Error{Message: refuse})
			return
		}
		frames := &control.FrameWriter{W: w}
		frames.Frame(control.Output, []byte("out\n"))
		frames.Frame(control.Errors, []byte("err\n"))
		frames.Value(control.End, control.Ending{Code: code})
	})
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	a.environ = func() []string { return []string{"TERM=vt220", "SECRET=x"} }
	return &asked
}

func TestEnter(t *testing.T) {
	a := newApp(t, nil)
	asked := entrance(t, a, 7, "")
	got := a.tryWords("enter", "-c", "ls -l")
	if diff := cmp.Diff(result{out: "out\n", err: "err\n", code: 7}, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("enter (-want +got):\n%s", diff)
	}
	if want := `/v1/console/enter {"command":"ls -l","env":["TERM=vt220"]}`; *asked != want {
		t.Errorf("rosd was asked %s, want %s", *asked, want)
	}
}

// Whatever is wrong with the console, a login gets a shell.
func TestEnterStays(t *testing.T) {
	for _, tt := range []struct {
		name  string
		argv  []string
		shell string // of the account
		want  string
	}{
		{name: "login", argv: []string{"-enter"}, shell: "/bin/sh", want: "/bin/sh -sh"},
		{name: "command", argv: []string{"enter", "-c", "ls -l"}, shell: "/bin/sh", want: "/bin/sh sh -c ls -l"},
		{name: "a shell that is not here", argv: []string{"-enter"}, shell: "/bin/fish-of-an-image", want: "/bin/bash -bash"},
		{name: "no shell at all", argv: []string{"-enter"}, shell: "/usr/sbin/nologin", want: "/bin/bash -bash"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t, nil)
			entrance(t, a, 0, "service console-box is failed: no image")
			a.uid, a.accounts = 1100, filepath.Join(t.TempDir(), "passwd")
			if err := os.WriteFile(a.accounts, []byte("rancher:x:1100:1100::/home/rancher:"+tt.shell+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			var became string
			a.turnInto = func(path string, args, _ []string) error {
				became = path + " " + strings.Join(args, " ")
				return nil
			}
			got := a.tryWords(tt.argv...)
			if !strings.HasPrefix(got.err, "ros: cannot enter the console: service console-box is failed: no image\nros: this is the default console;") {
				t.Errorf("it says %q", got.err)
			}
			if became != tt.want {
				t.Errorf("the login is %q, want %q", became, tt.want)
			}
		})
	}
	a := newApp(t, nil) // no rosd: nobody listens
	a.environ, a.consoleSocket = os.Environ, "/nowhere"
	called := false
	a.turnInto = func(string, []string, []string) error { called = true; return nil }
	if a.tryWords("-enter"); !called {
		t.Error("without rosd there is no shell")
	}
}

// Old scp runs scp on the other side: here, where homes are as well.
func TestEnterCopies(t *testing.T) {
	a := newApp(t, nil)
	asked := entrance(t, a, 0, "")
	var became string
	a.turnInto = func(path string, args, _ []string) error { became = strings.Join(args, " "); return nil }
	a.tryWords("enter", "-c", "scp -r -t /home/rancher")
	if *asked != "" || became != "bash -c scp -r -t /home/rancher" {
		t.Errorf("rosd was asked %q, and the login is %q", *asked, became)
	}
}

func TestSudo(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]control.Sudo{
		"sudo id -u":                {Args: []string{"id", "-u"}},
		"sudo -n -E -u bob A=1 ls":  {Args: []string{"ls"}, User: "bob", Set: []string{"A=1"}},
		"sudo -i":                   {Login: true},
		"sudo --user=bob -s echo x": {Args: []string{"echo", "x"}, User: "bob", Shell: true},
		"sudo -- -strange":          {Args: []string{"-strange"}},
	} {
		a := newApp(t, nil)
		asked := entrance(t, a, 3, "")
		if got := a.try(line); got.code != 3 || got.out != "out\n" {
			t.Errorf("%s: %+v", line, got)
		}
		want.Dir, want.Env = dir, []string{"TERM=vt220"}
		text, _ := json.Marshal(want)
		if *asked != "/v1/console/sudo "+string(text) {
			t.Errorf("%s asks %s\nwant %s", line, *asked, text)
		}
	}
	a := newApp(t, nil)
	entrance(t, a, 0, "alice is not allowed to")
	check(t, a, "sudo id", result{err: "sudo: alice is not allowed to\n", code: 1})
	check(t, a, "sudo -l", result{err: "sudo: -l is not known here; the sudo of an image knows more\nusage: " + sudoUse + "\n", code: 2})
	check(t, a, "sudo", result{err: "sudo: no program is named\nusage: " + sudoUse + "\n", code: 2})
	check(t, a, "sudo -v", result{})
}

func TestDockerOfAConsole(t *testing.T) {
	a := newApp(t, nil)
	a.environ, a.layersDir = os.Environ, t.TempDir()
	if got := a.try("docker ps"); got.code != 1 || !strings.Contains(got.err, "docker: cannot start: there is no loader below ") {
		t.Errorf("without the base image: %+v", got)
	}
	lib := filepath.Join(a.layersDir, "base/usr/lib/x86_64-linux-gnu")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	loader := filepath.Join(lib, "ld-linux-x86-64.so.2")
	if err := os.WriteFile(loader, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	var became []string
	a.turnInto = func(path string, args, _ []string) error { became = append([]string{path}, args[1:]...); return nil }
	a.try("docker ps -q")
	want := []string{loader, "--argv0", "docker", "--library-path", lib, filepath.Join(a.layersDir, "console/usr/bin/docker"), "ps", "-q"}
	if diff := cmp.Diff(want, became); diff != "" {
		t.Errorf("docker becomes (-want +got):\n%s", diff)
	}
}

package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/blockdev"
)

func TestDev(t *testing.T) {
	a := newApp(t, nil)
	a.devices = blockdev.Host{Sys: t.TempDir(), Dev: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(a.devices.Sys, "class/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line string
		uid  int
		want result
	}{
		{"ros dev LABEL=data", 0, result{err: "ros: cannot find device \"LABEL=data\": no such device\ntry: lsblk -f\n", code: 1}},
		{"ros dev LABEL=data", 1100, result{err: "ros: cannot find device \"LABEL=data\": no such device\ntry: sudo ros dev LABEL=data\n", code: 1}},
		{"ros dev nonsense", 0, result{err: "ros: cannot find device \"nonsense\": want LABEL=, UUID=, PARTLABEL=, PARTUUID= or a path below /dev\ntry: lsblk -f\n", code: 1}},
		{"ros dev", 0, result{err: "ros: cannot find a device: give one label, UUID or path\ntry: lsblk -f\n", code: 2}},
	} {
		a.uid = tt.uid
		if got := a.try(tt.line); got != tt.want {
			t.Errorf("%s: %+v\nwant %+v", tt.line, got, tt.want)
		}
	}
}

// The shell reads the file as login shells do.
func TestEnv(t *testing.T) {
	a := newApp(t, nil)
	a.environ = func() []string { return []string{"PATH=" + os.Getenv("PATH")} }
	a.variables = filepath.Join(t.TempDir(), "environment")
	var out []byte
	a.turnInto = func(path string, args, env []string) (err error) {
		cmd := exec.Command(path, args[1:]...)
		cmd.Env = env
		out, err = cmd.Output()
		return err
	}
	line := []string{"ros", "env", "printenv", "WORDS"}
	if r := a.tryWords(line...); r.code == 0 {
		t.Errorf("without variables: %+v, %s", r, out)
	}
	if err := os.WriteFile(a.variables, []byte("export WORDS='a b'\"'\"'c'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := a.tryWords(line...); r.code != 0 || string(out) != "a b'c\n" {
		t.Errorf("with variables: %+v, %q", r, out)
	}
	if r := a.tryWords("ros", "env"); r.code != 0 || !strings.Contains(string(out), "WORDS=a b'c\n") {
		t.Errorf("ros env: %+v, %q", r, out)
	}
	if r := a.tryWords("ros", "env", "sh", "-c", "echo $0 $1", "x", "--json"); r.code != 0 || string(out) != "x --json\n" {
		t.Errorf("flags of the command: %+v, %q", r, out)
	}
}

func TestWaitForDocker(t *testing.T) {
	a := newApp(t, nil)
	a.engineSocket = filepath.Join(t.TempDir(), "docker.sock")
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var complaint strings.Builder
	a.stderr = &complaint
	if code := a.run(short, []string{"/usr/bin/wait-for-docker"}); code != 1 || !strings.HasPrefix(complaint.String(), "wait-for-docker: ") {
		t.Errorf("without an engine it ends with %d: %s", code, complaint.String())
	}
	listener, err := net.Listen("unix", a.engineSocket)
	if err != nil {
		t.Fatal(err)
	}
	asked := ""
	engine := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		w.Write([]byte("OK"))
	})}}
	engine.Start()
	defer engine.Close()
	if code := a.run(t.Context(), []string{"wait-for-docker"}); code != 0 || asked != "/_ping" {
		t.Errorf("with an engine it ends with %d, and asked for %q", code, asked)
	}
}

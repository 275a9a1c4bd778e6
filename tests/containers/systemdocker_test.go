//go:build root

package containers_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/control/server"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/supervise"
	"github.com/rosteros/ros/tests/registry"
)

// host is rosd's control socket over a machine, and ros by the name of
// system-docker.
type host struct {
	*machine
	program  string
	registry *registry.Registry
	address  string // of the registry
}

// newHost has one service, house, of an image that is baked.
func newHost(t *testing.T) *host {
	t.Helper()
	m := newMachine(t)
	store, g, address := m.withStore()
	h := &host{machine: m, registry: g, address: address, program: filepath.Join(m.dir, "system-docker")}
	build := exec.Command("go", "build", "-o", h.program, "github.com/rosteros/ros/cmd/ros")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := os.MkdirAll(filepath.Dir(control.Socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", filepath.Dir(control.Socket), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(filepath.Dir(control.Socket), unix.MNT_DETACH) })

	house := box("house", "sh", "-c", "echo it begins; while :; do sleep 1; done")
	house.Scope, house.StopSignal, house.Restart.Mode = compose.ScopeSystem, "SIGKILL", compose.RestartAlways
	services := supervise.New(supervise.Config{Runtime: m.runtime, Dir: filepath.Join(m.dir, "records")})
	srv := &server.Server{
		Supervisor: services, Machine: server.Machine{Root: "/"},
		Boot: func() (bootlog.Record, error) { return bootlog.Record{}, nil },
		Plan: func() control.Plan { return control.Plan{} }, Reload: func() control.Plan { return control.Plan{} },
		Images: store, Baked: m.runtime.Baked(), Preload: func(context.Context, func(string), func(images.Event)) error { return nil },
		Config:     noConfig{},
		Containers: m.runtime, Services: filepath.Join(m.dir, "services"),
		Cgroups: "/sys/fs/cgroup" + parent, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	socket, err := server.Listen(control.Socket, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { _ = services.Run(ctx, []supervise.Definition{{Service: house}}); done <- struct{}{} }()
	go func() { _ = srv.Serve(ctx, socket); done <- struct{}{} }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	m.until("the service runs", func() bool { s, err := services.Service("house"); return err == nil && s.State == supervise.Running })
	return h
}

// noConfig answers nothing: nobody asks.
type noConfig struct{ server.Config }

// docker runs system-docker and returns what it prints and its exit code.
func (h *host) docker(input string, args ...string) (out, errs string, code int) {
	h.t.Helper()
	cmd := exec.Command(h.program, args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func TestSystemDocker(t *testing.T) {
	h := newHost(t)
	h.registry.Add("shell:1", shell(t, "pulled\n"))
	name := h.address + "/shell:1"
	archive := filepath.Join(h.dir, "shell.tar")
	for _, tt := range []struct {
		args  string // split at spaces; NAME is the image, FILE an archive, LIMIT what any machine allows
		input string
		out   string // regular expression
		errs  string
		code  int
	}{
		{args: "ps", out: `^CONTAINER ID   IMAGE     COMMAND +CREATED.*\n[0-9a-f]{12}   ros/box   "sh -c echo it begin…"   .* ago   Up .*house\n$`},
		{args: "ps -q", out: `^[0-9a-f]{12}\n$`},
		{args: "ps --format {{.Names}}:{{.State}}", out: `^house:running\n$`},
		{args: "ps --format table {{.Names}}", out: `^NAMES\nhouse\n$`},
		{args: "ps -a --filter name=nobody -q", out: `^$`},
		{args: "logs house", out: `^$`}, // the log of this test is not PID 1's
		{args: "exec house sh -c exit 3", code: 3},
		{args: "exec -i house cat", input: "to and fro", out: `^to and fro$`},
		{args: "exec house nonesuch", errs: `nonesuch`, code: 1},
		{args: "exec nobody true", errs: `^system-docker: no such container: nobody\n$`, code: 1},
		{args: "inspect --format {{.State.Running}} house", out: `^true\n$`},
		{args: "inspect house", out: `(?s)"Name": "/house".*"Status": "running"`},
		{args: "stats --no-stream --format {{.Name}}", out: `^house\n$`},
		{args: "pull NAME", out: `(?s)^Pulling .*/shell:1\n.*: Download complete\n.*: Pull complete\n.*Digest: sha256:[0-9a-f]{64}\n.*/shell:1\n$`},
		{args: "pull HOST/nobody", errs: `^system-docker: cannot pull "HOST/nobody": registry HOST does not have it\n$`, code: 1},
		{args: "images --format {{.Repository}}:{{.Tag}}", out: `^ros/box:latest\nHOST/shell:1\n$`},
		{args: "save -o FILE NAME"},
		{args: "rmi NAME", out: `^Untagged: HOST/shell:1\n$`},
		{args: "save -o FILE2 NAME", errs: `^system-docker: cannot save images: image "HOST/shell:1" is not on this machine\n$`, code: 1},
		{args: "load -q -i FILE", out: `^Loaded image: HOST/shell:1\n$`},
		{args: "load", out: "^Loading\n$", input: "no archive at all, but text\n", errs: `^system-docker: cannot load the archive: it ends in the middle\n$`, code: 1},
		{args: "rmi ros/box", errs: `^system-docker: cannot remove image "ros/box": it is part of the OS image\n$`, code: 1},
		{args: "run --rm LIMIT NAME cat /etc/motd", out: `^pulled\n$`},
		{args: "run --rm -i LIMIT NAME cat", input: "in", out: `^in$`},
		{args: "run --rm -e A=B LIMIT NAME echo $A; exit 4", out: `^B\n$`, code: 4},
		{args: "run -d --name byhand LIMIT NAME while :; do sleep 1; done", out: `^[0-9a-f]{64}\n$`},
		{args: "run -d --name byhand LIMIT NAME true", errs: `^system-docker: cannot run "byhand": a container of that name exists\n$`, code: 1},
		{args: "run -d --name house NAME true", errs: `^system-docker: cannot run "house": a service has that name\n$`, code: 1},
		{args: "run --network bridge NAME true", errs: `network_mode: "bridge" is not supported: it must be "host" or "none"`, code: 1},
		{args: "ps --format {{.Names}}", out: `^byhand\nhouse\n$`},
		{args: "rm byhand", errs: `^system-docker: cannot remove "byhand": it is running; stop it first\n$`, code: 1},
		{args: "kill byhand", out: `^byhand\n$`},
		{args: "stop -t 1 byhand", out: `^byhand\n$`},
		{args: "ps -a --filter name=byhand --format {{.Status}}", out: `^Exited \(137\) .* ago\n$`},
		{args: "start byhand", out: `^byhand\n$`},
		{args: "rm -f byhand", out: `^byhand\n$`},
		{args: "ps -aq --filter name=byhand", out: `^$`},
		{args: "stop house", out: `^house\n$`},
		{args: "ps -a --format {{.Names}}:{{.State}}", out: `^house:exited\n$`},
		{args: "start house", out: `^house\n$`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			fill := strings.NewReplacer("LIMIT", "--ulimit nofile=512:1024", "NAME", name, "FILE", archive, "HOST", h.address)
			out, errs, code := h.docker(tt.input, words(fill.Replace(tt.args))...)
			if tt.args == "kill byhand" {
				h.until("it has ended", func() bool {
					out, _, _ := h.docker("", "ps", "-q", "--filter", "name=byhand", "--filter", "status=running")
					state, _, _ := h.docker("", "ps", "-a", "--filter", "name=byhand", "--format", "{{.Status}}")
					return out == "" && strings.Contains(state, "137")
				})
			}
			fold := strings.NewReplacer(h.address, "HOST")
			if want := regexp.MustCompile(tt.out); !want.MatchString(fold.Replace(out)) {
				t.Errorf("prints %q, want %s", out, want)
			}
			if want := regexp.MustCompile(tt.errs); !want.MatchString(fold.Replace(errs)) || tt.errs == "" && errs != "" {
				t.Errorf("errors %q, want %s", errs, want)
			}
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
		})
	}
}

// words splits a command; a shell's -c, a template and run's last words are one.
func words(line string) []string {
	for _, whole := range []string{"-c ", "--format table ", "shell:1 "} {
		head, tail, found := strings.Cut(line, whole)
		if found {
			last := strings.Fields(whole)
			list := append(strings.Fields(head), last...)
			if whole == "--format table " {
				list = append(strings.Fields(head), "--format")
				tail = "table " + tail
			}
			if whole == "shell:1 " {
				list = strings.Fields(head + whole)
			}
			return append(list, tail)
		}
	}
	return strings.Fields(line)
}

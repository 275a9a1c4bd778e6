//go:build root

package containers_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/containers"
)

// talk gives a session its input and returns its output and exit code.
func (m *machine) talk(s *containers.Session, input string) (output, errors string, code int) {
	m.t.Helper()
	defer s.Close()
	if s.Input != nil {
		if _, err := io.WriteString(s.Input, input); err != nil {
			m.t.Fatal(err)
		}
		if err := s.EndInput(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
	}
	copied := make(chan struct{})
	var out, errs strings.Builder
	go func() {
		defer close(copied)
		_, _ = io.Copy(&out, s.Output)
		if s.Errors != nil {
			_, _ = io.Copy(&errs, s.Errors)
		}
	}()
	code, err := s.Wait(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	s.Drained(copied)
	return out.String(), errs.String(), code
}

func TestExecSession(t *testing.T) {
	m := newMachine(t)
	m.start(box("house"))
	for _, tt := range []struct {
		name      string
		command   containers.Command
		input     string
		out, errs string
		code      int
	}{
		{name: "plain", command: containers.Command{Args: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}}, out: "out\n", errs: "err\n", code: 3},
		{name: "input", command: containers.Command{Args: []string{"cat"}, Input: true}, input: "to and fro\n", out: "to and fro\n"},
		{name: "user", command: containers.Command{Args: []string{"sh", "-c", "id -u; id -g; echo $HOME $MORE"}, User: "clock", Env: []string{"MORE=yes"}}, out: "1201\n1201\n/var/lib/clock yes\n"},
		{name: "terminal", command: containers.Command{Args: []string{"sh", "-c", "test -t 0 && test -t 1 && echo both"}, Terminal: true, Input: true}, out: "both\r\n"},
		// Nobody resizes it. crun sets the size while the program starts.
		{name: "size", command: containers.Command{Args: []string{"sh", "-c",
			"i=0; until busybox stty size 2>/dev/null | grep . || [ $i = 50 ]; do i=$((i+1)); sleep 0.1; done"}, Terminal: true, Input: true, Rows: 33, Columns: 99}, out: "33 99\r\n"},
		{name: "folder", command: containers.Command{Args: []string{"sh", "-c", "echo $PWD"}, WorkingDir: "/etc"}, out: "/etc\n"},
		{name: "a child that stays", command: containers.Command{Args: []string{"sh", "-c", "sleep 1000 & echo gone"}}, out: "gone\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := m.runtime.Exec(t.Context(), "house", tt.command)
			if err != nil {
				t.Fatal(err)
			}
			out, errs, code := m.talk(s, tt.input)
			if out != tt.out || errs != tt.errs || code != tt.code {
				t.Errorf("= %q, %q, %d, want %q, %q, %d", out, errs, code, tt.out, tt.errs, tt.code)
			}
		})
	}
	if _, err := m.runtime.Exec(t.Context(), "nobody", containers.Command{Args: []string{"true"}}); err == nil ||
		err.Error() != `cannot run ["true"] in "nobody": it is not running` {
		t.Errorf("Exec in nobody = %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(m.opts.RunDir, "house/exec-*")); len(left) > 0 {
		t.Errorf("pipes are left: %q", left)
	}
}

// A container made by hand ends, is there with its exit code, starts again with
// what it has written, and goes.
func TestRunByHand(t *testing.T) {
	m := newMachine(t)
	svc := box("byhand", "sh", "-c", "cat /was; echo it was here >/was; exit 5")
	if _, err := m.runtime.Run(t.Context(), svc, false, false, false); err != nil {
		t.Fatal(err)
	}
	find := func() *containers.Container {
		list, err := m.runtime.Containers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if c.Name == "byhand" {
				return &c
			}
		}
		return nil
	}
	ended := func() bool { c := find(); return c != nil && c.ExitCode != nil && c.ByHand && *c.ExitCode == 5 }
	m.until("it has ended with 5", ended)
	if _, err := m.runtime.Run(t.Context(), svc, false, false, false); err == nil || err.Error() != `cannot run "byhand": a container of that name exists` {
		t.Errorf("Run a second time = %v", err)
	}
	if err := m.runtime.StartRun(t.Context(), "byhand"); err != nil {
		t.Fatal(err)
	}
	m.until("it has started and ended again", func() bool { return ended() && strings.Contains(m.read("byhand.log"), "it was here") })
	if err := m.runtime.RemoveRun(t.Context(), "byhand", false); err != nil {
		t.Fatal(err)
	}
	if find() != nil {
		t.Error("it is still there")
	}
	if _, err := os.Stat(filepath.Join(m.opts.RootsDir, "byhand")); !os.IsNotExist(err) {
		t.Errorf("what it wrote is still there: %v", err)
	}
	if err := m.runtime.StartRun(t.Context(), "byhand"); !errors.Is(err, containers.ErrNoContainer) {
		t.Errorf("StartRun of nobody = %v", err)
	}
}

func TestRunAttachedAndRemoved(t *testing.T) {
	m := newMachine(t)
	svc := box("attached", "sh", "-c", "echo ready; cat; exit 4")
	s, err := m.runtime.Run(t.Context(), svc, true, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if out, _, code := m.talk(s, "hello\n"); out != "ready\nhello\n" || code != 4 {
		t.Errorf("= %q, %d, want what it was told and 4", out, code)
	}
	m.until("it is removed", func() bool {
		list, err := m.runtime.Containers(t.Context())
		return err == nil && len(list) == 0
	})
}

// One that runs when rosd ends is looked after by the next rosd, and stopped.
func TestRunOutlivesRosd(t *testing.T) {
	m := newMachine(t)
	svc := box("stays", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done")
	svc.StopSignal, svc.StopGracePeriod = "SIGTERM", 10*time.Second
	if _, err := m.runtime.Run(t.Context(), svc, false, false, false); err != nil {
		t.Fatal(err)
	}
	m.until("it is ready", func() bool { return strings.Contains(m.read("stays.log"), "ready") })
	_ = m.runtime.Close()
	m.connect()
	if running, err := m.runtime.Running(t.Context()); err != nil || len(running) != 0 {
		t.Errorf("Running = %v, %v: it counts as a service", running, err)
	}
	if err := m.runtime.TendRuns(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.runtime.StopRun(t.Context(), "stays", -1); err != nil {
		t.Fatal(err)
	}
	m.until("its exit code is known", func() bool {
		list, err := m.runtime.Containers(t.Context())
		return err == nil && len(list) == 1 && list[0].ExitCode != nil && *list[0].ExitCode == 9
	})
	if err := m.runtime.RemoveRun(t.Context(), "stays", true); err != nil {
		t.Error(err)
	}
}

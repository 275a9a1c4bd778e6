package initctl_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/initctl"
)

// pid1 is a Handler that remembers what it was asked for.
type pid1 struct {
	mu     sync.Mutex
	asked  []string
	said   chan string // what came through the files of a log request
	refuse error
}

func (p *pid1) note(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, what)
	return p.refuse
}

func (p *pid1) Power(op string, force bool) error {
	if op == initctl.OpHalt {
		panic("no brakes")
	}
	if force {
		op += " now"
	}
	return p.note(op)
}

func (p *pid1) Log(service string, maxBytes int64, files int, stdout, stderr *os.File) error {
	go func() {
		for _, f := range []*os.File{stdout, stderr} {
			text, _ := io.ReadAll(f)
			f.Close()
			p.said <- string(text)
		}
	}()
	return p.note("log " + service)
}

func (p *pid1) Settings(timeout, deadline time.Duration) error {
	return p.note("timeout " + timeout.String() + " deadline " + deadline.String())
}

func (p *pid1) Trial(t initctl.Trial) error {
	text := fmt.Sprintf("trial %s %q %q", t.Outcome, t.Reason, t.Check)
	if n := len(t.Lines); n > 0 {
		text += " " + t.Lines[n-1]
	}
	return p.note(text)
}

func (p *pid1) Status() initctl.Answer {
	return initctl.Answer{Children: []initctl.Child{{Name: "containerd", Pid: 42, Restarts: 1, Ready: true}}}
}

func serve(t *testing.T) (*pid1, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "init.sock")
	l, err := initctl.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	h := &pid1{said: make(chan string, 2)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := initctl.Serve(ctx, l, h); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return h, socket
}

func TestRequests(t *testing.T) {
	h, socket := serve(t)
	ctx := t.Context()
	for _, err := range []error{
		initctl.Power(ctx, socket, initctl.OpReboot, false),
		initctl.Power(ctx, socket, initctl.OpPoweroff, true),
		initctl.Power(ctx, socket, initctl.OpKexec, false),
		initctl.Settings(ctx, socket, 1500*time.Millisecond, 0),
		initctl.Settings(ctx, socket, time.Minute, 5*time.Minute),
		initctl.EndTrial(ctx, socket, initctl.Trial{Outcome: initctl.TrialCommitted}),
		initctl.EndTrial(ctx, socket, initctl.Trial{Outcome: initctl.TrialEnded}),
		initctl.EndTrial(ctx, socket, initctl.Trial{
			Outcome: initctl.TrialFailed, Reason: "unhealthy", Check: "service network",
			Lines: append(slices.Repeat([]string{"\x01 line" + strings.Repeat("<", 100)}, 10000), "the last"),
		}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"reboot", "poweroff now", "kexec", "timeout 2s deadline 0s", "timeout 1m0s deadline 5m0s",
		`trial committed "" ""`, `trial ended "" ""`, `trial failed "unhealthy" "service network" the last`}
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff(want, h.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	a, err := initctl.Status(ctx, socket)
	wantAnswer := h.Status()
	wantAnswer.OK = true
	if diff := cmp.Diff(wantAnswer, a); err != nil || diff != "" {
		t.Errorf("Status: %v (-want +got):\n%s", err, diff)
	}
}

func TestLogHandsTheFilesOver(t *testing.T) {
	h, socket := serve(t)
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := initctl.Log(t.Context(), socket, "ntp", 1<<20, 3, outR, errR); err != nil {
		t.Fatal(err)
	}
	outR.Close() // as the handover process does by ending
	errR.Close()
	for w, text := range map[*os.File]string{outW: "from stdout", errW: "from stderr"} {
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatalf("nobody reads: %v", err)
		}
		w.Close()
	}
	got := []string{<-h.said, <-h.said}
	if diff := cmp.Diff([]string{"from stdout", "from stderr"}, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	h, socket := serve(t)
	h.mu.Lock()
	h.refuse = errors.New("already going down")
	h.mu.Unlock()
	err := initctl.Power(t.Context(), socket, initctl.OpReboot, false)
	if want := "cannot ask PID 1 to reboot: already going down"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	err = initctl.Power(t.Context(), socket, initctl.OpHalt, false)
	if want := "cannot ask PID 1 to halt: internal error: no brakes"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	err = initctl.Power(t.Context(), filepath.Join(t.TempDir(), "none"), initctl.OpHalt, false)
	if err == nil || !strings.HasPrefix(err.Error(), "cannot ask PID 1 to halt: dial unix ") {
		t.Errorf("error without a server = %v", err)
	}
}

// What a client of ours would never send.
func TestBadRequests(t *testing.T) {
	_, socket := serve(t)
	for _, tt := range []struct{ name, line, want string }{
		{"not JSON", "poweroff\n", `cannot read request: invalid character 'p' looking for beginning of value`},
		{"unknown op", `{"op":"explode"}` + "\n",
			`op is \"explode\", want one of [\"poweroff\" \"reboot\" \"halt\" \"kexec\" \"log\" \"settings\" \"status\" \"trial\"]`},
		{"log without files", `{"op":"log","service":"ntp"}` + "\n", `op log wants 2 file descriptors, got 0`},
		{"log without service", `{"op":"log"}` + "\n", `op log wants a service`},
		{"no timeout", `{"op":"settings"}` + "\n", `shutdown_timeout_seconds must be at least 1`},
		{"deadline", `{"op":"settings","shutdown_timeout_seconds":1,"trial_deadline_seconds":86401}` + "\n",
			`trial_deadline_seconds must be from 0 to 86400`},
		{"no trial", `{"op":"trial"}` + "\n", `op trial wants a trial`},
		{"odd outcome", `{"op":"trial","trial":{"outcome":"won"}}` + "\n", `outcome of the trial is \"won\", want \"committed\", \"failed\" or \"ended\"`},
		{"no reason", `{"op":"trial","trial":{"outcome":"failed"}}` + "\n", `a failed trial wants a reason`},
		{"no newline", `{"op":"reboot"}`, `cannot read request: `},
		{"endless", strings.Repeat("x", 80<<10), `request is longer than 65536 bytes`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// The endless one is cut off while it is being sent.
			_, _ = io.WriteString(conn, tt.line)
			_ = conn.(*net.UnixConn).CloseWrite()
			got, _ := bufio.NewReader(conn).ReadString('\n')
			if !strings.HasPrefix(got, `{"error":"`+tt.want) {
				t.Errorf("answer to %.40q = %q, want error %q", tt.line, got, tt.want)
			}
		})
	}
}

func TestListenReplacesAStaleSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "init.sock")
	for range 2 {
		l, err := initctl.Listen(socket)
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v (%v), want 0600", info.Mode(), err)
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/initctl"
)

func TestOrderOfSignal(t *testing.T) {
	for sig, want := range map[os.Signal]string{
		unix.SIGINT: "reboot", unix.SIGTERM: "reboot",
		unix.SIGPWR: "poweroff", unix.SIGUSR2: "poweroff", unix.SIGUSR1: "halt",
	} {
		if got := orderOf(sig); got != (order{op: want}) {
			t.Errorf("orderOf(%v) = %+v, want %s", sig, got, want)
		}
	}
}

func TestOneOrderAtATime(t *testing.T) {
	p := newPower()
	if err := p.give(order{op: initctl.OpPoweroff}); err != nil {
		t.Fatal(err)
	}
	err := p.give(order{op: initctl.OpReboot})
	if want := "already going down (poweroff)"; err == nil || err.Error() != want {
		t.Errorf("second order: %v, want %s", err, want)
	}
	// A forced one comes through, also when nobody has taken up the first.
	if err := p.give(order{op: initctl.OpReboot, force: true}); err != nil {
		t.Errorf("forced order: %v", err)
	}
	if got := <-p.orders; got != (order{op: initctl.OpReboot, force: true}) {
		t.Errorf("order = %+v, want the forced one", got)
	}
	if going, _ := p.state(); going != "reboot" {
		t.Errorf("going = %q", going)
	}
}

// world is what a shutdown acts on: services that end some time after their
// signal, and a diary.
type world struct {
	mu       sync.Mutex // of the diary: a step that hangs runs beside the rest
	began    time.Time
	diary    []string
	services map[string]time.Duration // how long each takes to stop; <0: never
	stopAt   time.Time                // when they were told to
	killed   bool
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.diary = append(w.diary, fmt.Sprintf("%s ", time.Since(w.began).Round(100*time.Millisecond))+fmt.Sprintf(format, args...))
}

func (w *world) busy() []string {
	var names []string
	for _, name := range []string{"docker", "ntp"} {
		takes, ok := w.services[name]
		gone := !w.stopAt.IsZero() && takes >= 0 && time.Since(w.stopAt) >= takes
		if ok && !gone && !w.killed {
			names = append(names, name)
		}
	}
	return names
}

func (w *world) tell() {
	if w.stopAt.IsZero() {
		w.stopAt = time.Now()
	}
}

// fakeChild ends some time after the stop; <0: never.
type fakeChild struct {
	w     *world
	name  string
	takes time.Duration
	does  func()
}

func (c fakeChild) stop(sig syscall.Signal) <-chan struct{} {
	c.w.note("%s gets %s", c.name, unix.SignalName(sig))
	if c.does != nil {
		c.does()
	}
	ended := make(chan struct{})
	switch {
	case c.takes == 0:
		close(ended)
	case c.takes > 0:
		time.AfterFunc(c.takes, func() { close(ended) })
	}
	return ended
}

func TestShutdown(t *testing.T) {
	const forever = time.Duration(-1)
	for _, tt := range []struct {
		name       string
		services   map[string]time.Duration
		rosd       time.Duration
		rosdStops  bool // rosd tells the services to stop
		containerd time.Duration
		unmount    error
		want       []string
	}{
		{
			name:     "all in order",
			services: map[string]time.Duration{"docker": 2 * time.Second, "ntp": time.Second},
			rosd:     2 * time.Second, rosdStops: true, containerd: time.Second,
			want: []string{"0s rosd gets SIGPWR", "2s containerd gets SIGTERM", "3s kill", "3s unmount"},
		},
		{
			name:     "a slow service is named",
			services: map[string]time.Duration{"docker": 12 * time.Second, "ntp": time.Second},
			rosd:     12 * time.Second, rosdStops: true,
			want: []string{"0s rosd gets SIGPWR", "5s say waiting for docker (5 of 30 s)", "10s say waiting for docker (10 of 30 s)",
				"12s containerd gets SIGTERM", "12s kill", "12s unmount"},
		},
		{
			name:     "a stuck service ends with the timeout",
			services: map[string]time.Duration{"docker": forever},
			rosd:     forever, rosdStops: true,
			want: []string{"0s rosd gets SIGPWR",
				"5s say waiting for docker (5 of 30 s)", "10s say waiting for docker (10 of 30 s)", "15s say waiting for docker (15 of 30 s)",
				"20s say waiting for docker (20 of 30 s)", "25s say waiting for docker (25 of 30 s)",
				"30s say rosd has not ended after 30s", "30s say killing what did not stop in time: docker",
				"30s containerd gets SIGTERM", "30s kill", "30s unmount"},
		},
		{
			name:     "rosd is down: the services are told by us",
			services: map[string]time.Duration{"docker": 3 * time.Second, "ntp": time.Second},
			want: []string{"0s rosd gets SIGPWR", "0s say services left by rosd: docker, ntp", "0s terminate",
				"3s containerd gets SIGTERM", "3s kill", "3s unmount"},
		},
		{
			name:     "rosd is down and a service does not listen",
			services: map[string]time.Duration{"ntp": forever},
			want: []string{"0s rosd gets SIGPWR", "0s say services left by rosd: ntp", "0s terminate",
				"5s say waiting for ntp (5 of 30 s)", "10s say killing what did not stop in time: ntp",
				"10s containerd gets SIGTERM", "10s kill", "10s unmount"},
		},
		{
			name: "containerd is stuck, and so is the disk", containerd: forever, unmount: errors.New("hangs"),
			want: []string{"0s rosd gets SIGPWR", "0s containerd gets SIGTERM", "5s kill", "5s unmount",
				"15s say cannot unmount: not done after 10s"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{began: time.Now(), services: tt.services}
				rosd := fakeChild{w: w, name: "rosd", takes: tt.rosd}
				if tt.rosdStops {
					rosd.does = w.tell
				}
				hang := make(chan struct{})
				s := &shutdown{
					timeout: 30 * time.Second,
					rosd:    rosd, containerd: fakeChild{w: w, name: "containerd", takes: tt.containerd},
					busy:      w.busy,
					terminate: func() { w.note("terminate"); w.tell() },
					kill:      func() { w.note("kill"); w.killed = true },
					say:       func(text string) { w.note("say %s", text) },
					steps: []step{{"unmount", func() error {
						w.note("unmount")
						if tt.unmount != nil {
							<-hang
						}
						return nil
					}}},
				}
				s.run()
				close(hang)
				if diff := cmp.Diff(tt.want, w.diary); diff != "" {
					t.Errorf("diary (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// In stage 1 there are no children; the rest is the same.
func TestShutdownOfStage1(t *testing.T) {
	var done []string
	s := &shutdown{
		timeout: time.Second, busy: func() []string { return nil },
		kill: func() { done = append(done, "kill") }, say: func(text string) { done = append(done, text) },
		steps: []step{
			{"sync", func() error { done = append(done, "sync"); return nil }},
			{"unmount", func() error { panic("oops") }},
			{"sync", func() error { done = append(done, "sync"); return nil }},
		},
	}
	s.run()
	if got, want := strings.Join(done, "; "), "kill; sync; cannot unmount: internal error: oops; sync"; got != want {
		t.Errorf("did %q, want %q", got, want)
	}
}

// The try of a stopped trial is given back when nothing runs any more and
// everything is still mounted; that it does not work holds up nothing.
func TestShutdownGivesTheTryBack(t *testing.T) {
	var done []string
	s := &shutdown{
		timeout: time.Second, busy: func() []string { return nil },
		kill: func() { done = append(done, "kill") }, say: func(text string) { done = append(done, text) },
		giveBack: func() error { done = append(done, "give back"); return errors.New("no ESP") },
		steps:    []step{{"unmount", func() error { done = append(done, "unmount"); return nil }}},
	}
	s.run()
	want := "kill; give back; this release will not be tried again: no ESP; unmount"
	if got := strings.Join(done, "; "); got != want {
		t.Errorf("did %q, want %q", got, want)
	}
}

func TestSwapOff(t *testing.T) {
	var off []string
	err := swapOff([]byte("Filename\tType\tSize\tUsed\tPriority\n/var/swapfile    file\t16380\t0\t-2\n/a\\040b  partition 1 0 -3\n"), func(path string) error {
		off = append(off, path)
		if path == "/a b" {
			return syscall.ENOMEM
		}
		return nil
	})
	if strings.Join(off, ",") != "/var/swapfile,/a b" {
		t.Errorf("switched off %q", off)
	}
	if err == nil || err.Error() != "swapoff /a b: cannot allocate memory" {
		t.Errorf("error = %v", err)
	}
}

func TestRebootCommand(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		op, loaded string
		want       int
	}{
		{initctl.OpPoweroff, "1\n", unix.LINUX_REBOOT_CMD_POWER_OFF},
		{initctl.OpHalt, "1\n", unix.LINUX_REBOOT_CMD_HALT},
		{initctl.OpReboot, "1\n", unix.LINUX_REBOOT_CMD_RESTART},
		{initctl.OpKexec, "1\n", unix.LINUX_REBOOT_CMD_KEXEC},
		{initctl.OpKexec, "0\n", unix.LINUX_REBOOT_CMD_RESTART},
		{initctl.OpKexec, "", unix.LINUX_REBOOT_CMD_RESTART}, // a kernel without kexec has no such file
	} {
		path := filepath.Join(dir, tt.op+strings.TrimSpace(tt.loaded))
		if tt.loaded != "" {
			if err := os.WriteFile(path, []byte(tt.loaded), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := rebootCommand(tt.op, path); got != tt.want {
			t.Errorf("%s with kexec_loaded %q: %#x, want %#x", tt.op, tt.loaded, got, tt.want)
		}
	}
}

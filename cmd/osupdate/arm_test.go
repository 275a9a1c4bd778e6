package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/upgrade"
)

// staged is an upgrade to v2, which is whole in slot B, on a machine that runs
// v1 in slot A.
func (b *bench) staged(o osupdate.Upgrade) (upgrading, osupdate.Upgraded) {
	u := upgrading{
		Machine: &upgrade.Machine{
			Loader: b.loader, Running: b.running, Record: b.record, ForgetNote: func() error { return nil },
			Now: func() time.Time { return noon }, Events: b, Log: slog.New(slog.DiscardHandler),
		},
		options: o, sys: b.sys,
		load: func(kernel, initrd *os.File, line string) error {
			b.loaded = append(b.loaded, line)
			return b.loads
		},
	}
	return u, osupdate.Upgraded{Release: idOf("v2"), Slot: slots.B}
}

func (b *bench) Progress(string, int64, int64) {}

func (b *bench) Note(format string, args ...any) {
	b.noted = append(b.noted, fmt.Sprintf(format, args...))
}

// start does what GRUB does, and is the machine then.
func (b *bench) start(t *testing.T) slots.Start {
	t.Helper()
	start := b.boot(t).Start(slots.Medium{})
	if err := b.loader.SetBoot(start.After); err != nil {
		t.Fatal(err)
	}
	b.running = slots.Running{Slot: start.Slot, Trial: start.Trial, Left: start.Left, Failed: start.Failed}
	return start
}

func (b *bench) wantArgs(t *testing.T, when, want string) {
	t.Helper()
	if got, err := b.loader.Args(); err != nil || got != want {
		t.Errorf("%s: the kernel arguments are %q, %v, want %q", when, got, err, want)
	}
}

// TestAppendIsOnTrial: arguments that a release does not come up with are not
// those of the one before it.
func TestAppendIsOnTrial(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A}, on(slots.A))
	if err := b.loader.SetArgs("console=ttyS0"); err != nil {
		t.Fatal(err)
	}
	u, res := b.staged(osupdate.Upgrade{Append: "mem=16M"})
	for range 2 { // with --retry, the second time
		if _, err := u.arm(res); err != nil {
			t.Fatal(err)
		}
		b.wantArgs(t, "armed", "console=ttyS0")
		if start := b.start(t); !start.Trial || start.After.Args != "mem=16M" {
			t.Errorf("the boot loader did %+v", start)
		}
		b.wantArgs(t, "on trial", "console=ttyS0")
		b.start(t)
		if _, err := b.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.wantArgs(t, "failed", "console=ttyS0")
	}
	if _, err := u.arm(res); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	if _, err := b.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantArgs(t, "committed", "console=ttyS0 mem=16M")
}

// TestAppendRefuses: nothing is armed with arguments that cannot be kept.
func TestAppendRefuses(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A}, on(slots.A))
	u, res := b.staged(osupdate.Upgrade{Append: "ros.slot=A"})
	_, err := u.arm(res)
	if want := `cannot put v2 on trial: cannot change what starts next: "ros.slot" belongs to the boot loader`; err == nil || err.Error() != want {
		t.Errorf("arm = %v, want %s", err, want)
	}
	if got := b.boot(t); got.Trial != "" {
		t.Errorf("the boot loader keeps %+v", got)
	}
}

// jump is a machine whose trial was started by the kernel before it.
func (b *bench) jump(t *testing.T) {
	t.Helper()
	if len(b.loaded) != 1 {
		t.Fatalf("loaded for a jump: %q", b.loaded)
	}
	b.running = slots.FromCmdline(cmdline.Parse("ros.slot=B " + b.loaded[0]))
}

// kexecBench is a machine that has v2 armed and loaded.
func kexecBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, slots.Boot{Committed: slots.A}, on(slots.A))
	u, res := b.staged(osupdate.Upgrade{Kexec: true, Append: "quiet"})
	if res, err := u.arm(res); err != nil || !res.Armed || !res.Kexec {
		t.Fatalf("arm = %+v, %v", res, err)
	}
	return b
}

// The boot loader does not run at a jump, and a machine may be loaded and never
// jump. Whoever starts the trial counts it.
func TestKexec(t *testing.T) {
	const died = "a required phase failed"
	armed := slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1, Args: "quiet"}
	spent := slots.Boot{Committed: slots.A, Trial: slots.B, Args: "quiet"}
	settle := func(t *testing.T, b *bench) {
		t.Helper()
		if _, err := b.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := func(t *testing.T, b *bench, want slots.Boot) {
		t.Helper()
		if got := b.boot(t); got != want {
			t.Errorf("the boot loader keeps %+v, want %+v", got, want)
		}
	}
	tests := map[string]func(*testing.T, *bench){
		"loaded": func(t *testing.T, b *bench) {
			if diff := cmp.Diff([]string{"loglevel=4 panic=10 ros.image=PARTUUID=v2:1 ros.roothash=v2 ros.trial=0 quiet"}, b.loaded); diff != "" {
				t.Errorf("command line (-want +got):\n%s", diff)
			}
			want(t, b, armed)
		},
		"never jumped": func(t *testing.T, b *bench) {
			settle(t, b)
			want(t, b, armed)
			if start := b.start(t); !start.Trial || start.Slot != slots.B {
				t.Errorf("an ordinary restart did %+v, want the trial", start)
			}
		},
		"jumped": func(t *testing.T, b *bench) {
			b.jump(t)
			settle(t, b)
			want(t, b, spent)
			settle(t, b)
			want(t, b, spent)
			if start := b.start(t); start.Slot != slots.A || start.Failed != slots.B {
				t.Errorf("the start after the trial did %+v", start)
			}
		},
		"restarted by an operator": func(t *testing.T, b *bench) {
			b.jump(t)
			for range 2 { // before it is settled, and after
				if _, err := b.rearm(t.Context()); err != nil {
					t.Fatal(err)
				}
				want(t, b, armed)
				settle(t, b)
				want(t, b, spent)
			}
		},
		"failed before it was settled": func(t *testing.T, b *bench) {
			b.jump(t)
			b.machine.note = func() (bootnote.Note, error) {
				return bootnote.Note{Slot: "B", RootHash: "v2", Phase: "state", Outcome: bootnote.Failed, Reason: died, Check: "phase state"}, nil
			}
			if start := b.start(t); !start.Trial { // counted this time
				t.Errorf("the first start after it did %+v", start)
			}
			if start := b.start(t); start.Slot != slots.A {
				t.Errorf("the second start after it did %+v", start)
			}
			settle(t, b)
			want(t, b, slots.Boot{Committed: slots.A})
			if s := b.status(t.Context()); s.State != slots.Failed || s.Failure == nil || s.Failure.Reason != died {
				t.Errorf("status = %+v", s)
			}
		},
		"committed": func(t *testing.T, b *bench) {
			b.jump(t)
			if _, err := b.commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			want(t, b, slots.Boot{Committed: slots.B, Previous: slots.A})
			b.wantArgs(t, "committed", "quiet")
		},
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) { do(t, kexecBench(t)) })
	}
}

// TestKexecCannotLoad: it stays armed for an ordinary restart.
func TestKexecCannotLoad(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A}, on(slots.A))
	b.loads = errors.New("kexec_file_load: operation not permitted")
	u, res := b.staged(osupdate.Upgrade{Kexec: true})
	_, err := u.arm(res)
	want := "cannot restart into v2 without the firmware: kexec_file_load: operation not permitted; the next ordinary restart tries it"
	if err == nil || err.Error() != want {
		t.Errorf("arm = %v, want %s", err, want)
	}
	if got := b.boot(t); got != (slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}) {
		t.Errorf("the boot loader keeps %+v", got)
	}
}

// TestKexecWarns: who jumps is told when nothing would reset the machine.
func TestKexecWarns(t *testing.T) {
	const dog = "class/watchdog/watchdog0/"
	const stops = "module/watchdog/parameters/stop_on_reboot"
	const hangs = "a release that hangs before its first program runs will wait for somebody to reset the machine: "
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"none", nil, []string{hangs + "it has no hardware watchdog"}},
		{"software", map[string]string{dog + "identity": "Software Watchdog", dog + "state": "active", stops: "0"},
			[]string{hangs + "it has no hardware watchdog"}},
		{"not in use", map[string]string{dog + "identity": "i6300ESB timer", dog + "state": "inactive", stops: "0"},
			[]string{hangs + "its watchdog (i6300ESB timer) is not in use"}},
		{"stopped by an older release", map[string]string{dog + "identity": "i6300ESB timer", dog + "state": "active", stops: "-1"},
			[]string{hangs + "the kernel that runs stops the watchdog (i6300ESB timer) on the way down"}},
		{"guarded", map[string]string{dog + "identity": "i6300ESB timer", dog + "state": "active", stops: "0"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, slots.Boot{Committed: slots.A}, on(slots.A))
			b.sys = t.TempDir()
			for name, text := range tt.files {
				file := filepath.Join(b.sys, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			u, res := b.staged(osupdate.Upgrade{Kexec: true})
			if res, err := u.arm(res); err != nil || !res.Kexec {
				t.Fatalf("arm = %+v, %v", res, err)
			}
			if diff := cmp.Diff(tt.want, b.noted); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

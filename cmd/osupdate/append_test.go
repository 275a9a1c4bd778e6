package main

import (
	"log/slog"
	"testing"
	"time"

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
			Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
		},
		options: o,
	}
	return u, osupdate.Upgraded{Release: idOf("v2"), Slot: slots.B}
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

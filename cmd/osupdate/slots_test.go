package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/release/releasetest"
	"github.com/rosteros/ros/internal/slots"
)

// noon is now, in every test.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// bench is a machine whose boot loader is the model: v1 in slot A, v2 in slot B.
type bench struct {
	*machine
	loader *bootloader.Memory
	told   []initctl.Trial
	tells  error
	loaded []string // command lines of kernels to jump to
	loads  error
	sys    string   // in place of /sys
	noted  []string // told to who upgrades
	lost   []string // partitions that are gone
	size   int64    // of the others
}

// partition is one of the disk, unless that has lost it.
func (b *bench) partition(name string) (blockdev.Device, error) {
	if slices.Contains(b.lost, name) {
		return blockdev.Device{}, fmt.Errorf("cannot find device %q: %w", name, blockdev.ErrNotFound)
	}
	return blockdev.Device{Path: "/dev/vda4", Size: b.size}, nil
}

func entryOf(version string) bootloader.Entry {
	return bootloader.Entry{
		Version: version, Cmdline: "ros.image=PARTUUID=" + version + ":1 ros.roothash=" + version, Kernel: bootloader.Bytes([]byte("k")), Initrd: bootloader.Bytes([]byte("i")),
		Release: []byte("release " + version),
	}
}

func idOf(version string) slots.Release {
	sum := sha256.Sum256([]byte("release " + version))
	return slots.Release{Version: version, Digest: "sha256:" + hex.EncodeToString(sum[:])}
}

func newBench(t *testing.T, b slots.Boot, running slots.Running) *bench {
	t.Helper()
	loader, err := bootloader.NewMemory(entryOf("v1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.WriteSlot(slots.B, entryOf("v2")); err != nil {
		t.Fatal(err)
	}
	if err := loader.SetBoot(b); err != nil {
		t.Fatal(err)
	}
	bench := &bench{loader: loader, size: 1 << 30}
	bench.machine = &machine{
		running: running, version: "v1", record: filepath.Join(t.TempDir(), "os/slots.json"),
		open: func(context.Context) (bootloader.Loader, func() error, error) {
			return loader, func() error { return nil }, nil
		},
		look: func(context.Context) (bootloader.Loader, func() error, error) {
			return loader, func() error { return nil }, nil
		},
		note:   func() (bootnote.Note, error) { return bootnote.Note{}, bootnote.ErrNone },
		find:   bench.partition,
		beside: bench.partition,
		tell: func(_ context.Context, t initctl.Trial) error {
			bench.told = append(bench.told, t)
			return bench.tells
		},
		now: func() time.Time { return noon },
		log: slog.New(slog.DiscardHandler),
	}
	return bench
}

func (b *bench) boot(t *testing.T) slots.Boot {
	t.Helper()
	boot, err := b.loader.Boot()
	if err != nil {
		t.Fatal(err)
	}
	return boot
}

func on(s slots.Slot) slots.Running { return slots.Running{Slot: s} }

var trying = slots.Running{Slot: slots.B, Trial: true}

func TestCommit(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A, Trial: slots.B}, trying)
	b.tells = errors.New("PID 1 is busy")
	if _, err := b.commit(t.Context()); err == nil || err.Error() != "cannot commit: PID 1 is busy" {
		t.Errorf("commit = %v, want what PID 1 said", err)
	}
	b.tells = nil
	want := slots.Boot{Committed: slots.B, Previous: slots.A}
	res, err := b.commit(t.Context())
	if diff := cmp.Diff(osupdate.Changed{Boot: want, Slot: slots.B, Version: "v2", Nothing: "slot B is committed already"}, res); diff != "" || err != nil {
		t.Errorf("commit again = %v (-want +got):\n%s", err, diff)
	}
	if got := b.boot(t); got != want {
		t.Errorf("the boot loader keeps %+v, want %+v", got, want)
	}
	if len(b.told) != 2 || b.told[1].Outcome != initctl.TrialCommitted {
		t.Errorf("PID 1 was told %+v", b.told)
	}
	s := b.status(t.Context())
	if s.State != slots.Committed || s.Next != slots.B || !s.Committed.Equal(noon) || s.Slots[slots.B].Release != idOf("v2") {
		t.Errorf("status = %+v", s)
	}
}

func TestCommitRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		boot    slots.Boot
		running slots.Running
		want    string
	}{
		{"live", slots.Boot{Committed: slots.A}, on(""), "cannot commit: " + errLive.Error()},
		{"another is on trial", slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, on(slots.A), "cannot commit: slot A is running, but it is not on trial"},
	} {
		b := newBench(t, tt.boot, tt.running)
		if _, err := b.commit(t.Context()); err == nil || err.Error() != tt.want {
			t.Errorf("%s: commit = %v, want %s", tt.name, err, tt.want)
		}
		if got := b.boot(t); got != tt.boot || len(b.told) > 0 {
			t.Errorf("%s: the boot loader keeps %+v, PID 1 was told %+v", tt.name, got, b.told)
		}
	}
}

func TestRollback(t *testing.T) {
	for _, tt := range []struct {
		name    string
		boot    slots.Boot
		running slots.Running
		want    osupdate.Changed
		state   slots.State
		failed  string // the version that an operator has left
	}{
		{"committed", slots.Boot{Committed: slots.B, Previous: slots.A}, on(slots.B),
			osupdate.Changed{Boot: slots.Boot{Committed: slots.A, Previous: slots.B}, Slot: slots.A, Version: "v1", Restart: true}, slots.Failed, "v2"},
		{"running trial", slots.Boot{Committed: slots.A, Trial: slots.B}, trying,
			osupdate.Changed{Boot: slots.Boot{Committed: slots.A}, Slot: slots.A, Version: "v1", Restart: true}, slots.Failed, "v2"},
		{"armed trial", slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, on(slots.A),
			osupdate.Changed{Boot: slots.Boot{Committed: slots.A}, Slot: slots.A, Version: "v1"}, slots.Staged, ""},
		{"previous was started by hand", slots.Boot{Committed: slots.B, Previous: slots.A}, on(slots.A),
			osupdate.Changed{Boot: slots.Boot{Committed: slots.A, Previous: slots.B}, Slot: slots.A, Version: "v1"}, slots.Failed, "v2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.boot, tt.running)
			res, err := b.rollback(t.Context())
			if diff := cmp.Diff(tt.want, res); diff != "" || err != nil {
				t.Errorf("rollback = %v (-want +got):\n%s", err, diff)
			}
			s := b.status(t.Context())
			if s.State != tt.state || s.Next != tt.want.Slot {
				t.Errorf("state = %s, next %s, want %s, %s", s.State, s.Next, tt.state, tt.want.Slot)
			}
			left := ""
			if s.Failure != nil {
				left = s.Failure.Version
			}
			if left != tt.failed {
				t.Errorf("the operator has left %q, want %q", left, tt.failed)
			}
		})
	}
}

// TestRollbackWithoutPartition: the boot loader would start a kernel that finds
// nothing behind it, and go on doing so.
func TestRollbackWithoutPartition(t *testing.T) {
	for _, tt := range []struct {
		boot    slots.Boot
		running slots.Running
	}{
		{slots.Boot{Committed: slots.B, Previous: slots.A}, on(slots.B)},
		{slots.Boot{Committed: slots.A, Trial: slots.B}, trying},
	} {
		b := newBench(t, tt.boot, tt.running)
		b.lost = []string{"PARTUUID=v1"}
		const why = `slot A cannot be started: cannot find device "PARTUUID=v1": no such device`
		if _, err := b.rollback(t.Context()); err == nil || err.Error() != "cannot roll back: "+why {
			t.Errorf("rollback = %v, want %s", err, why)
		}
		if got := b.boot(t); got != tt.boot || len(b.told) > 0 {
			t.Errorf("the boot loader keeps %+v, PID 1 was told %+v", got, b.told)
		}
		if s := b.status(t.Context()); !slices.Contains(s.Warnings, why) {
			t.Errorf("status warns of %q, want %s", s.Warnings, why)
		}
	}
}

// TestPartitionTooSmall: it has been made anew, and the OS image was cut off.
func TestPartitionTooSmall(t *testing.T) {
	layout := releasetest.Layout(t, releasetest.Spec{Version: "v2.0.0", Arch: "amd64", Data: releasetest.Content(1, 64)})
	r, err := release.Open(t.Context(), layout, release.Options{Arch: "amd64", AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	size := r.Manifest.Parts[release.Image].Size
	e := entryOf("v2.0.0")
	e.Release = r.Bundle.Release
	b := newBench(t, slots.Boot{Committed: slots.A}, on(slots.A))
	b.size = size
	if err := b.imageOf(e); err != nil {
		t.Errorf("imageOf = %v", err)
	}
	b.size--
	want := fmt.Sprintf("/dev/vda4 has %d bytes, and its OS image %d", b.size, size)
	if err := b.imageOf(e); err == nil || err.Error() != want {
		t.Errorf("imageOf = %v, want %s", err, want)
	}
}

// TestStatusWithoutPartition: nothing can be written to a slot that is gone.
func TestStatusWithoutPartition(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A}, on(slots.A))
	if err := b.loader.ClearSlot(slots.B); err != nil {
		t.Fatal(err)
	}
	if s := b.status(t.Context()); len(s.Warnings) > 0 {
		t.Errorf("status of a sound disk warns of %q", s.Warnings)
	}
	b.lost = []string{"ROOT_B"}
	want := []string{`cannot find slot B: cannot find device "ROOT_B": no such device`}
	if s := b.status(t.Context()); !slices.Equal(s.Warnings, want) {
		t.Errorf("status warns of %q, want %q", s.Warnings, want)
	}
}

// TestRollbackEndsTheTrial: a machine that stays up until its next restart must
// not be restarted by the deadline of a trial that is over.
func TestRollbackEndsTheTrial(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A, Trial: slots.B}, trying)
	if _, err := b.rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]initctl.Trial{{Outcome: initctl.TrialEnded}}, b.told); diff != "" {
		t.Errorf("PID 1 was told (-want +got):\n%s", diff)
	}
	for name, boot := range map[string]slots.Boot{
		"an armed trial":  {Committed: slots.A, Trial: slots.B, Tries: 1},
		"a committed one": {Committed: slots.A, Previous: slots.B},
	} {
		b := newBench(t, boot, on(slots.A))
		if _, err := b.rollback(t.Context()); err != nil || len(b.told) > 0 {
			t.Errorf("rollback of %s: %v, PID 1 was told %+v", name, err, b.told)
		}
	}
}

// TestRollbackWithoutPID1: in the rescue shell nobody listens.
func TestRollbackWithoutPID1(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A, Trial: slots.B}, trying)
	b.tells = errors.New("no PID 1")
	if res, err := b.rollback(t.Context()); err != nil || res.Slot != slots.A {
		t.Errorf("rollback = %+v, %v", res, err)
	}
}

func TestRollbackOfARollback(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.B, Previous: slots.A}, on(slots.B))
	for range 2 {
		if _, err := b.rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := b.status(t.Context())
	if s.Boot.Committed != slots.B || s.Wanted.Version != "v2" {
		t.Errorf("two rollbacks lead to %+v, wanted %+v", s.Boot, s.Wanted)
	}
}

func TestRearm(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A, Trial: slots.B}, trying)
	for _, nothing := range []string{"", "no try of a trial to give back"} {
		res, err := b.rearm(t.Context())
		if err != nil || res.Nothing != nothing || res.Boot.Tries != 1 || res.Slot != slots.B {
			t.Errorf("rearm = %+v, %v, want 1 try and %q", res, err, nothing)
		}
	}
}

func TestSettle(t *testing.T) {
	spent := slots.Boot{Committed: slots.A, Trial: slots.B}
	back := slots.Running{Slot: slots.A, Failed: slots.B}
	early := noon.Add(-time.Hour)
	for _, tt := range []struct {
		name    string
		boot    slots.Boot
		running slots.Running
		note    bootnote.Note
		want    *slots.Failure // Release and Slot are filled in
		left    slots.Boot
	}{
		{name: "nothing happened", boot: slots.Boot{Committed: slots.A, Previous: slots.B}, running: on(slots.A), left: slots.Boot{Committed: slots.A, Previous: slots.B}},
		{name: "on trial", boot: spent, running: trying, left: spent},
		{name: "armed, and something else was chosen in the menu", boot: slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, running: on(slots.A),
			left: slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}},
		{name: "without a note", boot: spent, running: back, left: slots.Boot{Committed: slots.A},
			want: &slots.Failure{At: noon, Check: "kernel", Reason: "it ended before its first program could write anything: it could not be loaded, panicked, or hung"}},
		{name: "the note of another release", boot: spent, running: back, left: slots.Boot{Committed: slots.A},
			note: bootnote.Note{Slot: "B", RootHash: "v0", Outcome: bootnote.Failed, Reason: "old"},
			want: &slots.Failure{At: noon, Check: "kernel", Reason: "it ended before its first program could write anything: it could not be loaded, panicked, or hung"}},
		{name: "failed", boot: spent, running: back, left: slots.Boot{Committed: slots.A},
			note: bootnote.Note{Slot: "B", RootHash: "v2", Phase: "services", Outcome: bootnote.Failed, Reason: "network is unhealthy", Check: "service network",
				Lines: []string{"no carrier"}, At: early},
			want: &slots.Failure{At: early, Check: "service network", Reason: "network is unhealthy", Lines: []string{"no carrier"}}},
		{name: "without a word", boot: spent, running: back, left: slots.Boot{Committed: slots.A},
			note: bootnote.Note{Slot: "B", RootHash: "v2", Phase: "verity", Uptime: 3.6, Lines: []string{"x"}, At: early},
			want: &slots.Failure{At: noon, Check: "phase verity", Lines: []string{"x"},
				Reason: "it ended without a word after phase verity, 4 s after its start: a panic, a hang, a reset or a power cut"}},
		{name: "stopped too often", boot: spent, running: back, left: slots.Boot{Committed: slots.A},
			note: bootnote.Note{Slot: "B", RootHash: "v2", Phase: "services", Outcome: bootnote.Stopped, Stops: 3, At: early},
			want: &slots.Failure{At: early, Check: "phase services", Reason: "it was restarted 3 times in a row before it could be committed"}},
		{name: "not counted", boot: slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, left: slots.Boot{Committed: slots.A},
			running: slots.Running{Slot: slots.A, Failed: slots.B, Uncounted: true},
			want:    &slots.Failure{At: noon, Check: "boot loader", Reason: "it was not started: the boot loader could not write down that it tried"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.boot, tt.running)
			if tt.note.Slot != "" {
				b.machine.note = func() (bootnote.Note, error) { return tt.note, nil }
			}
			if tt.want != nil {
				tt.want.Release, tt.want.Slot = idOf("v2"), slots.B
			}
			res, err := b.settle(t.Context())
			if diff := cmp.Diff(osupdate.Settled{Failure: tt.want}, res, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("settle = %v (-want +got):\n%s", err, diff)
			}
			if again, err := b.settle(t.Context()); err != nil || again.Failure != nil {
				t.Errorf("settle again = %+v, %v, want nothing", again, err)
			}
			if got := b.boot(t); got != tt.left {
				t.Errorf("the boot loader keeps %+v, want %+v", got, tt.left)
			}
			s := b.status(t.Context())
			if diff := cmp.Diff(tt.want, s.Failure, cmpopts.EquateEmpty()); diff != "" || tt.want != nil && s.State != slots.Failed {
				t.Errorf("state %s, failure (-want +got):\n%s", s.State, diff)
			}
		})
	}
}

// TestSettleIsCutOff: the reason is kept before the trial is taken back.
func TestSettleIsCutOff(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A, Trial: slots.B}, slots.Running{Slot: slots.A, Failed: slots.B})
	b.loader.Step = func() error { return errors.New("cut") }
	if _, err := b.settle(t.Context()); err == nil {
		t.Fatal("settle without power = nil")
	}
	if s := b.status(t.Context()); s.State != slots.Failed || s.Failure == nil {
		t.Errorf("status = %+v, want it to know of the failure", s)
	}
	b.loader.Step = nil
	if _, err := b.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := b.loadRecord(); len(r.Failures) != 1 {
		t.Errorf("the record has %d failures, want 1", len(r.Failures))
	}
}

// TestSettleOnAFullDisk: a reason that cannot be kept is asked for again.
func TestSettleOnAFullDisk(t *testing.T) {
	spent := slots.Boot{Committed: slots.A, Trial: slots.B}
	b := newBench(t, spent, slots.Running{Slot: slots.A, Failed: slots.B})
	b.machine.note = func() (bootnote.Note, error) {
		return bootnote.Note{Slot: "B", RootHash: "v2", Phase: "running", Outcome: bootnote.Failed, Reason: "no space left on device", Check: "state disk"}, nil
	}
	room := b.record
	full := filepath.Join(t.TempDir(), "full")
	if err := os.WriteFile(full, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.record = filepath.Join(full, "slots.json")
	if _, err := b.settle(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "cannot settle the last trial: cannot keep the record of the slots: ") {
		t.Errorf("settle = %v, want an error about the record", err)
	}
	if got := b.boot(t); got != spent {
		t.Errorf("the boot loader keeps %+v, want %+v", got, spent)
	}
	if s := b.status(t.Context()); s.State != slots.Failed || s.Failure == nil || s.Failure.Check != "state disk" || s.Next != slots.A {
		t.Errorf("status = %+v, want it to know of the failure, and slot A to start next", s)
	}
	b.record = room
	if _, err := b.settle(t.Context()); err != nil {
		t.Error(err)
	}
	if s := b.status(t.Context()); s.State != slots.Failed || s.Failure == nil || s.Failure.Check != "state disk" || s.Boot.Trial != "" {
		t.Errorf("status = %+v, want the failure settled", s)
	}
}

func TestStatus(t *testing.T) {
	b := newBench(t, slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 2, Args: "quiet -- rancher.password=x"}, on(slots.A))
	b.trusted = true
	got := b.status(t.Context())
	boot := b.boot(t)
	boot.Args = "quiet"
	want := slots.Status{
		State: slots.Staged, Running: on(slots.A), Version: "v1", Boot: &boot, Next: slots.B, TrustedKey: true,
		Slots: map[slots.Slot]slots.Content{slots.A: {Release: idOf("v1")}, slots.B: {Release: idOf("v2")}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	live := newBench(t, slots.Boot{Committed: slots.A}, on(""))
	if diff := cmp.Diff(slots.Status{State: slots.Idle, Version: "v1"}, live.status(t.Context())); diff != "" {
		t.Errorf("status of the live system (-want +got):\n%s", diff)
	}

	broken := newBench(t, slots.Boot{Committed: slots.A}, on(slots.A))
	broken.look = func(context.Context) (bootloader.Loader, func() error, error) { return nil, nil, errors.New("no disk") }
	if diff := cmp.Diff(slots.Status{State: slots.Idle, Running: on(slots.A), Version: "v1", Warnings: []string{"no disk"}}, broken.status(t.Context())); diff != "" {
		t.Errorf("status without a boot loader (-want +got):\n%s", diff)
	}
}

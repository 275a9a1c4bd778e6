package upgrade_test

import (
	"bytes"
	"context"
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

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/release/releasetest"
	"github.com/rosteros/ros/internal/signature"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/upgrade"
)

// noEvents is nobody who listens.
type noEvents struct{ notes []string }

func (*noEvents) Progress(string, int64, int64) {}
func (e *noEvents) Note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// memoryPartition is a partition in memory.
type memoryPartition struct {
	content []byte
	broken  int64 // a byte at which the disk keeps something else; 0: none
	full    error // of every write
	settled bool
}

func (p *memoryPartition) Size() int64  { return int64(len(p.content)) }
func (p *memoryPartition) UUID() string { return "11111111-2222" }
func (p *memoryPartition) Close() error { return nil }
func (p *memoryPartition) Settle() error {
	p.settled = true
	return nil
}

func (p *memoryPartition) ReadAt(b []byte, at int64) (int, error) {
	return bytes.NewReader(p.content).ReadAt(b, at)
}

func (p *memoryPartition) WriteAt(b []byte, at int64) (int, error) {
	if p.full != nil {
		return 0, p.full
	}
	n := copy(p.content[at:], b)
	if p.broken > 0 && at <= p.broken && p.broken < at+int64(n) {
		p.content[p.broken] ^= 0xff
	}
	return n, nil
}

// rig is a machine with a committed v1 in slot A, and a key.
type rig struct {
	upgrade.Machine
	loader *bootloader.Memory
	parts  map[slots.Slot]*memoryPartition
	events *noEvents
	key    signature.PrivateKey
	v1     *release.Release
	forgot int   // how often the boot note was forgotten
	noNote error // why it cannot be
}

func newRig(t *testing.T) *rig {
	t.Helper()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{key: key, events: &noEvents{}, parts: map[slots.Slot]*memoryPartition{}}
	r.v1 = r.release(t, "v1.0.0")
	for _, s := range slots.All {
		r.parts[s] = &memoryPartition{content: make([]byte, 1<<20)}
	}
	if err := r.v1.WriteImage(t.Context(), r.parts[slots.A], nil, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	r.loader, err = bootloader.NewMemory(bootloader.Entry{
		Version: "v1.0.0", Cmdline: "ros.slot=A", Kernel: bootloader.Bytes([]byte("kernel v1.0.0 amd64")), Initrd: bootloader.Bytes([]byte("initrd v1.0.0 amd64")),
		Release: r.v1.Bundle.Release, Signature: r.v1.Bundle.Signature,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Machine = upgrade.Machine{
		Loader: r.loader, Running: slots.Running{Slot: slots.A},
		Open:   func(s slots.Slot, _ bool) (upgrade.Partition, error) { return r.parts[s], nil },
		Record: filepath.Join(t.TempDir(), "os/slots.json"), Version: "v1.0.0", Floor: "v0.9.0", Scratch: t.TempDir(),
		ForgetNote: func() error {
			r.forgot++
			return r.noNote
		},
		Now:    func() time.Time { return time.Unix(1, 0) },
		Events: r.events, Log: slog.New(slog.DiscardHandler),
	}
	return r
}

// release makes a release as a layout on disk and opens it.
func (r *rig) release(t *testing.T, version string) *release.Release {
	t.Helper()
	opened, _ := r.layout(t, version)
	return opened
}

func (r *rig) layout(t *testing.T, version string) (*release.Release, string) {
	t.Helper()
	layout := releasetest.Layout(t, releasetest.Spec{Version: version, Arch: "amd64", Floor: "v0.9.0", Data: data(version), Key: &r.key})
	opened, err := release.Open(t.Context(), layout, release.Options{Arch: "amd64", Keys: []signature.PublicKey{r.key.Public("test")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened, layout
}

// data is what is in the OS image of a version.
func data(version string) []byte {
	return releasetest.Content(uint64(len(version))+uint64(version[1]), 64)
}

// image is the OS image of a version: data, and behind it the verity tree.
func image(version string) []byte {
	sealed, _ := releasetest.Seal(data(version))
	return sealed
}

func (r *rig) boot(t *testing.T) slots.Boot {
	t.Helper()
	b, err := r.loader.Boot()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStageAndArm(t *testing.T) {
	r := newRig(t)
	v2 := r.release(t, "v2.0.0")
	res, err := r.Stage(t.Context(), v2, upgrade.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := osupdate.Upgraded{Release: slots.Release{Version: "v2.0.0", Digest: v2.Digest}, Slot: slots.B, Key: "test", Size: int64(len(image("v2.0.0"))) + 2*int64(len("kernel v2.0.0 amd64")), Transferred: res.Transferred}
	if diff := cmp.Diff(want, res); diff != "" || res.Transferred <= 0 {
		t.Errorf("Stage differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(slots.Boot{Committed: slots.A}, r.boot(t)); diff != "" {
		t.Errorf("after Stage the boot loader has (-want +got):\n%s", diff)
	}
	if !bytes.HasPrefix(r.parts[slots.B].content, image("v2.0.0")) || !r.parts[slots.B].settled {
		t.Error("the partition does not hold the OS image, or is not synced")
	}
	entry, err := r.loader.ReadSlot(slots.B)
	if err != nil || entry.Cmdline != "ros.image=PARTUUID=11111111-2222 ros.slot=B "+v2.Manifest.Cmdline {
		t.Errorf("slot B has the command line %q, %v", entry.Cmdline, err)
	}

	// Again: nothing is written, and it can be armed.
	r.parts[slots.B].full = errors.New("written to")
	again, err := r.Stage(t.Context(), v2, upgrade.Options{})
	if err != nil || !again.Already || r.forgot != 0 {
		t.Fatalf("Stage again = %+v, %v, boot notes forgotten: %d; want already there, and none", again, err, r.forgot)
	}
	r.noNote = errors.New("no partition BOOT_NOTE") // explains less, and is no reason to stop
	armed, err := r.Arm(again, "")
	if err != nil || !armed.Armed || r.forgot != 1 {
		t.Fatalf("Arm = %+v, %v, boot notes forgotten: %d; want armed, and one", armed, err, r.forgot)
	}
	if diff := cmp.Diff(slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, r.boot(t)); diff != "" {
		t.Errorf("after Arm the boot loader has (-want +got):\n%s", diff)
	}
	record, err := slots.LoadRecord(r.Record)
	if err != nil || record.Wanted == nil || *record.Wanted != armed.Release || record.Slots[slots.B].Digest != v2.Digest {
		t.Errorf("record = %+v, %v", record, err)
	}
	if len(r.events.notes) > 0 {
		t.Errorf("notes: %q", r.events.notes)
	}
}

// TestRefused: whatever is wrong, the committed slot and what the boot loader
// keeps are as they were.
func TestRefused(t *testing.T) {
	failed := func(digest string) slots.Record {
		return slots.Record{}.Add(slots.Failure{Release: slots.Release{Version: "v2.0.0", Digest: digest}, At: time.Unix(0, 0), Reason: "service network is unhealthy"})
	}
	for _, tt := range []struct {
		name, version string
		prepare       func(*rig, *release.Release)
		options       upgrade.Options
		want          string
		cleared       bool // slot B was given up for it
	}{
		{name: "the live system", prepare: func(r *rig, _ *release.Release) { r.Running = slots.Running{} },
			want: `cannot upgrade to v2.0.0: this is the live system, which has no slots ("ros install" puts it on a disk)`},
		{name: "on trial itself", prepare: func(r *rig, _ *release.Release) {
			r.Running = slots.Running{Slot: slots.B, Trial: true}
		}, want: `cannot upgrade to v2.0.0: what runs, v1.0.0, is on trial itself; when it is committed ("ros os status") there can be another`},
		{name: "what runs", version: "v1.0.0", want: "cannot upgrade to v1.0.0: it is what runs already"},
		{name: "failed before", prepare: func(r *rig, v2 *release.Release) {
			if err := slots.SaveRecord(r.Record, failed(v2.Digest)); err != nil {
				panic(err)
			}
		}, want: "cannot upgrade to v2.0.0: it has failed here, on 1970-01-01 00:00:00: service network is unhealthy (--retry tries it again)"},
		{name: "below the floor", version: "v0.8.0",
			want: "cannot upgrade to v0.8.0: it is older than v0.9.0, the oldest that v1.0.0 goes back to (--below-floor does it all the same)"},
		{name: "too large", prepare: func(r *rig, _ *release.Release) { r.parts[slots.B].content = make([]byte, 4096) },
			want: "cannot upgrade to v2.0.0: its OS image has 270336 bytes, slot B has room for 4096"},
		{name: "the disk breaks", prepare: func(r *rig, _ *release.Release) { r.parts[slots.B].full = errors.New("input/output error") }, cleared: true,
			want: "cannot upgrade to v2.0.0: cannot write the OS image of release v2.0.0: input/output error"},
		{name: "the disk keeps something else", prepare: func(r *rig, _ *release.Release) { r.parts[slots.B].broken = 70000 }, cleared: true,
			want: "cannot upgrade to v2.0.0: the OS image on the disk is damaged: sha256 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			version := tt.version
			if version == "" {
				version = "v2.0.0"
			}
			rel := r.v1
			if version != "v1.0.0" {
				rel = r.release(t, version)
			}
			if tt.prepare != nil {
				tt.prepare(r, rel)
			}
			_, err := r.Stage(t.Context(), rel, tt.options)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("Stage error = %v, want %s", err, tt.want)
			}
			if diff := cmp.Diff(slots.Boot{Committed: slots.A}, r.boot(t)); diff != "" {
				t.Errorf("the boot loader has (-want +got):\n%s", diff)
			}
			if _, err := r.loader.ReadSlot(slots.B); !errors.Is(err, bootloader.ErrEmpty) {
				t.Errorf("slot B: %v, want empty", err)
			}
			if _, err := r.loader.ReadSlot(slots.A); err != nil {
				t.Errorf("slot A: %v", err)
			}
		})
	}
}

// TestMissingSlot: what the boot loader has of a slot stays when there is no
// partition to write.
func TestMissingSlot(t *testing.T) {
	r := newRig(t)
	if _, err := r.Stage(t.Context(), r.release(t, "v2.0.0"), upgrade.Options{}); err != nil {
		t.Fatal(err)
	}
	before := slots.Boot{Committed: slots.A, Previous: slots.B}
	if err := r.loader.SetBoot(before); err != nil {
		t.Fatal(err)
	}
	open := r.Open
	r.Open = func(s slots.Slot, write bool) (upgrade.Partition, error) {
		if s == slots.B {
			return nil, errors.New("cannot find slot B: no partition ROOT_B beside /dev/vda3")
		}
		return open(s, write)
	}
	const want = "cannot upgrade to v3.0.0: cannot find slot B: no partition ROOT_B beside /dev/vda3"
	if _, err := r.Stage(t.Context(), r.release(t, "v3.0.0"), upgrade.Options{}); err == nil || err.Error() != want {
		t.Errorf("Stage = %v, want %s", err, want)
	}
	if got := r.boot(t); got != before {
		t.Errorf("the boot loader has %+v, want %+v", got, before)
	}
	verified, err := r.Verify(t.Context(), []signature.PublicKey{r.key.Public("test")})
	if err != nil || len(verified) != 2 || len(verified[0].Faults) > 0 || !slices.Equal(verified[1].Faults, []string{want[len("cannot upgrade to v3.0.0: "):]}) {
		t.Errorf("Verify = %+v, %v", verified, err)
	}
}

// TestRefusedAfterCommit: a system that was on trial in this boot and has been
// committed refuses what every other one refuses.
func TestRefusedAfterCommit(t *testing.T) {
	for _, tt := range []struct{ name, version, want string }{
		{"what runs", "v2.0.0", "it is what runs already"},
		{"failed before", "v3.0.0", "it has failed here, on 1970-01-01 00:00:00: unhealthy (--retry tries it again)"},
		{"below the floor", "v0.8.0", "it is older than v0.9.0, the oldest that v2.0.0 goes back to (--below-floor does it all the same)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			offered := r.committed(t)
			if tt.version != "v2.0.0" {
				offered = r.release(t, tt.version)
			}
			if tt.version == "v3.0.0" {
				failure := slots.Failure{Release: slots.Release{Digest: offered.Digest}, At: time.Unix(0, 0), Reason: "unhealthy"}
				if err := slots.SaveRecord(r.Record, slots.Record{}.Add(failure)); err != nil {
					t.Fatal(err)
				}
			}
			want := "cannot upgrade to " + tt.version + ": " + tt.want
			if _, err := r.Check(offered.Checked, upgrade.Options{}); err == nil || err.Error() != want {
				t.Errorf("Check error = %v, want %s", err, want)
			}
			if _, err := r.Stage(t.Context(), offered, upgrade.Options{}); err == nil || err.Error() != want {
				t.Errorf("Stage error = %v, want %s", err, want)
			}
			if diff := cmp.Diff(slots.Boot{Committed: slots.B, Previous: slots.A}, r.boot(t)); diff != "" {
				t.Errorf("the boot loader has (-want +got):\n%s", diff)
			}
		})
	}
}

// committed upgrades the machine to v2, and commits that in the boot of its trial.
func (r *rig) committed(t *testing.T) *release.Release {
	t.Helper()
	v2 := r.release(t, "v2.0.0")
	if _, err := r.Stage(t.Context(), v2, upgrade.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := r.loader.SetBoot(slots.Boot{Committed: slots.B, Previous: slots.A}); err != nil {
		t.Fatal(err)
	}
	r.Running, r.Version = slots.Running{Slot: slots.B, Trial: true}, "v2.0.0"
	return v2
}

// TestDamagedOnTheWay: nothing is given up for a kernel that is not the one
// that was signed, and nothing of it stays.
func TestDamagedOnTheWay(t *testing.T) {
	r := newRig(t)
	v2, layout := r.layout(t, "v2.0.0")
	kernel := filepath.Join(layout, "blobs/sha256", v2.Manifest.Parts[release.Kernel].Digest.Encoded())
	for _, tt := range []struct{ content, want string }{
		{"kernel v2.0.0 AMD64", "cannot upgrade to v2.0.0: cannot get the kernel of release v2.0.0: it is damaged: its digest is sha256:"},
		{"kernel", "cannot upgrade to v2.0.0: cannot get the kernel of release v2.0.0: "},
	} {
		if err := os.WriteFile(kernel, []byte(tt.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Stage(t.Context(), v2, upgrade.Options{}); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("a kernel %q: %v, want %s", tt.content, err, tt.want)
		}
		if diff := cmp.Diff(slots.Boot{Committed: slots.A}, r.boot(t)); diff != "" {
			t.Errorf("the boot loader has (-want +got):\n%s", diff)
		}
		if left, err := os.ReadDir(r.Scratch); err != nil || len(left) > 0 {
			t.Errorf("there is left: %v, %v", left, err)
		}
	}
}

// TestFailedJustNow: a trial that failed is known before its reason could be kept.
func TestFailedJustNow(t *testing.T) {
	r := newRig(t)
	v2 := r.release(t, "v2.0.0")
	if _, err := r.Stage(t.Context(), v2, upgrade.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := r.loader.SetBoot(slots.Boot{Committed: slots.A, Trial: slots.B}); err != nil {
		t.Fatal(err)
	}
	want := "cannot upgrade to v2.0.0: it has failed here (--retry tries it again)"
	if _, err := r.Stage(t.Context(), v2, upgrade.Options{}); !errors.Is(err, upgrade.ErrFailed) || err.Error() != want {
		t.Errorf("Stage error = %v, want %s", err, want)
	}
	if res, err := r.Stage(t.Context(), v2, upgrade.Options{Retry: true}); err != nil || !res.Already {
		t.Errorf("Stage with Retry = %+v, %v, want it there already", res, err)
	}
}

// TestInsisted: what is refused, and done when the operator insists.
func TestInsisted(t *testing.T) {
	r := newRig(t)
	old := r.release(t, "v0.8.0")
	if err := slots.SaveRecord(r.Record, slots.Record{}.Add(slots.Failure{Release: slots.Release{Digest: old.Digest}})); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stage(t.Context(), old, upgrade.Options{BelowFloor: true}); !errors.Is(err, upgrade.ErrFailed) {
		t.Errorf("Stage error = %v, want one of a release that failed", err)
	}
	if _, err := r.Stage(t.Context(), old, upgrade.Options{BelowFloor: true, Retry: true}); err != nil {
		t.Errorf("Stage error = %v, want none", err)
	}
}

// TestCutAnywhere stops the boot loader's writes after each number of steps:
// what starts next is v1, or v2 when it was armed and is whole.
func TestCutAnywhere(t *testing.T) {
	cut := errors.New("power cut")
	for steps := 0; ; steps++ {
		r := newRig(t)
		v2 := r.release(t, "v2.0.0")
		left := steps
		r.loader.Step = func() error {
			if left == 0 {
				return cut
			}
			left--
			return nil
		}
		res, err := r.Stage(t.Context(), v2, upgrade.Options{})
		if err == nil {
			_, err = r.Arm(res, "")
		}
		r.loader.Step = nil
		start := r.boot(t).Start(slots.Medium{})
		if start.Slot != slots.A && !(start.Slot == slots.B && start.Trial && err == nil) {
			t.Fatalf("cut after %d steps: %+v starts", steps, start)
		}
		if _, rerr := r.loader.ReadSlot(start.Slot); rerr != nil {
			t.Fatalf("cut after %d steps: slot %s starts, and is not whole: %v", steps, start.Slot, rerr)
		}
		if err == nil {
			if steps < 3 {
				t.Fatalf("an upgrade has only %d steps: the cuts are not seen", steps)
			}
			return
		}
		if !errors.Is(err, cut) {
			t.Fatalf("cut after %d steps: %v", steps, err)
		}
	}
}

func TestVerify(t *testing.T) {
	r := newRig(t)
	keys := []signature.PublicKey{r.key.Public("test")}
	id := slots.Release{Version: "v1.0.0", Digest: r.v1.Digest}
	check := func(want ...osupdate.Verified) {
		t.Helper()
		got, err := r.Verify(t.Context(), keys)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			for j, f := range got[i].Faults {
				got[i].Faults[j], _, _ = strings.Cut(f, ":")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Verify differs (-want +got):\n%s", diff)
		}
	}
	check(osupdate.Verified{Slot: slots.A, Release: id, Key: "test"}, osupdate.Verified{Slot: slots.B, Empty: true})
	r.parts[slots.A].content[5000] ^= 1
	check(osupdate.Verified{Slot: slots.A, Release: id, Key: "test", Faults: []string{"the OS image on the disk is damaged"}}, osupdate.Verified{Slot: slots.B, Empty: true})
	keys = nil
	r.parts[slots.A].content[5000] ^= 1
	check(osupdate.Verified{Slot: slots.A, Release: id}, osupdate.Verified{Slot: slots.B, Empty: true})

	r.Running = slots.Running{}
	if _, err := r.Verify(context.Background(), keys); err == nil {
		t.Error("Verify on the live system: no error")
	}
}

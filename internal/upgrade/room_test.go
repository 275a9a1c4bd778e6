package upgrade_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/release/releasetest"
	"github.com/rosteros/ros/internal/signature"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/upgrade"
)

// TestNoRoomForTheKernel: an EFI system partition that is too small for the
// release is noticed before the previous one is given up.
func TestNoRoomForTheKernel(t *testing.T) {
	r := newRig(t)
	r.committed(t)
	v3 := r.release(t, "v3.0.0")
	r.loader.Room = 10
	_, err := r.Stage(t.Context(), v3, upgrade.Options{})
	want := "cannot upgrade to v3.0.0: cannot write slot A: it needs 1 MiB on the EFI system partition, which has room for 0 MiB"
	if err == nil || err.Error() != want {
		t.Errorf("Stage error = %v, want %s", err, want)
	}
	if diff := cmp.Diff(slots.Boot{Committed: slots.B, Previous: slots.A}, r.boot(t)); diff != "" {
		t.Errorf("the boot loader has (-want +got):\n%s", diff)
	}
	if _, err := r.loader.ReadSlot(slots.A); err != nil {
		t.Errorf("slot A: %v", err)
	}
	if v3.Fetched() != 0 {
		t.Errorf("%d bytes were fetched in vain", v3.Fetched())
	}
}

// TestKernelAtHand: a kernel or an initrd that a slot has is not fetched, and one
// that only looks like it is.
func TestKernelAtHand(t *testing.T) {
	for _, tt := range []struct {
		name, kernel, initrd string
		blobs                bool // of kernel and initrd can be had
		want                 string
	}{
		{name: "both", kernel: "kernel v2.0.0 amd64", initrd: "initrd v2.0.0 amd64"},
		{name: "another kernel", kernel: "kernel v2.0.0 AMD64", initrd: "initrd v2.0.0 amd64", want: "cannot upgrade to v2.0.0: cannot get the kernel of release v2.0.0: "},
		{name: "another kernel, which can be had", kernel: "kernel v2.0.0 AMD64", initrd: "initrd v2.0.0 amd64", blobs: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			v2, layout := r.layout(t, "v2.0.0")
			entry, err := r.loader.ReadSlot(slots.A)
			if err != nil {
				t.Fatal(err)
			}
			entry.Kernel, entry.Initrd = bootloader.Bytes([]byte(tt.kernel)), bootloader.Bytes([]byte(tt.initrd))
			if r.loader, err = bootloader.NewMemory(entry); err != nil {
				t.Fatal(err)
			}
			r.Loader = r.loader
			if !tt.blobs {
				removeBlobs(t, layout, v2)
			}
			_, err = r.Stage(t.Context(), v2, upgrade.Options{})
			if tt.want != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("Stage error = %v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r.checkSlot(t, slots.B, v2)
		})
	}
}

// removeBlobs takes kernel and initrd out of a layout.
func removeBlobs(t *testing.T, layout string, r *release.Release) {
	t.Helper()
	for _, name := range []string{release.Kernel, release.Initrd} {
		if err := os.Remove(filepath.Join(layout, "blobs/sha256", r.Manifest.Parts[name].Digest.Encoded())); err != nil {
			t.Fatal(err)
		}
	}
}

// checkSlot holds a slot against its manifest, every byte.
func (r *rig) checkSlot(t *testing.T, s slots.Slot, want *release.Release) {
	t.Helper()
	found, err := r.Verify(t.Context(), []signature.PublicKey{r.key.Public("test")})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		if v.Slot == s && (v.Digest != want.Digest || v.Key != "test" || len(v.Faults) > 0) {
			t.Errorf("slot %s holds %+v, want release %s, whole and signed", s, v, want.Digest)
		}
	}
}

// TestTransferred: what is told to have travelled is what the server sent.
func TestTransferred(t *testing.T) {
	r := newRig(t)
	layout := releasetest.Layout(t, releasetest.Spec{Version: "v2.0.0", Arch: "amd64", Data: data("v2.0.0"), Packed: true, Key: &r.key})
	server, sent := releasetest.Server(t, layout)
	v2, err := release.Open(t.Context(), server.URL, release.Options{Arch: "amd64", Cache: r.Scratch, Keys: []signature.PublicKey{r.key.Public("test")}})
	if err != nil {
		t.Fatal(err)
	}
	defer v2.Close()
	sent.Store(0)
	res, err := r.Stage(t.Context(), v2, upgrade.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if res.Transferred != sent.Load() {
		t.Errorf("Transferred = %d, the server sent %d", res.Transferred, sent.Load())
	}
	size := int64(0)
	for _, name := range []string{release.Kernel, release.Initrd, release.Image} {
		size += v2.Manifest.Parts[name].Size
	}
	if res.Size != size {
		t.Errorf("Size = %d, want that of all parts, %d", res.Size, size)
	}
}

// TestLeftovers: what a power cut left in the download folder goes with the next
// upgrade, but for what that one can go on with.
func TestLeftovers(t *testing.T) {
	r := newRig(t)
	layout := releasetest.Layout(t, releasetest.Spec{Version: "v2.0.0", Arch: "amd64", Data: data("v2.0.0"), Key: &r.key})
	v2, err := release.Open(t.Context(), layout, release.Options{Arch: "amd64", Cache: r.Scratch, Keys: []signature.PublicKey{r.key.Public("test")}})
	if err != nil {
		t.Fatal(err)
	}
	defer v2.Close()
	own := v2.Manifest.Parts[release.Initrd].Digest.Encoded() + ".part"
	for _, name := range []string{"release-123/kernel", "0123.part", own} {
		name = filepath.Join(r.Scratch, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("init"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The kernel is not to be had, so that the upgrade ends in the middle.
	if err := os.Remove(filepath.Join(layout, "blobs/sha256", v2.Manifest.Parts[release.Kernel].Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stage(t.Context(), v2, upgrade.Options{}); err == nil {
		t.Error("Stage without a kernel = nil, want an error")
	}
	for _, name := range []string{"release-123", "0123.part"} {
		if _, err := os.Stat(filepath.Join(r.Scratch, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
	// What is being fetched has no name: nothing is left of it after a power cut.
	if left, err := filepath.Glob(filepath.Join(r.Scratch, "release-*")); err != nil || len(left) > 0 {
		t.Errorf("there is left: %v, %v", left, err)
	}
}

// TestFullStateDisk: the message says which disk has no room, and the release
// takes none.
func TestFullStateDisk(t *testing.T) {
	r := newRig(t)
	v2 := r.release(t, "v2.0.0")
	if err := syscall.Mount("none", r.Scratch, "tmpfs", 0, "size=4k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err) // CI runs as root
		}
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	defer syscall.Unmount(r.Scratch, syscall.MNT_DETACH)
	filler := filepath.Join(r.Scratch, "filler")
	if err := os.WriteFile(filler, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := r.Stage(t.Context(), v2, upgrade.Options{})
	if want := "cannot upgrade to v2.0.0: the state disk is full: "; err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Stage error = %v, want %s", err, want)
	}
	if left, err := os.ReadDir(r.Scratch); err != nil || len(left) != 1 {
		t.Errorf("there is left: %v, %v", left, err)
	}
}

// TestNotWholeAlready: a slot that has the release, but not every byte of it, is
// written again.
func TestNotWholeAlready(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(*bootloader.Entry)
	}{
		{"a damaged kernel", func(e *bootloader.Entry) { e.Kernel = bootloader.Bytes([]byte("kernel v2.0.0 amd65")) }},
		{"a damaged initrd", func(e *bootloader.Entry) { e.Initrd = bootloader.Bytes(nil) }},
		{"not signed then", func(e *bootloader.Entry) { e.Signature = unsigned(t) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			v2 := r.release(t, "v2.0.0")
			if _, err := r.Stage(t.Context(), v2, upgrade.Options{}); err != nil {
				t.Fatal(err)
			}
			entry, err := r.loader.ReadSlot(slots.B)
			if err != nil {
				t.Fatal(err)
			}
			tt.damage(&entry)
			if err := r.loader.WriteSlot(slots.B, entry); err != nil {
				t.Fatal(err)
			}
			res, err := r.Stage(t.Context(), v2, upgrade.Options{})
			if err != nil || res.Already {
				t.Errorf("Stage = %+v, %v, want it written again", res, err)
			}
			r.checkSlot(t, slots.B, v2)
		})
	}
}

// unsigned is release.sig of v2 as it was before somebody signed it.
func unsigned(t *testing.T) []byte {
	t.Helper()
	layout := releasetest.Layout(t, releasetest.Spec{Version: "v2.0.0", Arch: "amd64", Floor: "v0.9.0", Data: data("v2.0.0")})
	r, err := release.Open(t.Context(), layout, release.Options{Arch: "amd64", AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return r.Bundle.Signature
}

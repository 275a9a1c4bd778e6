package install_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/release"
)

// installed is a machine whose disk vda the job was written to.
func installed(t *testing.T, job install.Job) (m *machine, path string) {
	t.Helper()
	m = newMachine(t)
	path = filepath.Join(m.top, "dev/vda")
	if err := writeImage(t, job, path, 2<<30); err != nil {
		t.Fatal(err)
	}
	layout, err := install.Plan(2<<30, 512)
	if err != nil {
		t.Fatal(err)
	}
	m.sysfs("devices/vda", "vda", 2<<30, nil)
	for n, label := range []string{install.BIOS: "BIOS", install.ESP: "ESP", install.RootA: "ROOT_A", install.RootB: "ROOT_B", install.BootNote: "BOOT_NOTE", install.State: "RANCHER_STATE"} {
		if n == 0 {
			continue
		}
		e := layout.Part(n)
		m.partition("vda", n, e.Size, label, "", map[string]string{"start": strconv.FormatInt(e.Start/512, 10)})
		m.write(fmt.Sprintf("sys/devices/vda/vda%d/uevent", n), fmt.Sprintf("DEVNAME=vda%d\nPARTNAME=%s\nPARTUUID=%s\n", n, label, job.IDs.Parts[n]))
	}
	return m, path
}

// TestRenew writes another release over the one that was installed, and leaves
// the rest.
func TestRenew(t *testing.T) {
	job, _ := newJob(t)
	job.Mark = "order 1"
	m, path := installed(t, job)
	target, err := m.real.Look(path)
	if err != nil || !target.IsRoster() {
		t.Fatalf("Look() = %v, %q", err, target.Found())
	}
	if mark := m.real.Mark(t.Context(), target, job.Run); mark != "order 1" {
		t.Errorf("Mark() = %q, want order 1", mark)
	}
	if args, err := m.real.Args(t.Context(), target, job.Run); err != nil || args != job.Args {
		t.Errorf("Args() = %q, %v, want %q", args, err, job.Args)
	}
	parts := map[string][]byte{release.Image: noise("another image", 3*mib), release.Kernel: noise("another kernel", 99_999), release.Initrd: noise("another initrd", 10)}
	again := job
	again.Source, again.IDs, again.Seed, again.Args, again.Mark = testSource(parts), install.RandomIDs(), nil, "other", ""
	table := piece(t, path, 512, 33*512)
	disk, err := install.OpenImage(path, 2<<30, 512)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if err := again.Renew(t.Context(), disk, target, m.real); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(piece(t, path, 130*mib, 3*mib), parts[release.Image]) {
		t.Error("ROOT_A does not hold the new OS image")
	}
	if !bytes.Equal(piece(t, path, 512, 33*512), table) {
		t.Error("the partition table has changed")
	}
	fat := fmt.Sprintf("%s@@%d", path, 2*mib)
	if slot := tool(t, nil, "mcopy", "-i", fat, "::/slots/A/slot.cfg", "-"); !strings.Contains(slot, "ros.image=PARTUUID="+job.IDs.Parts[install.RootA]+" ") {
		t.Errorf("slot A starts with %s, but the partitions are the old ones", slot)
	}
	if args := tool(t, nil, "mcopy", "-i", fat, "::/grub/args0.cfg", "-"); args != "set args=\"other\"\n" {
		t.Errorf("the kernel arguments are %s", args)
	}
	if mark := m.real.Mark(t.Context(), target, job.Run); mark != "" {
		t.Errorf("Mark() = %q, want none", mark)
	}
	state := fmt.Sprintf("%s?offset=%d", path, 1155*mib)
	tool(t, nil, "e2fsck", "-fn", state)
	if seed := tool(t, nil, "debugfs", "-R", "cat /var/lib/rancher/conf/cloud-config.d/user_config.yml", state); seed != string(job.Seed[0].Data) {
		t.Errorf("the state disk has lost its config: %q", seed)
	}
}

// TestRenewCut: whatever program fails, GRUB has nothing to decide by and
// firmware nothing to start.
func TestRenewCut(t *testing.T) {
	job, _ := newJob(t)
	m, path := installed(t, job)
	target, err := m.real.Look(path)
	if err != nil {
		t.Fatal(err)
	}
	disk, err := install.OpenImage(path, 2<<30, 512)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	power := errors.New("power cut")
	run := job.Run
	for cut := 0; ; cut += 3 {
		count := 0
		job.Run = func(ctx context.Context, stdin io.Reader, out io.Writer, argv ...string) error {
			if count++; count > cut {
				return power
			}
			return run(ctx, stdin, out, argv...)
		}
		err := job.Renew(t.Context(), disk, target, m.real)
		if err == nil && cut > 10 {
			return
		}
		if !errors.Is(err, power) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		// The files that come last are EFI/BOOT and then grubenv.
		fat := fmt.Sprintf("%s@@%d", path, 2*mib)
		if run(t.Context(), nil, io.Discard, "mcopy", "-i", fat, "::/grub/grubenv", "-") == nil && count <= cut {
			t.Errorf("cut at %d there is a grubenv", cut)
		}
	}
}

// TestKeep puts a config onto a state disk that is mounted.
func TestKeep(t *testing.T) {
	m := newMachine(t)
	m.roster("vda")
	state := filepath.Join(m.top, "state")
	m.mounts([2]string{"dev/vda6", state}, [2]string{"dev/vda6", "/var"})
	target, err := m.real.Look(filepath.Join(m.top, "dev/vda"))
	if err != nil {
		t.Fatal(err)
	}
	m.write("state/keep", "")
	file := install.File{Path: "var/lib/rancher/conf/cloud-config.d/user_config.yml", Mode: 0o600, Data: []byte("#cloud-config\n")}
	for range 2 {
		if err := m.real.Keep(target, []install.File{file}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff("#cloud-config\n", string(piece(t, filepath.Join(state, file.Path), 0, 14))); diff != "" {
		t.Errorf("the config (-want +got):\n%s", diff)
	}
}

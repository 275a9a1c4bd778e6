package install_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/release"
)

// loop makes a block device of a new file of size bytes, part of which holds
// what an old disk might.
func loop(t *testing.T, size int64, sector int) string {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI runs as root")
		}
		t.Skip("needs root, for a loop device")
	}
	file := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, mib, 2 * mib, 130 * mib, 642 * mib, 1154 * mib, 1155 * mib, 1160 * mib, size - 2*mib} {
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 2*mib), at); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	out, err := exec.CommandContext(t.Context(), "losetup", "-P", "-f", "--show", "--sector-size", strconv.Itoa(sector), file).CombinedOutput()
	if err != nil {
		if _, there := os.Stat("/dev/loop-control"); there == nil && os.Getenv("CI") == "true" {
			t.Fatalf("no loop device to be had: %v: %s", err, out)
		}
		t.Skipf("no loop device to be had: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", device).CombinedOutput(); err != nil {
			t.Errorf("losetup -d %s: %v: %s", device, err, out)
		}
	})
	return device
}

// TestWriteDevice writes to what the kernel takes for a disk, in both sector
// sizes, and writes the boot loader and slot A anew afterwards.
func TestWriteDevice(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		t.Run(strconv.Itoa(sector), func(t *testing.T) {
			job, _ := newJob(t)
			device := loop(t, 2<<30, sector)
			disk, err := install.OpenDevice(device, 2<<30, int64(sector))
			if err != nil {
				t.Fatal(err)
			}
			err = job.Write(t.Context(), disk)
			disk.Close()
			if err != nil {
				t.Fatal(err)
			}
			inspectDevice(t, device, sector, job)
		})
	}
}

func inspectDevice(t *testing.T, device string, sector int, job install.Job) {
	t.Helper()
	layout, err := install.Plan(2<<30, int64(sector))
	if err != nil {
		t.Fatal(err)
	}
	if out := tool(t, nil, "sfdisk", "--verify", device); !strings.Contains(out, "No errors detected.") {
		t.Errorf("sfdisk --verify: %s", out)
	}
	host := blockdev.Local()
	for n, want := range map[int]blockdev.Content{
		install.ESP:   {Type: "vfat", Label: "ROSTER_ESP"},
		install.State: {Type: "ext4", Label: "RANCHER_STATE", UUID: job.IDs.State},
	} {
		c, err := probePart(t, device, layout.Part(n))
		if want.UUID == "" {
			c.UUID = ""
		}
		if c.Size = 0; err != nil || c != want {
			t.Errorf("partition %d holds %+v, %v, want %+v", n, c, err, want)
		}
	}
	image := piece(t, device, layout.Part(install.RootA).Start, len(testParts[release.Image]))
	if !bytes.Equal(image, testParts[release.Image]) {
		t.Error("ROOT_A does not hold the OS image")
	}
	for _, n := range []int{install.RootB, install.BootNote} {
		if len(bytes.Trim(piece(t, device, layout.Part(n).Start, mib), "\x00")) > 0 {
			t.Errorf("partition %d still holds something", n)
		}
	}
	fat := fmt.Sprintf("%s@@%d", device, layout.Part(install.ESP).Start)
	if got := tool(t, nil, "mcopy", "-i", fat, "::/slots/A/vmlinuz", "-"); got != string(testParts[release.Kernel]) {
		t.Error("the kernel on the EFI system partition is another")
	}
	tool(t, nil, "e2fsck", "-fn", fmt.Sprintf("%s?offset=%d", device, layout.Part(install.State).Start))
	// A kernel with the loop module's partitions shows them, if it is asked to.
	if d, err := host.Find("PARTUUID=" + job.IDs.Parts[install.State]); err == nil && d.Size != layout.Part(install.State).Size {
		t.Errorf("the kernel sees the state partition with %d bytes, want %d", d.Size, layout.Part(install.State).Size)
	}
}

// probePart looks at a part of a disk, through a file: the kernel may show no
// partitions of loop devices.
func probePart(t *testing.T, device string, e install.Extent) (blockdev.Content, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(file, piece(t, device, e.Start, 4*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	return blockdev.Probe(file)
}

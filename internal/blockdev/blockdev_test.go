package blockdev_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/blockdev"
)

// bench is a machine of files: a sysfs and a /dev of images.
type bench struct {
	blockdev.Host
	t *testing.T
}

func newBench(t *testing.T) bench {
	dir := t.TempDir()
	b := bench{Host: blockdev.Host{Sys: filepath.Join(dir, "sys"), Dev: filepath.Join(dir, "dev")}, t: t}
	for _, d := range []string{"sys/class/block", "sys/devices", "dev"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b bench) write(path, text string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// disk adds a disk holding content, size bytes long.
func (b bench) disk(name string, size int64, content []byte) {
	b.t.Helper()
	b.add("devices/pci/"+name, name, size, "", content)
}

// partition adds a partition of disk.
func (b bench) partition(disk string, number int, size int64, label string, content []byte) {
	b.t.Helper()
	name := disk + strconv.Itoa(number)
	b.add("devices/pci/"+disk+"/"+name, name, size, "PARTNAME="+label+"\nPARTUUID=0000000"+strconv.Itoa(number)+"-aaaa\n", content)
	b.write(filepath.Join(b.Sys, "devices/pci", disk, name, "partition"), strconv.Itoa(number)+"\n")
}

func (b bench) add(dir, name string, size int64, uevent string, content []byte) {
	b.t.Helper()
	at := filepath.Join(b.Sys, dir)
	b.write(at+"/size", strconv.FormatInt(size/512, 10)+"\n")
	b.write(at+"/ro", "0\n")
	b.write(at+"/uevent", "MAJOR=254\nDEVNAME="+name+"\n"+uevent)
	if err := os.Symlink(at, filepath.Join(b.Sys, "class/block", name)); err != nil {
		b.t.Fatal(err)
	}
	dev := filepath.Join(b.Dev, name)
	b.write(dev, string(content))
	if err := os.Truncate(dev, max(size, int64(len(content)))); err != nil {
		b.t.Fatal(err)
	}
}

func TestList(t *testing.T) {
	b := newBench(t)
	b.disk("sdaa", 1<<20, nil)
	b.disk("sdb", 1<<20, nil)
	b.partition("sdb", 10, 1<<19, "", nil)
	b.partition("sdb", 2, 1<<19, "data", nil)
	b.disk("loop0", 0, nil) // nothing attached
	b.disk("ram0", 1<<20, nil)
	b.disk("fd0", 1<<20, nil)
	b.write(filepath.Join(b.Sys, "devices/pci/sdb/queue/logical_block_size"), "4096\n")
	b.write(filepath.Join(b.Sys, "devices/pci/sdaa/ro"), "1\n")

	got, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	dev := func(name string) string { return filepath.Join(b.Dev, name) }
	want := []blockdev.Device{
		{Name: "sdb", Path: dev("sdb"), Size: 1 << 20, SectorSize: 4096, Partitions: 2},
		{Name: "sdb2", Path: dev("sdb2"), Size: 1 << 19, SectorSize: 4096, Disk: "sdb", Partition: 2, PartLabel: "data", PartUUID: "00000002-aaaa"},
		{Name: "sdb10", Path: dev("sdb10"), Size: 1 << 19, SectorSize: 4096, Disk: "sdb", Partition: 10, PartUUID: "000000010-aaaa"},
		{Name: "sdaa", Path: dev("sdaa"), Size: 1 << 20, SectorSize: 512, ReadOnly: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List() differs (-want +got):\n%s", diff)
	}
}

func TestFind(t *testing.T) {
	b := newBench(t)
	b.disk("sda", 4<<20, ext(extFields{label: "STALE", uuid: 9}))
	b.partition("sda", 1, 1<<20, "ESP", fat16("ROSTER-ESP", "NO NAME    "))
	b.partition("sda", 2, 1<<20, "RANCHER_STATE", ext(extFields{label: "RANCHER_STATE", uuid: 2}))
	b.disk("sdb", 4<<20, iso("ROSTER"))
	b.partition("sdb", 1, 1<<20, "", nil)
	b.disk("sdc", 1<<20, ext(extFields{label: "RANCHER_STATE", uuid: 3}))
	link := filepath.Join(b.Dev, "disk/by-id/virtio-x")
	b.write(link+".d/keep", "")
	if err := os.Symlink(filepath.Join(b.Dev, "sdc"), link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, spec, want, wantErr string }{
		{name: "label, the first of two", spec: "LABEL=RANCHER_STATE", want: "sda2"},
		{name: "label in quotes", spec: `LABEL="ROSTER-ESP"`, want: "sda1"},
		{name: "hybrid ISO on a disk", spec: "LABEL=ROSTER", want: "sdb"},
		{name: "UUID in capitals", spec: "UUID=03030303-0303-0303-0303-030303030303", want: "sdc"},
		{name: "FAT UUID", spec: "UUID=abcd-1234", want: "sda1"},
		{name: "partition label", spec: "PARTLABEL=ESP", want: "sda1"},
		{name: "partition UUID", spec: "PARTUUID=00000002-AAAA", want: "sda2"},
		{name: "path", spec: filepath.Join(b.Dev, "sdc"), want: "sdc"},
		{name: "link", spec: link, want: "sdc"},
		{name: "left from before the disk was partitioned", spec: "LABEL=STALE",
			wantErr: `cannot find device "LABEL=STALE": no such device`},
		{name: "not there", spec: "/dev/none", wantErr: `cannot find device "/dev/none": no such device`},
		{name: "nothing", spec: "LABEL=", wantErr: `cannot find device "LABEL=": nothing behind the equals sign`},
		{name: "nonsense", spec: "sda", wantErr: `cannot find device "sda": want LABEL=, UUID=, PARTLABEL=, PARTUUID= or a path below /dev`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := b.Find(tt.spec)
			if text(err) != tt.wantErr || got.Name != tt.want {
				t.Errorf("Find(%q) = %q, %v, want %q, %q", tt.spec, got.Name, err, tt.want, tt.wantErr)
			}
		})
	}
	if _, err := b.Find("LABEL=none"); !errors.Is(err, blockdev.ErrNotFound) {
		t.Errorf("Find() = %v, want ErrNotFound", err)
	}
}

// TestWaitTakesWhatIsThere goes through the real netlink socket as well.
func TestWaitTakesWhatIsThere(t *testing.T) {
	b := newBench(t)
	b.disk("sda", 1<<20, ext(extFields{label: "X"}))
	if d, err := b.Wait(context.Background(), "LABEL=X", nil); err != nil || d.Name != "sda" {
		t.Errorf("Wait() = %v, %v, want sda", d.Name, err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

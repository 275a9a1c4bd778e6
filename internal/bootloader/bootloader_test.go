package bootloader_test

import (
	"io"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/bootloader/bootloadertest"
	"github.com/rosteros/ros/internal/slots"
)

// grubMachine is GRUB on a file system whose power can be cut.
type grubMachine struct{ *bootloadertest.CutFiles }

func (m grubMachine) Loader() bootloader.Loader { return bootloader.GRUB{Files: m.CutFiles} }

func TestGRUB(t *testing.T) {
	bootloadertest.Suite(t, func(t *testing.T, random *rand.Rand, room int64) bootloadertest.Machine {
		return grubMachine{bootloadertest.NewCutFiles(random, room, newDisk(t))}
	})
}

// newDisk is what the installer puts on the EFI system partition.
func newDisk(t *testing.T) map[string][]byte {
	t.Helper()
	tree, err := bootloader.Tree(slots.A, bootloadertest.First(), "console=ttyS0,115200")
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	for name, file := range tree {
		r, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		if content[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

// fullFiles has room for nothing more, whatever Free says.
type fullFiles struct{ *bootloadertest.CutFiles }

func (fullFiles) Create(name string, _ io.Reader) error {
	return &fs.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
}

// TestGRUBFull: the message says which disk is full.
func TestGRUBFull(t *testing.T) {
	l := bootloader.GRUB{Files: fullFiles{bootloadertest.NewCutFiles(rand.New(rand.NewSource(1)), 1<<30, newDisk(t))}}
	want := "cannot write slot B: the EFI system partition is full: write slots/B/"
	if err := l.WriteSlot(slots.B, bootloadertest.First()); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("WriteSlot to a full disk = %v, want %s", err, want)
	}
}

// TestGRUBOfBefore: the boot menu is that of the release which was installed. One
// that does not know of a trial's arguments would start the trial without them.
func TestGRUBOfBefore(t *testing.T) {
	disk := newDisk(t)
	disk["grub/grub.cfg"] = []byte("set timeout=3\n")
	l := bootloader.GRUB{Files: bootloadertest.NewCutFiles(rand.New(rand.NewSource(1)), 1<<30, disk)}
	if err := l.WriteSlot(slots.B, bootloadertest.First()); err != nil {
		t.Fatal(err)
	}
	b := slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1, Args: "quiet"}
	if err := l.SetBoot(b); err == nil || !strings.Contains(err.Error(), "the boot menu of this disk is older than") {
		t.Errorf("SetBoot with arguments of a trial = %v", err)
	}
	b.Args = ""
	if err := l.SetBoot(b); err != nil {
		t.Errorf("SetBoot = %v", err)
	}
}

// memoryMachine is the model.
type memoryMachine struct {
	*bootloader.Memory
	cutAt, steps int
	cut          bool
}

func (m *memoryMachine) Loader() bootloader.Loader { return m.Memory }
func (m *memoryMachine) CutAfter(n int)            { m.cutAt, m.steps = n, 0 }
func (m *memoryMachine) Steps() int                { return m.steps }
func (m *memoryMachine) PowerOn()                  { m.cut, m.cutAt, m.steps = false, 0, 0 }

func (m *memoryMachine) step() error {
	m.steps++
	if m.cut = m.cut || m.steps == m.cutAt; m.cut {
		return bootloadertest.ErrCut
	}
	return nil
}

func TestMemory(t *testing.T) {
	bootloadertest.Suite(t, func(t *testing.T, _ *rand.Rand, room int64) bootloadertest.Machine {
		memory, err := bootloader.NewMemory(bootloadertest.First())
		if err != nil {
			t.Fatal(err)
		}
		memory.Room = room
		m := &memoryMachine{Memory: memory}
		memory.Step = m.step
		return m
	})
}

// quickDir is in memory where that is possible: Sync waits for the whole file
// system, and other tests write to the disk.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "bootloader")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestGRUBOnADirectory is GRUB on real files, whose power cannot be cut.
func TestGRUBOnADirectory(t *testing.T) {
	dir := quickDir(t)
	for name, text := range newDisk(t) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l := bootloader.GRUB{Files: bootloader.Dir(dir)}
	if err := l.WriteSlot(slots.B, bootloadertest.First()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []slots.Boot{{Committed: "A", Trial: "B", Tries: 2}, {Committed: "B", Previous: "A"}} {
		if err := l.SetBoot(want); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Boot(); err != nil || got != want {
			t.Errorf("Boot() = %+v, %v, want %+v", got, err, want)
		}
	}
	if err := l.SetArgs("quiet"); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Args(); err != nil || got != "quiet" {
		t.Errorf("Args() = %q, %v, want quiet", got, err)
	}
	if err := l.SetBoot(slots.Boot{Committed: "B"}); err != nil {
		t.Fatal(err)
	}
	if err := l.ClearSlot(slots.A); err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "slots/A/*")); err != nil || len(names) > 0 {
		t.Errorf("a cleared slot holds %q (%v)", names, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "grub/grubenv")); err != nil || info.Size() != 1024 {
		t.Errorf("grubenv: %v, %v, want 1024 bytes", info, err)
	}
}

package bootloader_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rosteros/ros/internal/bootloader"
)

// images are files in the form of GRUB's, with little in them.
func images() (boot, core []byte) {
	boot = bytes.Repeat([]byte{0x11}, 512)
	boot[0x66], boot[0x67] = 0xeb, 0x05
	core = bytes.Repeat([]byte{0x22}, 1300)
	binary.LittleEndian.PutUint16(core[510:], 0x820)
	return boot, core
}

func TestWriteBIOS(t *testing.T) {
	const start = 1 << 20
	old := bytes.Repeat([]byte{0x33}, 2<<20)
	disk, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if _, err := disk.Write(old); err != nil {
		t.Fatal(err)
	}
	boot, core := images()
	for range 2 {
		if err := bootloader.WriteBIOS(disk, boot, core, start, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(disk.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(old)
	copy(want, boot[:0x1b8])
	copy(want[0x5c:], []byte{0, 8, 0, 0, 0, 0, 0, 0}) // sector 2048
	want[0x66], want[0x67] = 0x90, 0x90
	want[510], want[511] = 0x55, 0xaa
	clear(want[start : start+1536])
	copy(want[start:], core)
	copy(want[start+500:], []byte{1, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0x20, 0x08}) // from 2049, 2 sectors, to 0x820
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("byte %#x of the disk is %#x, want %#x", i, got[i], want[i])
		}
	}
}

func TestWriteBIOSRefuses(t *testing.T) {
	boot, core := images()
	const cannot = "cannot make the disk start under BIOS: "
	for _, tt := range []struct {
		name        string
		boot, core  []byte
		start, size int64
		want        string
	}{
		{"no boot.img", nil, core, 1 << 20, 1 << 20, "boot.img is not GRUB's"},
		{"another boot.img", core[:512], core, 1 << 20, 1 << 20, "boot.img is not GRUB's"},
		{"no core.img", boot, nil, 1 << 20, 1 << 20, "core.img is not GRUB's"},
		{"another core.img", boot, bytes.Repeat(boot, 3), 1 << 20, 1 << 20, "core.img is not GRUB's"},
		{"over the partition table", boot, core, 0, 1 << 20, "the BIOS boot partition cannot begin at byte 0"},
		{"no room", boot, core, 1 << 20, 1024, "core.img has 1300 bytes and the BIOS boot partition 1024"},
	} {
		err := bootloader.WriteBIOS(noDisk{}, tt.boot, tt.core, tt.start, tt.size)
		if err == nil || err.Error() != cannot+tt.want {
			t.Errorf("%s: error = %v, want %s", tt.name, err, tt.want)
		}
	}
}

// noDisk must not be touched.
type noDisk struct{}

func (noDisk) ReadAt([]byte, int64) (int, error)  { return 0, errors.New("read") }
func (noDisk) WriteAt([]byte, int64) (int, error) { return 0, errors.New("written") }

package blockdev_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/blockdev"
)

var le = binary.LittleEndian

type extFields struct {
	label                      string
	uuid                       byte
	compat, incompat, roCompat uint32
}

// ext is the beginning of an ext file system of 100 blocks of 4 KiB.
func ext(f extFields) []byte {
	b := make([]byte, 8192)
	sb := b[1024:]
	le.PutUint32(sb[0x4:], 100)
	le.PutUint32(sb[0x18:], 2)
	le.PutUint16(sb[0x38:], 0xef53)
	le.PutUint32(sb[0x5c:], f.compat)
	le.PutUint32(sb[0x60:], f.incompat)
	le.PutUint32(sb[0x64:], f.roCompat)
	copy(sb[0x68:0x78], bytes.Repeat([]byte{f.uuid}, 16))
	copy(sb[0x78:0x88], f.label)
	return b
}

// fat16 is a FAT16 file system with an old label in the boot sector and another
// in the root directory, behind a long name and a deleted label.
func fat16(label, bootLabel string) []byte {
	b := make([]byte, 64<<10)
	copy(b, "\xeb\x3c\x90mkfs.fat")
	le.PutUint16(b[11:], 512)
	b[13] = 4
	le.PutUint16(b[14:], 4)
	b[16] = 2
	le.PutUint16(b[17:], 512)
	le.PutUint16(b[22:], 20)
	b[38] = 0x29
	le.PutUint32(b[39:], 0xabcd1234)
	copy(b[43:], bootLabel)
	copy(b[54:], "FAT16   ")
	b[510], b[511] = 0x55, 0xaa
	fatRoot(b[(4+2*20)*512:], label)
	return b
}

func fat32(label string) []byte {
	b := make([]byte, 128<<10)
	copy(b, "\xeb\x58\x90mkfs.fat")
	le.PutUint16(b[11:], 512)
	b[13] = 8
	le.PutUint16(b[14:], 32)
	b[16] = 2
	le.PutUint32(b[36:], 60) // sectors of a FAT
	le.PutUint32(b[44:], 3)  // root cluster
	le.PutUint32(b[67:], 0x00a1b2c3)
	copy(b[71:], "NO NAME    ")
	copy(b[82:], "FAT32   ")
	b[510], b[511] = 0x55, 0xaa
	fatRoot(b[(32+2*60+8)*512:], label)
	return b
}

func fatRoot(root []byte, label string) {
	entry := func(i int, name string, attr byte) {
		copy(root[i*32:], name)
		root[i*32+11] = attr
	}
	entry(0, "Alongname..", 0x0f)
	entry(1, "\xe5LDLABEL   ", 0x08)
	entry(2, "EFI        ", 0x10)
	if label != "" {
		entry(3, (label + "           ")[:11], 0x08)
	}
}

func iso(label string) []byte {
	b := make([]byte, 40<<10)
	pvd := b[32768:]
	copy(pvd, "\x01CD001\x01")
	copy(pvd[40:72], (label + "                                ")[:32])
	copy(pvd[813:], "2026112312345600")
	copy(pvd[830:], "0000000000000000")
	return b
}

func erofs(label string) []byte {
	b := make([]byte, 8192)
	sb := b[1024:]
	le.PutUint32(sb, 0xe0f5e1e2)
	sb[0x0c] = 12
	le.PutUint32(sb[0x24:], 25)
	sb[0x30] = 7
	copy(sb[0x40:], label)
	return b
}

// put is size zero bytes with text at offset.
func put(size, offset int, text string) []byte {
	b := make([]byte, size)
	copy(b[offset:], text)
	return b
}

func TestProbe(t *testing.T) {
	const fours = "04040404-0404-0404-0404-040404040404"
	for _, tt := range []struct {
		name    string
		content []byte
		want    blockdev.Content
		empty   bool
	}{
		{name: "nothing", content: make([]byte, 2<<20), empty: true},
		{name: "no bytes at all", empty: true},
		{name: "unknown content is not empty", content: put(2<<20, 700<<10, "x")},
		{name: "ext2", content: ext(extFields{uuid: 4, roCompat: 1}), want: blockdev.Content{Type: "ext2", UUID: fours, Size: 409600}},
		{name: "ext3", content: ext(extFields{uuid: 4, compat: 4}), want: blockdev.Content{Type: "ext3", UUID: fours, Size: 409600}},
		{name: "ext4", content: ext(extFields{uuid: 4, compat: 4, incompat: 0x40, label: "RANCHER_STATE"}),
			want: blockdev.Content{Type: "ext4", Label: "RANCHER_STATE", UUID: fours, Size: 409600}},
		{name: "ext4 label of full length", content: ext(extFields{incompat: 0x40, label: "sixteen letters."}),
			want: blockdev.Content{Type: "ext4", Label: "sixteen letters.", Size: 409600}},
		{name: "journal of an ext4", content: ext(extFields{uuid: 4, incompat: 8}), want: blockdev.Content{Type: "jbd", UUID: fours}},
		{name: "FAT16", content: fat16("cidata", "OLD        "), want: blockdev.Content{Type: "vfat", Label: "cidata", UUID: "ABCD-1234"}},
		{name: "FAT16 labelled in the boot sector alone", content: fat16("", "CIDATA     "), want: blockdev.Content{Type: "vfat", Label: "CIDATA", UUID: "ABCD-1234"}},
		{name: "FAT32", content: fat32("ROSTER-ESP"), want: blockdev.Content{Type: "vfat", Label: "ROSTER-ESP", UUID: "00A1-B2C3"}},
		{name: "FAT32 without a label", content: fat32(""), want: blockdev.Content{Type: "vfat", UUID: "00A1-B2C3"}},
		{name: "ISO", content: iso("ROSTER"), want: blockdev.Content{Type: "iso9660", Label: "ROSTER", UUID: "2026-11-23-12-34-56-00"}},
		{name: "EROFS", content: erofs("ROOT"), want: blockdev.Content{Type: "erofs", Label: "ROOT", UUID: "07000000-0000-0000-0000-000000000000", Size: 25 * 4096}},
		{name: "XFS", content: put(4096, 0, "XFSB"), want: blockdev.Content{Type: "xfs"}},
		{name: "btrfs", content: put(68<<10, 0x10040, "_BHRfS_M"), want: blockdev.Content{Type: "btrfs"}},
		{name: "LUKS", content: put(4096, 0, "LUKS\xba\xbe"), want: blockdev.Content{Type: "crypto_LUKS"}},
		{name: "LVM", content: put(4096, 0x218, "LVM2 001"), want: blockdev.Content{Type: "LVM2_member"}},
		{name: "swap", content: put(4096, 4086, "SWAPSPACE2"), want: blockdev.Content{Type: "swap"}},
		{name: "MBR", content: put(4096, 510, "\x55\xaa"), want: blockdev.Content{Type: "dos"}},
		{name: "GPT", content: put(4096, 512, "EFI PART"), want: blockdev.Content{Type: "gpt"}},
		{name: "GPT with large sectors", content: put(8192, 4096, "EFI PART"), want: blockdev.Content{Type: "gpt"}},
		{name: "GPT of which only the backup is left", content: put(2<<20, 2<<20-512, "EFI PART"), want: blockdev.Content{Type: "gpt"}},
		{name: "RAID with its superblock at the end", content: put(2<<20, 2<<20-64<<10, "\xfc\x4e\x2b\xa9"), want: blockdev.Content{Type: "linux_raid_member"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(path, tt.content, 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := blockdev.Probe(path)
			if err != nil {
				t.Fatalf("Probe() = %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Probe() differs (-want +got):\n%s", diff)
			}
			if empty, _, err := blockdev.Empty(path); empty != tt.empty || err != nil {
				t.Errorf("Empty() = %v, %v, want %v", empty, err, tt.empty)
			}
		})
	}
}

func TestProbeError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	want := `cannot look at device "` + path + `": open ` + path + `: no such file or directory`
	if _, err := blockdev.Probe(path); text(err) != want {
		t.Errorf("Probe() = %v, want %s", err, want)
	}
}

// TestProbeReal looks at what mke2fs itself makes.
func TestProbeReal(t *testing.T) {
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs mke2fs (package e2fsprogs)")
	}
	const id = "7d3ad9de-2f54-4b3f-9c1a-0d7a7e1f0b11"
	for _, kind := range []string{"ext2", "ext3", "ext4"} {
		path := filepath.Join(t.TempDir(), kind)
		out, err := exec.Command(mke2fs, "-q", "-t", kind, "-L", "RANCHER_STATE", "-U", id, path, "16M").CombinedOutput()
		if err != nil {
			t.Fatalf("mke2fs: %v\n%s", err, out)
		}
		want := blockdev.Content{Type: kind, Label: "RANCHER_STATE", UUID: id, Size: 16 << 20}
		if got, err := blockdev.Probe(path); err != nil || got != want {
			t.Errorf("Probe(%s) = %+v, %v, want %+v", kind, got, err, want)
		}
	}
}

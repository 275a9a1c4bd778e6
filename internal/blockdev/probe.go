package blockdev

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"

	"golang.org/x/sys/unix"
)

// Content is what a device holds.
type Content struct {
	// Type is as blkid names it: ext2 ext3 ext4 vfat iso9660 erofs xfs btrfs
	// squashfs ntfs exfat swap crypto_LUKS LVM2_member linux_raid_member
	// zfs_member, or gpt and dos for a partition table. "" is nothing known.
	Type  string
	Label string
	UUID  string
	// Size is how many bytes the file system takes up, for ext2-4 and EROFS.
	Size int64
}

// Probe reads what is on the device, or image file, at path. That it knows
// nothing of what is there is not an error: Type is "" then.
func Probe(path string) (Content, error) {
	f, err := open(path)
	if err != nil {
		return Content{}, fmt.Errorf("cannot look at device %q: %w", path, err)
	}
	defer f.Close()
	c, err := probe(f)
	if err != nil {
		return Content{}, fmt.Errorf("cannot look at device %q: %w", path, err)
	}
	return c, nil
}

// Empty tells whether a device may be formatted without losing anything: its
// first MiB is all zero (as RancherOS asked for before it formatted a disk) and
// there is no sign of anything further on. Content is what was found.
func Empty(path string) (bool, Content, error) {
	f, err := open(path)
	if err != nil {
		return false, Content{}, fmt.Errorf("cannot look at device %q: %w", path, err)
	}
	defer f.Close()
	c, err := probe(f)
	if err != nil {
		return false, Content{}, fmt.Errorf("cannot look at device %q: %w", path, err)
	}
	if c.Type != "" {
		return false, c, nil
	}
	head := make([]byte, 1<<20)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return false, Content{}, fmt.Errorf("cannot look at device %q: %w", path, err)
	}
	return len(bytes.Trim(head[:n], "\x00")) == 0, c, nil
}

// open does not wait: opening a drive without a disc otherwise does.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// headSize covers every superblock but the few at the end of a device; btrfs
// has its own at 64 KiB.
const headSize = 68 << 10

func probe(f *os.File) (Content, error) {
	head := make([]byte, headSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return Content{}, err
	}
	head = head[:n]
	for _, look := range []func(head []byte, f io.ReaderAt) (Content, bool){
		// LUKS and friends first: what is inside them may look like anything.
		probeSignatures, probeExt, probeEROFS, probeISO, probeFAT, probeTable,
	} {
		if c, ok := look(head, f); ok {
			return c, nil
		}
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return Content{}, err
	}
	return probeTail(f, size), nil
}

// at is the n bytes at offset, or zeros where the device is too short.
func at(head []byte, offset, n int) []byte {
	if offset+n > len(head) {
		return make([]byte, n)
	}
	return head[offset : offset+n]
}

func le16(b []byte) int    { return int(binary.LittleEndian.Uint16(b)) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// signatures are the kinds of which nothing but the type need be known: they
// must not be formatted, and some may be mounted.
var signatures = []struct {
	offset      int
	magic, kind string
	label       int // offset of a label of labelSize bytes; 0: none is read
	labelSize   int
	uuid        int
}{
	{offset: 0, magic: "LUKS\xba\xbe", kind: "crypto_LUKS"},
	{offset: 0x218, magic: "LVM2 001", kind: "LVM2_member"},
	{offset: 4096, magic: "\xfc\x4e\x2b\xa9", kind: "linux_raid_member"},
	{offset: 0, magic: "\xfc\x4e\x2b\xa9", kind: "linux_raid_member"},
	{offset: 0, magic: "XFSB", kind: "xfs", label: 108, labelSize: 12, uuid: 32},
	{offset: 0x10040, magic: "_BHRfS_M", kind: "btrfs", label: 0x1012b, labelSize: 256, uuid: 0x10020},
	{offset: 4086, magic: "SWAPSPACE2", kind: "swap", label: 1052, labelSize: 16, uuid: 1036},
	{offset: 16374, magic: "SWAPSPACE2", kind: "swap", label: 1052, labelSize: 16, uuid: 1036},
	{offset: 65526, magic: "SWAPSPACE2", kind: "swap", label: 1052, labelSize: 16, uuid: 1036},
	{offset: 0, magic: "hsqs", kind: "squashfs"},
	{offset: 3, magic: "NTFS    ", kind: "ntfs"},
	{offset: 3, magic: "EXFAT   ", kind: "exfat"},
	{offset: 1024, magic: "\x10\x20\xf5\xf2", kind: "f2fs"},
	{offset: 24, magic: "bcache", kind: "bcache"},
	{offset: 4096 + 24, magic: "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", kind: "bcache"},
	{offset: 0, magic: "verity\x00\x00", kind: "DM_verity_hash"},
}

func probeSignatures(head []byte, _ io.ReaderAt) (Content, bool) {
	for _, s := range signatures {
		if string(at(head, s.offset, len(s.magic))) != s.magic {
			continue
		}
		c := Content{Type: s.kind}
		if s.label > 0 {
			c.Label, c.UUID = cstring(at(head, s.label, s.labelSize)), uuid(at(head, s.uuid, 16))
		}
		return c, true
	}
	return Content{}, false
}

// probeExt follows "The Super Block" in the kernel's Documentation/filesystems/ext4.
func probeExt(head []byte, _ io.ReaderAt) (Content, bool) {
	sb := at(head, 1024, 1024)
	if le16(sb[0x38:]) != 0xef53 {
		return Content{}, false
	}
	compat, incompat, roCompat := le32(sb[0x5c:]), le32(sb[0x60:]), le32(sb[0x64:])
	const (
		hasJournal  = 0x4
		journalDev  = 0x8
		bits64      = 0x80
		ext3Incomp  = 0x2 | 0x4 | 0x10 // filetype, recover, meta_bg
		ext3ROComp  = 0x1 | 0x2 | 0x4  // sparse_super, large_file, btree_dir
		maxLogBlock = 6
	)
	c := Content{Type: "ext2", Label: cstring(sb[0x78:0x88]), UUID: uuid(sb[0x68:0x78])}
	switch {
	case incompat&journalDev != 0:
		c.Type = "jbd"
		return c, true
	case incompat&^ext3Incomp != 0 || roCompat&^ext3ROComp != 0:
		c.Type = "ext4"
	case compat&hasJournal != 0:
		c.Type = "ext3"
	}
	blocks := uint64(le32(sb[0x4:]))
	if incompat&bits64 != 0 {
		blocks |= uint64(le32(sb[0x150:])) << 32
	}
	if log := le32(sb[0x18:]); log <= maxLogBlock {
		c.Size = int64(blocks << (10 + log))
	}
	return c, true
}

// probeEROFS follows struct erofs_super_block in the kernel's fs/erofs/erofs_fs.h.
func probeEROFS(head []byte, _ io.ReaderAt) (Content, bool) {
	sb := at(head, 1024, 128)
	if le32(sb) != 0xe0f5e1e2 {
		return Content{}, false
	}
	c := Content{Type: "erofs", UUID: uuid(sb[0x30:0x40]), Label: cstring(sb[0x40:0x50])}
	if bits := sb[0x0c]; bits >= 9 && bits <= 16 {
		c.Size = int64(uint64(le32(sb[0x24:])) << bits)
	}
	return c, true
}

// probeISO reads the primary volume descriptor (ECMA-119, 8.4). It is the first
// one on everything that has been seen in the wild.
func probeISO(head []byte, _ io.ReaderAt) (Content, bool) {
	pvd := at(head, 32768, 2048)
	if string(pvd[1:6]) != "CD001" || pvd[0] != 1 {
		return Content{}, false
	}
	c := Content{Type: "iso9660", Label: strings.TrimRight(string(pvd[40:72]), " \x00")}
	// blkid makes the UUID of the date of change or, without one, of creation:
	// 2026112312000000 -> 2026-11-23-12-00-00-00.
	for _, offset := range []int{830, 813} {
		date := string(pvd[offset : offset+16])
		if strings.Trim(date, "0 \x00") == "" {
			continue
		}
		parts := []string{date[:4]}
		for i := 4; i < 16; i += 2 {
			parts = append(parts, date[i:i+2])
		}
		c.UUID = strings.Join(parts, "-")
		break
	}
	return c, true
}

// probeFAT follows Microsoft's FAT specification. The label that mkfs.vfat and
// every desktop write is an entry in the root directory; the one in the boot
// sector may be out of date.
func probeFAT(head []byte, f io.ReaderAt) (Content, bool) {
	boot := at(head, 0, 512)
	if le16(boot[510:]) != 0xaa55 || boot[0] != 0xeb && boot[0] != 0xe9 {
		return Content{}, false
	}
	sector, cluster := le16(boot[11:]), int(boot[13])
	reserved, fats, rootEntries := le16(boot[14:]), int(boot[16]), le16(boot[17:])
	fatSectors := le16(boot[22:])
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 ||
		cluster == 0 || cluster&(cluster-1) != 0 || reserved == 0 || fats == 0 {
		return Content{}, false
	}
	c := Content{Type: "vfat"}
	var labelAt, rootAt, rootSize int64
	if fatSectors != 0 && rootEntries != 0 { // FAT12, FAT16
		if string(boot[54:57]) != "FAT" && boot[38] != 0x29 && boot[38] != 0x28 {
			return Content{}, false
		}
		labelAt, c.UUID = 43, fatUUID(boot[39:43])
		rootAt = int64(reserved+fats*fatSectors) * int64(sector)
		rootSize = int64(rootEntries) * 32
	} else { // FAT32
		if string(boot[82:87]) != "FAT32" {
			return Content{}, false
		}
		labelAt, c.UUID = 71, fatUUID(boot[67:71])
		first := int64(reserved) + int64(fats)*int64(le32(boot[36:]))
		rootAt = (first + int64(le32(boot[44:])-2)*int64(cluster)) * int64(sector)
		// Of a longer directory the first cluster is enough: the label is made
		// together with the file system.
		rootSize = int64(cluster * sector)
	}
	c.Label = strings.TrimRight(string(boot[labelAt:labelAt+11]), " \x00")
	if c.Label == "NO NAME" {
		c.Label = ""
	}
	root := make([]byte, min(rootSize, 64<<10))
	n, _ := f.ReadAt(root, rootAt)
	for entry := root[:n]; len(entry) >= 32 && entry[0] != 0; entry = entry[32:] {
		const volumeLabel, directory, longName = 0x08, 0x10, 0x0f
		attr := entry[11]
		if entry[0] != 0xe5 && attr&longName != longName && attr&volumeLabel != 0 && attr&directory == 0 {
			c.Label = strings.TrimRight(string(entry[:11]), " ")
			break
		}
	}
	return c, true
}

func fatUUID(b []byte) string {
	if n := le32(b); n != 0 {
		return fmt.Sprintf("%04X-%04X", n>>16, n&0xffff)
	}
	return ""
}

// probeTable recognises partition tables.
func probeTable(head []byte, _ io.ReaderAt) (Content, bool) {
	for _, sector := range []int{512, 4096} {
		if string(at(head, sector, 8)) == gptSignature {
			return Content{Type: "gpt", UUID: guid(at(head, sector+56, 16))}, true
		}
	}
	mbr := at(head, 0, 512)
	if le16(mbr[510:]) == 0xaa55 {
		return Content{Type: "dos"}, true
	}
	return Content{}, false
}

// probeTail looks where a second copy, or the only one, stands at the end: a
// disk whose first sectors were wiped is not empty yet.
func probeTail(f io.ReaderAt, size int64) Content {
	word := make([]byte, 8)
	for _, s := range []struct {
		offset      int64
		magic, kind string
	}{
		{size - 512, gptSignature, "gpt"},
		{size - 4096, gptSignature, "gpt"},
		{size&^(64<<10-1) - 64<<10, "\xfc\x4e\x2b\xa9", "linux_raid_member"}, // version 0.90
		{(size - 8<<10) &^ (4<<10 - 1), "\xfc\x4e\x2b\xa9", "linux_raid_member"},
	} {
		if s.offset < 0 {
			continue
		}
		if n, _ := f.ReadAt(word, s.offset); bytes.HasPrefix(word[:n], []byte(s.magic)) {
			return Content{Type: s.kind}
		}
	}
	return Content{}
}

func cstring(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// uuid is the text form; "" when it is all zero.
func uuid(b []byte) string {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// guid is the text form of what UEFI stores with its first three parts reversed.
func guid(b []byte) string {
	return uuid([]byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6],
		b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]})
}

// utf16z decodes a partition name.
func utf16z(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

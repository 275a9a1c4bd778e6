package install

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/statedisk"
)

// Numbers of the partitions, in the order in which they lie.
const (
	BIOS = iota + 1
	ESP
	RootA
	RootB
	BootNote
	State
)

const (
	mib = 1 << 20
	gib = 1 << 30

	// MinSize is the smallest disk: two slots, and something left to work with.
	MinSize = 2 * gib
	// largeDisk is one with room for images that grow.
	largeDisk = 8 * gib
)

// partitions is the table of all of them. Types are those of the UEFI
// specification and, for BIOS, of GRUB.
var partitions = []struct {
	label string
	kind  string
}{
	BIOS:     {"BIOS", "21686148-6449-6E6F-744E-656564454649"},
	ESP:      {"ESP", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"},
	RootA:    {"ROOT_A", linuxData},
	RootB:    {"ROOT_B", linuxData},
	BootNote: {bootnote.PartLabel, linuxData},
	State:    {statedisk.Label, linuxData},
}

const linuxData = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

// espLabel is the name of the FAT file system.
const espLabel = "ROSTER_ESP"

// Layout is where the partitions of a disk lie.
type Layout struct {
	SectorSize int64
	parts      []Extent // by number
}

// Extent is a piece of a disk, in bytes.
type Extent struct{ Start, Size int64 }

// End is the first byte behind it.
func (e Extent) End() int64 { return e.Start + e.Size }

// Part is a partition by its number.
func (l Layout) Part(number int) Extent { return l.parts[number] }

// Plan divides a disk of size bytes. Everything begins at a MiB, which is a
// sector and an erase block of whatever the disk is made of.
func Plan(size, sectorSize int64) (Layout, error) {
	if size < MinSize {
		return Layout{}, fmt.Errorf("it has %s, at least %s are needed", bytesText(size), bytesText(MinSize))
	}
	if sectorSize != 512 && sectorSize != 4096 {
		return Layout{}, fmt.Errorf("its sectors have %d bytes, only 512 and 4096 are known", sectorSize)
	}
	sizes := map[int]int64{BIOS: mib, ESP: 128 * mib, RootA: 512 * mib, RootB: 512 * mib, BootNote: mib}
	if sectorSize == 4096 {
		// FAT32 has at least 65525 clusters, and none is smaller than a sector.
		sizes[ESP] = 288 * mib
	}
	if size >= largeDisk {
		sizes[RootA], sizes[RootB] = gib, gib
	}
	l := Layout{SectorSize: sectorSize, parts: make([]Extent, len(partitions))}
	at := int64(mib)
	for n := BIOS; n < State; n++ {
		l.parts[n] = Extent{at, sizes[n]}
		at = l.parts[n].End()
	}
	// The last MiB has the backup of the partition table.
	l.parts[State] = Extent{at, (size-mib)/mib*mib - at}
	return l, nil
}

// script is what sfdisk makes the partition table from.
func (l Layout) script(ids IDs) string {
	var b strings.Builder
	// The table itself ends 16 KiB behind its header.
	fmt.Fprintf(&b, "label: gpt\nlabel-id: %s\nunit: sectors\nfirst-lba: %d\n\n", ids.Disk, 2+16<<10/l.SectorSize)
	for n := BIOS; n <= State; n++ {
		e := l.parts[n]
		fmt.Fprintf(&b, "%d : start=%d, size=%d, type=%s, uuid=%s, name=\"%s\"\n",
			n, e.Start/l.SectorSize, e.Size/l.SectorSize, partitions[n].kind, ids.Parts[n], partitions[n].label)
	}
	return b.String()
}

// IDs are what tells one disk from another.
type IDs struct {
	Disk      string
	Parts     [State + 1]string // by number
	ESPVolume uint32
	State     string // of the file system
	HashSeed  string // of its directories
}

// RandomIDs are those of a disk like no other.
func RandomIDs() IDs {
	return newIDs(func(string) [16]byte {
		var b [16]byte
		rand.Read(b[:])
		return b
	})
}

// FixedIDs are the same for the same seed: two builds of a disk image give the
// same bits.
func FixedIDs(seed string) IDs {
	return newIDs(func(what string) [16]byte {
		sum := sha256.Sum256([]byte(seed + "\n" + what))
		return [16]byte(sum[:16])
	})
}

func newIDs(draw func(what string) [16]byte) IDs {
	ids := IDs{Disk: upper(draw("disk")), State: uuid(draw("state")), HashSeed: uuid(draw("hash seed"))}
	for n := BIOS; n <= State; n++ {
		ids.Parts[n] = uuid(draw(partitions[n].label))
	}
	volume := draw("esp")
	ids.ESPVolume = binary.LittleEndian.Uint32(volume[:])
	return ids
}

func upper(b [16]byte) string { return strings.ToUpper(uuid(b)) }

// uuid is a random one (version 4, RFC 9562) of these bytes.
func uuid(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// bytesText is a size as people say it.
func bytesText(n int64) string {
	switch {
	case n < mib:
		return fmt.Sprintf("%d bytes", n)
	case n < gib:
		return fmt.Sprintf("%.1f MiB", float64(n)/mib)
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	}
}

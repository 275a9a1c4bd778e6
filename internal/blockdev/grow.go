package blockdev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Growth is what Grow did.
type Growth struct {
	Grown   bool
	OldSize int64 // of the partition, bytes
	NewSize int64
	Reason  string // why it was not grown
}

// Image is a disk that can be written to: a device or, in a test, a file.
type Image interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// Grow makes partition d fill what is free behind it on its disk, in the
// partition table and in the kernel, which takes it even while the partition is
// mounted. What is on the partition is for the caller to grow. That there is
// nothing to grow is no error; Growth says why.
func (h Host) Grow(d Device) (Growth, error) {
	if d.Partition == 0 {
		return Growth{OldSize: d.Size, NewSize: d.Size, Reason: "it is a whole disk"}, nil
	}
	g, err := h.grow(d)
	if err != nil {
		return g, fmt.Errorf("cannot grow partition %q: %w", d.Path, err)
	}
	return g, nil
}

func (h Host) grow(d Device) (Growth, error) {
	sectors, err := number(filepath.Join(h.Sys, "class/block", d.Disk), "size")
	if err != nil {
		return Growth{}, err
	}
	disk, err := os.OpenFile(filepath.Join(h.Dev, d.Disk), os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return Growth{}, err
	}
	defer disk.Close()
	e, g, err := GrowGPT(disk, sectors*512, d.SectorSize, d.Partition)
	if err != nil || !g.Grown && d.Size >= g.OldSize {
		return g, err
	}
	// Also when only the kernel is behind: a power cut came in between.
	if st, err := disk.Stat(); err != nil || st.Mode()&os.ModeDevice == 0 {
		return g, err
	}
	if err := resizeInKernel(disk, d.Partition, e); err != nil {
		return g, fmt.Errorf("tell the kernel: %w", err)
	}
	return g, nil
}

// Extent is a piece of a disk, in bytes.
type Extent struct{ Start, Size int64 }

// GrowGPT is the part of Grow that deals with the table on disk, which is size
// bytes long. It returns where the partition lies now.
//
// The backup table goes to the end of the disk first. Then the primary one is
// changed so that every single sector written leaves a valid table behind, as
// long as there is an unused gap before the first partition to write the new
// entries to; the kernel does not look at the backup when the primary one is
// damaged.
func GrowGPT(disk Image, size, sectorSize int64, partition int) (Extent, Growth, error) {
	primary, err := readGPT(disk, sectorSize, 1)
	if errors.Is(err, errNoGPT) {
		return Extent{}, Growth{Reason: "there is no GPT on the disk"}, nil
	}
	if err != nil {
		return Extent{}, Growth{}, err
	}
	entry := primary.entry(partition)
	if !entry.used() || entry.last() < entry.first() {
		return Extent{}, Growth{}, fmt.Errorf("the GPT has no partition %d", partition)
	}
	extent := func() Extent {
		return Extent{int64(entry.first()) * sectorSize, int64(entry.last()-entry.first()+1) * sectorSize}
	}
	g := Growth{OldSize: extent().Size, NewSize: extent().Size}
	firstPartition := entry.first()
	for n := 1; n <= len(primary.entries)/primary.entrySize; n++ {
		e := primary.entry(n)
		if !e.used() {
			continue
		}
		firstPartition = min(firstPartition, e.first())
		if e.first() > entry.first() {
			g.Reason = fmt.Sprintf("partition %d (%s) lies behind it", n, e.name())
			return extent(), g, nil
		}
	}

	total := uint64(size / sectorSize)
	reserved := primary.entrySectors(sectorSize) + 1
	if total <= reserved+entry.last() {
		g.Reason = "it fills the disk"
		return extent(), g, nil
	}
	lastUsable := total - reserved - 1
	// Whole MiB, as every partitioning tool does. Less than that is not worth
	// writing to a partition table for.
	align := uint64(1<<20) / uint64(sectorSize)
	newLast := entry.first() + (lastUsable+1-entry.first())/align*align - 1
	if newLast < entry.last()+align {
		g.Reason = "it fills the disk"
		return extent(), g, nil
	}

	entry.setLast(newLast)
	primary.other, primary.lastUsable = total-1, lastUsable
	backup := *primary
	backup.own, backup.other, backup.entriesAt = total-1, 1, total-reserved
	w := gptWriter{disk: disk, sectorSize: sectorSize}
	w.table(&backup)
	home := primary.entriesAt
	if spare := home + primary.entrySectors(sectorSize); w.spare(spare, primary.entrySectors(sectorSize), firstPartition) {
		primary.entriesAt = spare
		w.table(primary)
		primary.entriesAt = home
		w.table(primary)
		w.write(make([]byte, len(primary.entries)), spare)
	} else {
		w.table(primary)
	}
	w.protectiveMBR(total)
	if w.err != nil {
		return Extent{}, Growth{}, w.err
	}
	g.Grown, g.NewSize = true, extent().Size
	return extent(), g, nil
}

// gptWriter writes until something fails.
type gptWriter struct {
	disk       Image
	sectorSize int64
	err        error
}

// write puts data at sector lba and waits until it is on the disk: the order of
// the steps is all that makes them safe.
func (w *gptWriter) write(data []byte, lba uint64) {
	if w.err == nil {
		_, w.err = w.disk.WriteAt(data, int64(lba)*w.sectorSize)
	}
	if w.err == nil {
		w.err = w.disk.Sync()
	}
}

// table writes the entries first; the header, one sector, makes them count.
func (w *gptWriter) table(h *gptHeader) {
	w.write(h.entries, h.entriesAt)
	w.write(h.sector(), h.own)
}

// spare tells whether count sectors from lba are free: below the first
// partition, and zero. Some boards keep their boot loader in that gap.
func (w *gptWriter) spare(lba, count, firstPartition uint64) bool {
	if w.err != nil || lba+count > firstPartition {
		return false
	}
	gap := make([]byte, int64(count)*w.sectorSize)
	_, err := w.disk.ReadAt(gap, int64(lba)*w.sectorSize)
	return err == nil && len(bytes.Trim(gap, "\x00")) == 0
}

// protectiveMBR stretches the one MBR partition (type EE) that keeps old tools
// off the disk. Other entries, as a hybrid ISO has them, are left alone.
func (w *gptWriter) protectiveMBR(total uint64) {
	if w.err != nil {
		return
	}
	mbr := make([]byte, w.sectorSize)
	if _, err := w.disk.ReadAt(mbr, 0); err != nil || le16(mbr[510:]) != 0xaa55 {
		w.err = err
		return
	}
	for i := 446; i < 510; i += 16 {
		entry := mbr[i : i+16]
		if entry[4] == 0xee && le32(entry[8:]) == 1 {
			binary.LittleEndian.PutUint32(entry[12:], uint32(min(total-1, 0xffffffff)))
			w.write(mbr, 0)
			return
		}
	}
}

// resizeInKernel is ioctl BLKPG (linux/blkpg.h). Reading the whole table again
// would fail while a partition is in use.
func resizeInKernel(disk *os.File, partition int, e Extent) error {
	arg := struct {
		start, length int64
		number        int32
		device        [64]byte
		volume        [64]byte
	}{start: e.Start, length: e.Size, number: int32(partition)}
	request := unix.BlkpgIoctlArg{
		Op:      unix.BLKPG_RESIZE_PARTITION,
		Datalen: int32(unsafe.Sizeof(arg)),
		Data:    (*byte)(unsafe.Pointer(&arg)),
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, disk.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

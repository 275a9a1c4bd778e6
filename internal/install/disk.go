package install

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a whole disk, or a file that is to become one, open for writing.
type Disk struct {
	Path       string
	Size       int64 // bytes
	SectorSize int64
	file       *os.File
	device     bool
}

// OpenDevice opens a disk of this machine. While it is open udev leaves it
// alone.
func OpenDevice(path string, size, sectorSize int64) (*Disk, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	// https://systemd.io/BLOCK_DEVICE_LOCKING: udev would look at a disk that is
	// half written whenever one of our programs closes it.
	if err := lockDisk(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("somebody else works on it: %w", err)
	}
	return &Disk{Path: path, Size: size, SectorSize: sectorSize, file: file, device: true}, nil
}

// CreateImage makes a file of size bytes, which takes up only what is written.
func CreateImage(path string, size, sectorSize int64) (*Disk, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(size); err != nil {
		file.Close()
		return nil, err
	}
	return &Disk{Path: path, Size: size, SectorSize: sectorSize, file: file}, nil
}

// lockWait is how long somebody else may still work on the disk: udev, which
// looks at every disk in the first moments after a start, takes seconds for it.
const lockWait = 15 * time.Second

func lockDisk(file *os.File) error {
	for end := time.Now().Add(lockWait); ; time.Sleep(100 * time.Millisecond) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			return err
		}
	}
}

// Close closes the disk. What was written is on it after Settle.
func (d *Disk) Close() error { return d.file.Close() }

// WriteAt implements io.WriterAt.
func (d *Disk) WriteAt(p []byte, at int64) (int, error) { return d.file.WriteAt(p, at) }

// ReadAt implements io.ReaderAt.
func (d *Disk) ReadAt(p []byte, at int64) (int, error) { return d.file.ReadAt(p, at) }

// Settle returns when the disk has everything that was written, and forgets
// what memory has of it: what is read next comes from the disk.
func (d *Disk) Settle() error {
	if err := d.file.Sync(); err != nil {
		return err
	}
	if d.device {
		if err := unix.IoctlSetInt(int(d.file.Fd()), unix.BLKFLSBUF, 0); err != nil {
			return fmt.Errorf("flush its buffers: %w", err)
		}
	}
	return unix.Fadvise(int(d.file.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// wipe takes away what a disk can be recognised by: the first and the last MiB
// of it, where partition tables, boot code and labels of RAID and ZFS are, and
// the first MiB of what will be a partition.
func (d *Disk) wipe(l Layout) error {
	places := []int64{0, d.Size - mib}
	for n := BIOS; n <= State; n++ {
		places = append(places, l.Part(n).Start)
	}
	for _, at := range places {
		if err := d.zero(at, mib); err != nil {
			return err
		}
	}
	return d.Settle()
}

// zero writes zeros, and nothing where a new file has them anyway.
func (d *Disk) zero(at, size int64) error {
	if !d.device {
		return nil
	}
	_, err := d.file.WriteAt(make([]byte, size), at)
	return err
}

// reread tells the kernel of the new partition table.
func (d *Disk) reread() error {
	if !d.device {
		return nil
	}
	// Somebody may look at the disk just now, which makes it busy.
	var err error
	for range 20 {
		err = unix.IoctlSetInt(int(d.file.Fd()), unix.BLKRRPART, 0)
		if !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("tell the kernel of the new partitions: %w", err)
	}
	return nil
}

// section is a window on a part of a disk.
func (d *Disk) section(e Extent) *io.SectionReader {
	return io.NewSectionReader(d.file, e.Start, e.Size)
}

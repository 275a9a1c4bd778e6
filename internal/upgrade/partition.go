package upgrade

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
)

// block is the size and the alignment of reads past the page cache: a multiple
// of every sector size there is.
const block = 4096

// device is a partition of this machine.
type device struct {
	blockdev.Device
	cached *os.File // for writing
	direct *os.File // for reading what the disk has; nil: it cannot be read past the cache
}

// OpenDevice opens a partition for reading, and for writing if asked for.
func OpenDevice(d blockdev.Device, write bool) (Partition, error) {
	mode := os.O_RDONLY
	if write {
		mode = os.O_RDWR
	}
	cached, err := os.OpenFile(d.Path, mode|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the partition %q: %w", d.Path, err)
	}
	p := &device{Device: d, cached: cached}
	// What was just written is in the page cache; only a read past it tells what
	// the disk made of it.
	if direct, err := os.OpenFile(d.Path, os.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0); err == nil {
		p.direct = direct
	}
	return p, nil
}

func (p *device) Size() int64  { return p.Device.Size }
func (p *device) UUID() string { return p.PartUUID }

func (p *device) WriteAt(b []byte, at int64) (int, error) { return p.cached.WriteAt(b, at) }

// ReadAt reads past the page cache where the place and the length allow it.
func (p *device) ReadAt(b []byte, at int64) (int, error) {
	if p.direct == nil || len(b)%block != 0 || at%block != 0 {
		return p.cached.ReadAt(b, at)
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%block == 0 {
		return p.direct.ReadAt(b, at)
	}
	aligned := alignedBuffer(len(b))
	n, err := p.direct.ReadAt(aligned, at)
	copy(b, aligned[:n])
	return n, err
}

// alignedBuffer begins at a multiple of block, as O_DIRECT wants it (open(2)).
func alignedBuffer(size int) []byte {
	buf := make([]byte, size+block)
	skip := block - int(uintptr(unsafe.Pointer(unsafe.SliceData(buf)))%block)
	return buf[skip : skip+size]
}

// Settle implements Partition.
func (p *device) Settle() error { return p.cached.Sync() }

func (p *device) Close() error {
	var err error
	if p.direct != nil {
		err = p.direct.Close()
	}
	return errors.Join(err, p.cached.Close())
}

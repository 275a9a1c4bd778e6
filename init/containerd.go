package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/mounts"
)

// containerdRoot is the directory of the system containerd. The services of the
// OS need nothing in it: baked images are mounted from the OS image. So a
// damaged one is set aside and containerd begins anew; services whose image was
// pulled say then that it has to be pulled again.
type containerdRoot struct {
	dir string
	log *slog.Logger

	failed int  // runs in a row that ended early
	aside  bool // done once in this boot: if that did not help, it will not
}

// metaDB is containerd's database below its root.
const metaDB = "io.containerd.metadata.v1.bolt/meta.db"

const (
	earlyEnd    = 10 * time.Second // a run that ended sooner counts
	earlyEndMax = 3                // so many of them, and the root is to blame
)

// leastRoom is what containerd needs of the state disk to make the containers of
// all services, its database and a layer for each, beside the 16 MiB that ext4
// counts as free and gives to nobody (s_resv_clusters in fs/ext4/super.c).
const leastRoom = 32 << 20

// inMemory is for a state disk without room: a machine that is full must let
// people log in. It puts memory in the place of the root for this boot, and
// says so; "" if there is room.
func (c *containerdRoot) inMemory(sys mounts.Syscalls, room func(dir string) (int64, error)) string {
	free, err := room(filepath.Dir(c.dir))
	if err != nil {
		return fmt.Sprintf("cannot tell how much room the state disk has: %v", err)
	}
	if free >= leastRoom {
		return ""
	}
	note := "the state disk is full: until the machine restarts with more room, the containers of services are in memory, " +
		"and those of images that were pulled do not run"
	if err := os.MkdirAll(c.dir, 0o711); err != nil {
		return note + fmt.Sprintf(" (cannot prepare that: %v)", err)
	}
	memory := mounts.Mount{Source: "containerd", Target: c.dir, Type: "tmpfs", Flags: unix.MS_NODEV, Data: "mode=0711,size=25%"}
	if _, err := mounts.All(sys, []mounts.Mount{memory}); err != nil {
		return note + fmt.Sprintf(" (%v)", err)
	}
	return note
}

// roomOn is how many bytes of the file system of dir are free, also those that
// only root may have.
func roomOn(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bfree) * fs.Bsize, nil
}

// check is called before every start. It returns what it did, for the
// operator, or "".
func (c *containerdRoot) check() string {
	why := ""
	if err := checkBolt(filepath.Join(c.dir, metaDB)); err != nil {
		why = err.Error()
	} else if c.failed >= earlyEndMax {
		why = fmt.Sprintf("containerd ended early %d times", c.failed)
	}
	if why == "" || c.aside {
		return ""
	}
	c.aside, c.failed = true, 0
	to := fmt.Sprintf("%s.damaged-%d", c.dir, time.Now().Unix())
	if err := os.Rename(c.dir, to); err != nil {
		return fmt.Sprintf("cannot set containerd's data aside (%s): %v", why, err)
	}
	return fmt.Sprintf("containerd's data was set aside as %s: %s", to, why)
}

// ended counts runs that a damaged root may have ended. One that was killed
// from outside says nothing about the root; one that died of its own does, also
// after it had answered: it may stumble over a bad page at any time.
func (c *containerdRoot) ended(r run) {
	switch {
	case r.err != nil || r.exit.Signal == unix.SIGKILL || r.exit.Signal == unix.SIGTERM:
	case r.lived < earlyEnd:
		c.failed++
	default:
		c.failed = 0
	}
}

// checkBolt looks for damage in a bolt database that containerd would not
// survive: a head that is not bolt's, or a file shorter than the head says, on
// which the first access to a missing page ends the program with SIGBUS. A
// missing or empty file is fine, it is made anew.
func checkBolt(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if info.Size() == 0 {
		return nil
	}
	newest, err := newestMeta(f)
	if err != nil {
		return fmt.Errorf("database %s is damaged: %w", path, err)
	}
	if need := int64(newest.pages) * int64(newest.pageSize); need > info.Size() {
		return fmt.Errorf("database %s is damaged: it has %d bytes, want %d", path, info.Size(), need)
	}
	return nil
}

// boltMeta is what we need of a bolt meta page. Bolt keeps two and uses the
// valid one with the higher transaction number.
type boltMeta struct {
	pageSize uint32
	pages    uint64 // in use; the rest of the file is room
	txid     uint64
}

const (
	boltPageHead = 16
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
)

func newestMeta(f io.ReaderAt) (boltMeta, error) {
	first, ok := readMeta(f, 0)
	// The page size stands in the page; when the first is unreadable, try what
	// bolt may have used: it takes the system's.
	sizes := []int64{int64(first.pageSize)}
	if !ok {
		sizes = []int64{4096, 16384, 65536}
	}
	for _, size := range sizes {
		second, ok2 := readMeta(f, size)
		if ok2 && (!ok || second.txid > first.txid) {
			first, ok = second, true
		}
	}
	if !ok {
		return boltMeta{}, errors.New("neither of its heads is valid")
	}
	return first, nil
}

func readMeta(f io.ReaderAt, at int64) (boltMeta, bool) {
	head := make([]byte, 64)
	if _, err := f.ReadAt(head, at+boltPageHead); err != nil {
		return boltMeta{}, false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(head[:56])
	le := binary.LittleEndian // the machine's order in fact; both of our architectures have this one
	m := boltMeta{pageSize: le.Uint32(head[8:]), pages: le.Uint64(head[40:]), txid: le.Uint64(head[48:])}
	valid := le.Uint32(head) == boltMagic && le.Uint32(head[4:]) == boltVersion &&
		le.Uint64(head[56:]) == sum.Sum64() &&
		m.pageSize >= 512 && m.pageSize <= 1<<20 && m.pages < 1<<40
	return m, valid
}

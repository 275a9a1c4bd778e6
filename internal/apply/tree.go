package apply

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// tree is the file system as a service sees it: its root, with the directories
// of the machine that are mounted into it. Paths are resolved as the service
// would resolve them, one name after the other: a symbolic link means what it
// means in there, and nothing leads out.
type tree struct {
	h       *Host
	service string
	root    string // "": the service is not running, only its mounts are there
	binds   []Bind
}

// errNotRunning is that of a path that only a running service has.
var errNotRunning = errors.New("the service is not running")

// maxLinks is the kernel's own limit for one path.
const maxLinks = 40

// dir is an open directory of a tree.
type dir struct {
	file     *os.File // nil: in a root that is not there
	path     string   // as the service sees it
	host     string   // the same on the machine; "": in the root of the service
	readOnly string   // the mount it is in, if that is read-only
}

func (d *dir) close() {
	if d.file != nil {
		d.file.Close()
	}
}

func (d *dir) fd() int { return int(d.file.Fd()) }

// key names a file of the directory in the record.
func (d *dir) key(service, name string) string {
	if d.host != "" {
		return path.Join(d.host, name)
	}
	return service + ":" + path.Join(d.path, name)
}

// parent opens the directory of a file, making those that are missing, and
// gives the file's name in it. A link at the end of the path is not followed.
func (t tree) parent(file string, make bool) (*dir, string, error) {
	where, name := path.Split(path.Clean(file))
	d, err := t.open(where, make)
	if err != nil {
		return nil, "", err
	}
	if at := path.Join(d.path, name); t.bindAt(at) != nil {
		d.close()
		return nil, "", fmt.Errorf("%s is mounted there by itself", at)
	}
	if d.file == nil {
		return nil, "", errNotRunning
	}
	return d, name, nil
}

func (t tree) bindAt(path string) *Bind {
	for i := range t.binds {
		if strings.TrimRight(t.binds[i].Target, "/") == path {
			return &t.binds[i]
		}
	}
	return nil
}

// open walks to a directory.
func (t tree) open(where string, make bool) (_ *dir, err error) {
	top, err := t.top()
	if err != nil {
		return nil, err
	}
	way := []*dir{top} // from the root to where we are
	defer func() {
		for _, d := range way {
			d.close()
		}
	}()
	back := func(to int) {
		for _, d := range way[to:] {
			d.close()
		}
		way = way[:to]
	}
	links := 0
	for rest := strings.Split(where, "/"); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(way) > 1 {
				back(len(way) - 1)
			}
			continue
		}
		next, link, err := t.step(way[len(way)-1], name, make)
		if err != nil {
			return nil, err
		}
		if next != nil {
			way = append(way, next)
			continue
		}
		if links++; links > maxLinks {
			return nil, unix.ELOOP
		}
		if path.IsAbs(link) {
			back(1)
		}
		rest = append(strings.Split(link, "/"), rest...)
	}
	last := way[len(way)-1]
	way = way[:len(way)-1]
	return last, nil
}

func (t tree) top() (*dir, error) {
	d := &dir{path: "/"}
	if t.root == "" {
		return d, nil
	}
	f, err := os.OpenFile(t.root, unix.O_PATH|unix.O_DIRECTORY, 0)
	d.file = f
	return d, err
}

// step goes from a directory to one in it, or gives the target of the link
// that is there.
func (t tree) step(d *dir, name string, make bool) (next *dir, link string, err error) {
	next = &dir{path: path.Join(d.path, name), readOnly: d.readOnly}
	if d.host != "" {
		next.host = path.Join(d.host, name)
	}
	if bind := t.bindAt(next.path); bind != nil {
		return t.cross(next, bind, make)
	}
	if d.file == nil {
		return next, "", nil // perhaps on the way to a mount
	}
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(d.fd(), name, flags, 0)
	if errors.Is(err, unix.ENOENT) && make {
		if d.readOnly != "" {
			return nil, "", t.sealed(d)
		}
		if err := d.mkdir(name); err != nil {
			return nil, "", err
		}
		fd, err = unix.Openat(d.fd(), name, flags, 0)
	}
	if err != nil {
		return nil, "", &os.PathError{Op: "open", Path: next.path, Err: err}
	}
	next.file = os.NewFile(uintptr(fd), next.path)
	info, err := next.file.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		return next, "", nil
	case info.Mode()&os.ModeSymlink != 0:
		link, err = readlink(fd)
	default:
		err = &os.PathError{Op: "open", Path: next.path, Err: unix.ENOTDIR}
	}
	next.close()
	return nil, link, err
}

func (t tree) sealed(d *dir) error {
	return fmt.Errorf("%s sees %s read-only", t.service, d.readOnly)
}

// cross goes from the tree into a directory of the machine.
func (t tree) cross(next *dir, bind *Bind, make bool) (*dir, string, error) {
	next.host, next.readOnly = path.Clean(bind.Source), ""
	if bind.ReadOnly {
		next.readOnly = next.path
	}
	source := t.h.Path(bind.Source)
	if make && !bind.ReadOnly {
		if err := os.MkdirAll(source, 0o755); err != nil {
			return nil, "", err
		}
	}
	f, err := os.OpenFile(source, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, "", err
	}
	next.file = f
	return next, "", nil
}

// mkdir makes a directory with mode 0755 whatever our umask is.
func (d *dir) mkdir(name string) error {
	if err := unix.Mkdirat(d.fd(), name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return &os.PathError{Op: "mkdir", Path: path.Join(d.path, name), Err: err}
	}
	fd, err := unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, 0o755)
}

func readlink(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	return string(buf[:n]), err
}

// content is a file: what is in it and whose it is, or the target of a link.
type content struct {
	Text     []byte
	Link     string `json:",omitempty"`
	Mode     uint32
	UID, GID int
}

func (c *content) equal(other content) bool {
	return c.Link == other.Link && c.Mode == other.Mode && c.UID == other.UID && c.GID == other.GID && bytes.Equal(c.Text, other.Text)
}

// maxKept is how much of a file is remembered in order to put it back.
const maxKept = 256 << 10

// small is the content, or nothing if it is too large to be remembered.
func (c *content) small() *content {
	if len(c.Text) > maxKept {
		return nil
	}
	return c
}

// read gives the content of a file; nil if it is not there.
func (d *dir) read(name string) (*content, error) {
	fd, err := unix.Openat(d.fd(), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	c := &content{Mode: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		c.Link, err = readlink(fd)
		return c, err
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return nil, errors.New("there is a directory of this name")
	default:
		return nil, errors.New("there is something of this name that is no file")
	}
	if st.Size > maxFile {
		return nil, fmt.Errorf("there is a file of more than %d MiB in its place", maxFile>>20)
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)) // the very file, whatever has its name now
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c.Text, err = io.ReadAll(f)
	return c, err
}

// tempName cannot be in the way of a second writer: there is a lock.
const tempName = ".ros-write-files"

// write puts a file in the place of what is there, in one step.
func (d *dir) write(name string, c content) error {
	if err := unix.Unlinkat(d.fd(), tempName, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := d.fill(c); err != nil {
		_ = unix.Unlinkat(d.fd(), tempName, 0) // the first error says more
		return err
	}
	return unix.Renameat(d.fd(), tempName, d.fd(), name)
}

func (d *dir) fill(c content) error {
	if c.Link != "" {
		return unix.Symlinkat(c.Link, d.fd(), tempName)
	}
	fd, err := unix.Openat(d.fd(), tempName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), tempName)
	defer f.Close()
	if _, err := f.Write(c.Text); err != nil {
		return err
	}
	if err := unix.Fchown(fd, c.UID, c.GID); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, c.Mode); err != nil { // last: chown takes setuid away
		return err
	}
	if d.host == "" {
		return nil // the root of a service does not outlive a power cut
	}
	return f.Sync()
}

func (d *dir) remove(name string) error { return unix.Unlinkat(d.fd(), name, 0) }

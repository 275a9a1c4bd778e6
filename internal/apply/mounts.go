package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/mounts"
)

// Mounts mounts file systems where containers see them, and switches swap on.
// What is no longer in the config is unmounted, unless somebody uses it. One
// that fails is tried again whenever the config is applied, and when the
// network comes up.
func Mounts(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	m := &mounter{h: h}
	if err := h.recall("mounts", &m.made); err != nil {
		return Outcome{}, err
	}
	// First away with what is not wanted, the latest first: something else may
	// be wanted in the same place.
	for _, one := range slices.Backward(slices.Clone(m.made)) {
		if !slices.ContainsFunc(cfg.Mounts, func(want config.Mount) bool { return one.Mount == want }) {
			m.undo(one)
		}
	}
	for _, want := range cfg.Mounts {
		err := m.make(ctx, want)
		switch {
		case err == nil:
		case want.Type == "swap":
			m.failed(fmt.Errorf("mounts: cannot swap to %s: %w", want.Device, err))
		default:
			m.failed(fmt.Errorf("mounts: cannot mount %s at %s: %w", want.Device, want.Path, err))
		}
	}
	return m.outcome, errors.Join(m.errs...)
}

// madeMount is a mount that the config made, or swap that it switched on.
type madeMount struct {
	config.Mount
	Target string // with no links in it; of swap, the device
}

// mounter does the work of Mounts.
type mounter struct {
	h       *Host
	made    []madeMount
	outcome Outcome
	errs    []error
}

func (m *mounter) failed(err error) {
	if err != nil {
		m.errs = append(m.errs, err)
	}
}

// keep remembers what was made, at once: a rosd that dies must not mount twice.
func (m *mounter) keep() { m.failed(m.h.remember("mounts", m.made)) }

func (m *mounter) did(format string, args ...any) {
	m.outcome.Did = append(m.outcome.Did, fmt.Sprintf(format, args...))
}

func (m *mounter) undo(one madeMount) {
	if one.Type == "swap" {
		on, err := m.h.swapping(one.Target)
		if err == nil && on {
			err = m.h.System.Swapoff(one.Target)
		}
		if err != nil {
			m.failed(fmt.Errorf("mounts: cannot switch swap on %s off: %w", one.Device, err))
			return
		}
		m.forget(one)
		m.did("switched swap on %s off", one.Device)
		return
	}
	there, err := m.there(one.Target)
	if err == nil && there {
		err = m.h.System.Unmount(m.h.Path(one.Target))
	}
	switch {
	case errors.Is(err, unix.EBUSY):
		m.failed(fmt.Errorf("mounts: cannot unmount %s: somebody uses it", one.Path))
		return
	case err != nil:
		m.failed(fmt.Errorf("mounts: cannot unmount %s: %w", one.Path, err))
		return
	}
	m.forget(one)
	m.did("unmounted %s", one.Path)
	m.docker(one.Target)
}

func (m *mounter) forget(one madeMount) {
	m.made = slices.DeleteFunc(m.made, func(other madeMount) bool { return other == one })
	m.keep()
}

// there says whether something is mounted in that place.
func (m *mounter) there(target string) (bool, error) {
	mounted, err := m.h.mounted()
	return slices.ContainsFunc(mounted, func(p mounts.Point) bool { return p.Target == target }), err
}

func (m *mounter) make(ctx context.Context, want config.Mount) error {
	options := readOptions(want.Options)
	at := slices.IndexFunc(m.made, func(one madeMount) bool { return one.Mount == want })
	if at >= 0 {
		if there, err := m.holds(m.made[at]); there || err != nil {
			return err
		}
		m.made = slices.Delete(m.made, at, at+1) // somebody has taken it away
	}
	if options.noauto {
		return nil
	}
	if want.Type == "swap" {
		return m.swap(want)
	}
	target, err := m.target(want.Path)
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(m.made, func(one madeMount) bool { return one.Target == target }); at >= 0 {
		return fmt.Errorf("%s is mounted there", m.made[at].Device)
	}
	if err := m.mount(ctx, want, options, target); err != nil {
		return err
	}
	m.made = append(m.made, madeMount{want, target})
	m.keep()
	m.did("mounted %s at %s", want.Device, want.Path)
	m.docker(target)
	return nil
}

// holds says whether what was made is still so.
func (m *mounter) holds(one madeMount) (bool, error) {
	if one.Type == "swap" {
		return m.h.swapping(one.Target)
	}
	return m.there(one.Target)
}

// docker restarts Docker when its data are others now.
func (m *mounter) docker(target string) {
	const data = "/var/lib/docker"
	if below(data, target) || below(target, data) {
		m.outcome.Restart = append(m.outcome.Restart, "docker-containerd", "docker")
	}
}

// mountPlaces are where a mount point can be made: all else is the OS image,
// which is read-only, or belongs to the kernel.
var mountPlaces = []string{"/mnt", "/media", "/home", "/opt", "/var", "/run", "/tmp"}

// target is the path of a mount point without links in it.
func (m *mounter) target(path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", errors.New("the mount point is not an absolute path")
	}
	path, err := m.real(filepath.Clean(path))
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(mountPlaces, func(place string) bool { return below(path, place) }) {
		return "", fmt.Errorf("mount points are below %s; the rest is the OS image, which is read-only", strings.Join(mountPlaces, ", "))
	}
	return path, nil
}

// real follows the links in what of a path is there already.
func (m *mounter) real(path string) (string, error) {
	root, err := filepath.EvalSymlinks(m.h.Root)
	if err != nil {
		return "", err
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		real, err := filepath.EvalSymlinks(m.h.Path(dir))
		if err != nil && dir != "/" {
			continue
		}
		if err != nil {
			return "", err
		}
		rel, err := filepath.Rel(root, real)
		return filepath.Join("/", rel, strings.TrimPrefix(path, dir)), err
	}
}

// mount makes one mount.
func (m *mounter) mount(ctx context.Context, want config.Mount, o mountOptions, target string) error {
	var source string
	var err error
	fstype, data := want.Type, o.data
	switch {
	case o.flags&unix.MS_BIND != 0:
		source, fstype = m.h.Path(want.Device), ""
	case isNFS(fstype):
		return m.mountNFS(ctx, want, o, target)
	default:
		if source, err = m.device(want.Device); err != nil {
			return err
		}
		if fstype == "" || fstype == "auto" || fstype == "none" {
			if fstype, err = fileSystem(source); err != nil {
				return err
			}
		}
	}
	if err := m.mountPoint(source, o, target); err != nil {
		return err
	}
	path := m.h.Path(target)
	if err := m.h.System.Mount(source, path, fstype, o.flags, strings.Join(data, ",")); err != nil {
		return err
	}
	return m.rest(o, path)
}

// rest is what takes calls of its own: a new bind mount ignores every flag but
// its own, and how mounts spread is asked for apart.
func (m *mounter) rest(o mountOptions, path string) error {
	const kinds = unix.MS_BIND | unix.MS_REC
	var err error
	if o.flags&unix.MS_BIND != 0 && o.flags&^kinds != 0 {
		err = m.h.System.Mount("", path, "", o.flags&^unix.MS_REC|unix.MS_REMOUNT, "")
	}
	if err == nil && o.spread != 0 {
		err = m.h.System.Mount("", path, "", o.spread, "")
	}
	if err != nil {
		return errors.Join(err, m.h.System.Unmount(path))
	}
	return nil
}

// mountPoint makes what is to be mounted on, if it is missing.
func (m *mounter) mountPoint(source string, o mountOptions, target string) error {
	path := m.h.Path(target)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if o.flags&unix.MS_BIND != 0 {
		info, err := os.Stat(source)
		if err != nil {
			return plain(err)
		}
		if !info.IsDir() {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			return f.Close()
		}
	}
	return os.MkdirAll(path, 0o755)
}

// device is the path of a device. What names none, such as "tmpfs" or the tag
// of a virtiofs, is left as it is.
func (m *mounter) device(spec string) (string, error) {
	_, _, tagged := strings.Cut(spec, "=")
	switch {
	case tagged && strings.ToUpper(spec[:1]) == spec[:1]: // LABEL= and its like
		d, err := m.h.devices().Find(spec)
		return d.Path, err
	case strings.HasPrefix(spec, "/dev/"):
		path := m.h.Path(spec)
		if _, err := os.Stat(path); err != nil {
			return "", blockdev.ErrNotFound
		}
		return path, nil
	case !strings.Contains(spec, "/") && m.h.present("sys/class/block/"+spec): // vdb1, as cloud-init has it
		return m.h.Path("dev", spec), nil
	}
	return spec, nil
}

func fileSystem(device string) (string, error) {
	content, err := blockdev.Probe(device)
	if err != nil {
		return "", err
	}
	if content.Type == "" {
		return "", errors.New("nothing on it is known as a file system")
	}
	return content.Type, nil
}

// swap switches swap on a device on.
func (m *mounter) swap(want config.Mount) error {
	device, err := m.device(want.Device)
	if err != nil {
		return err
	}
	on, err := m.h.swapping(device)
	if err != nil {
		return err
	}
	if !on {
		if err := m.h.System.Swapon(device); err != nil {
			return err
		}
		m.did("switched swap on %s on", want.Device)
	}
	m.made = append(m.made, madeMount{want, device})
	m.keep()
	return nil
}

// swapping says whether a device or file is swapped to.
func (h *Host) swapping(path string) (bool, error) {
	text, err := os.ReadFile(h.Path("proc/swaps"))
	if errors.Is(err, os.ErrNotExist) {
		return false, errors.New("the kernel has no swap")
	}
	return slices.Contains(mounts.Swaps(string(text)), path), err
}

// mountOptions are the words of the fourth field of a mount.
type mountOptions struct {
	flags  uintptr
	spread uintptr // MS_SHARED and its like
	data   []string
	noauto bool // it is not for us to mount
}

// mountFlags are the words that mount(8) turns into flags, and what they take
// back.
var mountFlags = map[string]struct{ set, clear uintptr }{
	"bind": {set: unix.MS_BIND}, "rbind": {set: unix.MS_BIND | unix.MS_REC},
	"ro": {set: unix.MS_RDONLY}, "rw": {clear: unix.MS_RDONLY},
	"nosuid": {set: unix.MS_NOSUID}, "suid": {clear: unix.MS_NOSUID},
	"nodev": {set: unix.MS_NODEV}, "dev": {clear: unix.MS_NODEV},
	"noexec": {set: unix.MS_NOEXEC}, "exec": {clear: unix.MS_NOEXEC},
	"sync": {set: unix.MS_SYNCHRONOUS}, "async": {clear: unix.MS_SYNCHRONOUS},
	"dirsync": {set: unix.MS_DIRSYNC}, "lazytime": {set: unix.MS_LAZYTIME},
	"noatime": {set: unix.MS_NOATIME}, "atime": {clear: unix.MS_NOATIME},
	"nodiratime": {set: unix.MS_NODIRATIME}, "diratime": {clear: unix.MS_NODIRATIME},
	"relatime": {set: unix.MS_RELATIME}, "norelatime": {clear: unix.MS_RELATIME},
	"strictatime": {set: unix.MS_STRICTATIME}, "silent": {set: unix.MS_SILENT},
	"defaults": {}, "auto": {}, "nofail": {}, "fail": {}, "_netdev": {}, "user": {}, "nouser": {}, "users": {}, "owner": {}, "group": {},
}

// mountSpreads are the words for where later mounts spread to.
var mountSpreads = map[string]uintptr{
	"shared": unix.MS_SHARED, "rshared": unix.MS_SHARED | unix.MS_REC,
	"slave": unix.MS_SLAVE, "rslave": unix.MS_SLAVE | unix.MS_REC,
	"private": unix.MS_PRIVATE, "rprivate": unix.MS_PRIVATE | unix.MS_REC,
}

func readOptions(text string) mountOptions {
	var o mountOptions
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		flag, isFlag := mountFlags[word]
		spread, isSpread := mountSpreads[word]
		switch {
		case word == "" || strings.HasPrefix(word, "x-") || strings.HasPrefix(word, "comment="):
		case word == "noauto":
			o.noauto = true
		case isFlag:
			o.flags = o.flags&^flag.clear | flag.set
		case isSpread:
			o.spread = cmp.Or(spread, o.spread)
		default:
			o.data = append(o.data, word)
		}
	}
	return o
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/mounts"
)

// place is a directory or a symlink that must be there before any service
// starts. What is there already stays as it is.
type place struct {
	path string
	mode fs.FileMode
	uid  int
	gid  int
	link string // not "": a symlink to this
}

// statePlaces are below the directory for our data on the state disk. A
// service makes what it alone needs.
var statePlaces = []place{
	{path: "var", mode: 0o755},
	{path: "var/cache", mode: 0o755},
	{path: "var/lib", mode: 0o755},
	{path: "var/lib/docker", mode: 0o710},
	{path: "var/lib/rancher", mode: 0o755},
	{path: "var/lib/rancher/conf", mode: 0o700}, // holds password hashes
	{path: "var/lib/rancher/services", mode: 0o755},
	{path: "var/log", mode: 0o755},
	{path: "var/log/ros", mode: 0o750 | fs.ModeSetgid, gid: rosGroup}, // its files are of the group too: operators read logs
	{path: "var/spool", mode: 0o755},
	{path: "var/tmp", mode: 0o777 | fs.ModeSticky},
	{path: "var/run", link: "/run"},
	{path: "var/lock", link: "/run/lock"},
	{path: "home", mode: 0o755},
	{path: "home/rancher", mode: 0o755, uid: 1100, gid: 1100},
	{path: "opt", mode: 0o755},
}

// rosGroup is the group ros of images/base, whose members operate the machine.
const rosGroup = 1102

// runPlaces are below /run.
var runPlaces = []place{
	{path: "lock", mode: 0o777 | fs.ModeSticky},
	{path: "ros", mode: 0o755},
	{path: "ros/net", mode: 0o755},
}

// etcTemplate is what /etc begins with at every boot.
const etcTemplate = "/usr/share/ros/etc"

// assembleRoot puts the writable directories into the OS image.
func assembleRoot(m *machine) (string, error) {
	data, err := stateDirectory(m)
	if err != nil {
		return "", err
	}
	// The rescue shell has the state disk read-only: what is missing is missing.
	if err := makePlaces(data, statePlaces); err != nil && !errors.Is(err, unix.EROFS) {
		return "", fmt.Errorf("cannot prepare the state disk: %w", err)
	}
	if err := makePlaces("/run", runPlaces); err != nil {
		return "", err
	}
	if err := keepKeys(data, m.diskKeys); err != nil {
		m.warn("cannot keep the SSH keys that the state disk had before it was formatted: " + err.Error())
	}
	const plain = unix.MS_NOSUID | unix.MS_NODEV
	if _, err := mounts.All(mounts.Linux{}, []mounts.Mount{
		{Source: "etc", Target: sysroot + "/etc", Type: "tmpfs", Flags: plain, Data: "mode=0755"},
		{Source: "tmp", Target: sysroot + "/tmp", Type: "tmpfs", Flags: plain, Data: "mode=1777"},
		// For mount points, which come and go with the config.
		{Source: "mnt", Target: sysroot + "/mnt", Type: "tmpfs", Flags: plain, Data: "mode=0755,size=1m"},
		{Source: "media", Target: sysroot + "/media", Type: "tmpfs", Flags: plain, Data: "mode=0755,size=1m"},
		mounts.Bind(data+"/var", sysroot+"/var", 0),
		mounts.Bind(data+"/home", sysroot+"/home", 0),
		mounts.Bind(data+"/opt", sysroot+"/opt", 0),
	}); err != nil {
		return "", err
	}
	if err := copyTree(sysroot+etcTemplate, sysroot+"/etc"); err != nil {
		return "", fmt.Errorf("cannot fill /etc: %w", err)
	}
	return "", nil
}

// keepKeys gives the config the SSH keys of a disk that docker-machine made, in
// the file that RancherOS had for them.
func keepKeys(data string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	text, err := json.Marshal(map[string][]string{"ssh_authorized_keys": keys}) // JSON is YAML, too
	if err != nil {
		return err
	}
	dir := filepath.Join(data, "var/lib/rancher/conf/cloud-config.d")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, "machine.yml"), []byte("#cloud-config\n"+string(text)+"\n"), 0o600)
}

// stateDirectory is where our data lies on the state disk: at its top, or
// below rancher.state.directory.
func stateDirectory(m *machine) (string, error) {
	top := sysroot + "/state"
	name, _ := m.line.Value("rancher.state.directory")
	if name == "" {
		return top, nil
	}
	if !filepath.IsLocal(strings.TrimPrefix(name, "/")) {
		return "", fmt.Errorf("rancher.state.directory=%s leads out of the state disk", name)
	}
	dir := filepath.Join(top, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// makePlaces makes what is missing below dir. Something else in the way of a
// symlink (a directory of an older system) is left alone: no data is removed.
func makePlaces(dir string, places []place) error {
	for _, p := range places {
		path := filepath.Join(dir, p.path)
		if p.link != "" {
			if err := os.Symlink(p.link, path); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			continue
		}
		err := os.Mkdir(path, p.mode.Perm())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.Chmod(path, p.mode); err != nil { // past the umask, with the sticky bit
			return err
		}
		if p.uid != 0 || p.gid != 0 {
			if err := os.Chown(path, p.uid, p.gid); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyTree copies directories, files and symlinks with their modes. from may
// be missing.
func copyTree(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyEntry(path, filepath.Join(to, rel), d)
	})
}

func copyEntry(from, to string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case d.IsDir():
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		return os.Chmod(to, info.Mode())
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case info.Mode().IsRegular():
		return copyFile(from, to, info.Mode())
	}
	return fmt.Errorf("%q is neither file, directory nor symlink", from)
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(mode), out.Close())
}

// switchRoot makes the OS image the root. What runs next is the same program,
// from there.
func switchRoot(m *machine) (string, error) {
	err := mounts.SwitchRoot(sysroot, []string{"/dev", "/proc", "/sys", "/run"})
	if err != nil {
		return "", err
	}
	// Containers get copies of our mounts; with shared ones, what is mounted
	// later reaches those that ask for it (rslave). MS_MOVE above does not
	// work with a shared parent, so this comes after it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return "", fmt.Errorf("cannot share the mounts: %w", err)
	}
	return "", nil
}

func chrootTo(dir string) *syscall.SysProcAttr { return &syscall.SysProcAttr{Chroot: dir} }

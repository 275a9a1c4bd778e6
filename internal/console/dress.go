package console

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
)

// links are names of the machine, which a console sees at /run.
var links = map[string]string{
	"etc/resolv.conf": "/run/ros/net/resolv.conf",
	"etc/hosts":       "/run/ros/net/hosts",
	"etc/hostname":    "/run/ros/net/hostname",
	"etc/localtime":   "/run/ros/net/localtime",
}

// profile is for the shells that read /etc/profile.d.
const profile = `# Put here by Roster: what the configuration says about logins.
[ ! -r /run/ros/login/environment ] || . /run/ros/login/environment
[ ! -r /run/ros/login/locale ] || . /run/ros/login/locale
[ ! -s /run/ros/login/notice ] || [ ! -t 1 ] || cat /run/ros/login/notice
[ -z "$BASH_VERSION" ] || [ ! -r ` + Layers + `/console/usr/share/bash-completion/completions/ros ] ||
	. ` + Layers + `/console/usr/share/bash-completion/completions/ros
`

// rules are for the sudo of an image that has one.
const rules = `# Put here by Roster: the operator is the machine's administrator, others are
# what the configuration says.
rancher ALL=(ALL:ALL) NOPASSWD: ALL
@includedir /run/ros/login/sudoers.d
`

// Dress makes the files of an image a console's. It says all that could not be
// done; whatever that is, somebody may be able to log in all the same. Doing it
// again changes nothing.
func Dress(dir string, t Tables) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("cannot dress the console: %w", err)
	}
	defer root.Close()
	var errs []error
	try := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot dress the console: %s: %w", what, err))
		}
	}
	try("accounts", mergeTables(root, t))
	for name, target := range links {
		try(name, link(root, name, target))
	}
	if _, err := root.Readlink("var/run"); err != nil { // Docker's command looks for its socket there
		try("var/run", link(root, "var/run", "/run"))
	}
	own := hasSudo(root)
	for _, name := range Commands {
		if name == "sudo" && own {
			continue
		}
		try(name, link(root, "usr/local/bin/"+name, ros))
	}
	if _, err := root.Lstat("root/.docker"); errors.Is(err, fs.ErrNotExist) && isDir(root, "root") {
		try("root/.docker", link(root, "root/.docker", "/run/ros/login/docker"))
	}
	if isDir(root, "etc/profile.d") {
		try("etc/profile.d", replace(root, "etc/profile.d/roster.sh", []byte(profile), 0o644))
	}
	if own && isDir(root, "etc/sudoers.d") {
		try("etc/sudoers.d", replace(root, "etc/sudoers.d/roster", []byte(rules), 0o440))
	}
	return errors.Join(errs...)
}

// hasSudo says whether an image has a sudo of its own.
func hasSudo(root *os.Root) bool {
	return slices.ContainsFunc([]string{"usr/bin/sudo", "bin/sudo", "usr/sbin/sudo"}, func(name string) bool {
		_, err := root.Lstat(name)
		return err == nil
	})
}

func isDir(root *os.Root, name string) bool {
	info, err := root.Stat(name)
	return err == nil && info.IsDir()
}

// link makes a symbolic link in place of whatever file is there.
func link(root *os.Root, name, target string) error {
	if was, err := root.Readlink(name); err == nil && was == target {
		return nil
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Symlink(target, name)
}

// replace makes a file what it should be in one step. One that is there keeps
// its owner and its mode.
func replace(root *os.Root, name string, text []byte, perm os.FileMode) error {
	was, err := root.ReadFile(name)
	if err == nil && string(was) == string(text) {
		return nil
	}
	uid, gid := 0, 0
	if info, err := root.Stat(name); err == nil {
		perm = info.Mode().Perm()
		uid, gid = owner(info)
	}
	fresh := name + ".roster"
	if err := root.WriteFile(fresh, text, 0o600); err != nil {
		return err
	}
	if err := errors.Join(root.Lchown(fresh, uid, gid), root.Chmod(fresh, perm)); err != nil {
		return err
	}
	return root.Rename(fresh, name)
}

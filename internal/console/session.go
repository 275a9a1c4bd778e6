package console

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Account is somebody who logs in.
type Account struct {
	Name        string
	UID, GID    int
	Groups      []int // all of them, GID among them
	Home, Shell string
}

// FindAccount looks an account up by its number.
func (t Tables) FindAccount(uid int) (Account, error) {
	for _, r := range rows(t.Passwd) {
		if len(r) < 7 || r.number() != uid {
			continue
		}
		gid, err := strconv.Atoi(r[3])
		if err != nil {
			break
		}
		a := Account{Name: r[0], UID: uid, GID: gid, Groups: []int{gid}, Home: r[5], Shell: r[6]}
		for _, g := range rows(t.Group) {
			if len(g) > 3 && slices.Contains(strings.Split(g[3], ","), a.Name) && g.number() >= 0 && g.number() != gid {
				a.Groups = append(a.Groups, g.number())
			}
		}
		return a, nil
	}
	return Account{}, fmt.Errorf("no account of the machine has the number %d", uid)
}

// shells are looked for when an image does not have that of an account.
var shells = []string{"/bin/bash", "/usr/bin/bash", "/bin/ash", "/bin/sh", "/usr/bin/sh"}

// Shell is the shell of an account in the image whose files are at root, or the
// first of bash, ash and sh that it has.
func Shell(root, wanted string) (string, error) {
	for _, shell := range append([]string{wanted}, shells...) {
		if filepath.IsAbs(shell) && runnable(root, shell) {
			return shell, nil
		}
	}
	return "", errors.New("the image has no shell: neither bash, ash nor sh")
}

// shellIn is Shell for an account that may be one without logins, which it stays.
func shellIn(root, wanted string) string {
	if name := filepath.Base(wanted); name == "nologin" || name == "false" {
		return wanted
	}
	shell, err := Shell(root, wanted)
	if err != nil {
		return wanted
	}
	return shell
}

// runnable says whether a path leads to a program, links and all, for somebody
// whose / is root.
func runnable(root, path string) bool {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	return unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Mode&0o111 != 0
}

// Program is what is run in a console.
type Program struct {
	Args []string
	Env  []string
	Dir  string
}

// passed are the variables of a login that go on into the console.
var passed = []string{"TERM", "COLORTERM", "NO_COLOR", "LANG", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "TZ"}

// Pass picks what a console gets of the variables of who comes.
func Pass(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, ok := strings.Cut(kv, "=")
		return !ok || !slices.Contains(passed, name) && !strings.HasPrefix(name, "LC_")
	})
}

// Login is what a login runs: a shell, which reads its profile, or one that
// runs a command and does not.
func Login(root string, a Account, command string, env []string) (Program, error) {
	shell, err := Shell(root, a.Shell)
	if err != nil {
		return Program{}, err
	}
	p := Program{Args: []string{shell, "-l"}, Dir: "/"}
	if command != "" {
		p.Args = []string{shell, "-c", command}
	}
	if info := (unix.Stat_t{}); filepath.IsAbs(a.Home) && unix.Stat(filepath.Join(root, filepath.Clean(a.Home)), &info) == nil && info.Mode&unix.S_IFMT == unix.S_IFDIR {
		p.Dir = a.Home
	}
	p.Env = append(Pass(env), "HOME="+a.Home, "USER="+a.Name, "LOGNAME="+a.Name, "SHELL="+shell)
	return p, nil
}

// Package stateformat keeps a folder of state readable by whichever release
// runs: one that is newer, one on trial that may never be committed, and the
// older one that comes back after it.
//
// It owns the number of the folder's format, kept in the folder itself, and the
// order in which a change of format happens: on a copy, which takes the
// folder's place in one step. What the folder was before stays beside it, and
// an older release that meets a newer format takes that back. So nothing that
// a release on trial writes has to be understood by the one before it.
//
// What a migration does, and which folder it is, is for the callers.
package stateformat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/atomicfile"
)

// fileName holds the number of the format. A folder without it has format 1.
const fileName = ".format"

// Migration changes a folder from one format to the next. It works on a copy
// that nobody else sees, and may be cut off at any moment: it is then begun
// again on a fresh copy.
type Migration struct {
	Name    string // for the log: what changes
	Forward func(dir string) error
}

// Open makes the folder dir one of the format that this release writes, which
// is one more than there are migrations, and returns what an operator should
// know of it: "" when there was nothing to do. The folder need not exist yet.
//
// On an error the folder is what it was.
func Open(dir string, migrations []Migration) (note string, err error) {
	f := folder{dir: dir, ours: 1 + len(migrations), migrations: migrations}
	if note, err = f.open(); err != nil {
		return "", fmt.Errorf("cannot bring %q to format %d: %w", dir, f.ours, err)
	}
	return note, nil
}

// folder is one call of Open.
type folder struct {
	dir        string
	ours       int
	migrations []Migration
}

// fresh is where a copy is worked on; after the exchange it is the old folder,
// until it has got its name.
func (f folder) fresh() string { return f.dir + ".new" }

// kept is what the folder was when it had that format.
func (f folder) kept(format int) string { return f.dir + ".format-" + strconv.Itoa(format) }

func (f folder) open() (string, error) {
	if _, err := os.Lstat(f.dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	format, err := read(f.dir)
	if err != nil {
		return "", err
	}
	if err := f.tidy(format); err != nil {
		return "", err
	}
	switch {
	case format < f.ours:
		return f.forward(format)
	case format > f.ours:
		return f.back(format)
	}
	return "", nil
}

// tidy ends what a power cut left: behind the exchange the old folder, which
// has another format and gets its name; before it half a copy.
func (f folder) tidy(format int) error {
	old, err := read(f.fresh())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && old != format {
		if _, err := os.Lstat(filepath.Join(f.fresh(), doneName)); err == nil {
			return f.keep(old)
		}
	}
	return os.RemoveAll(f.fresh())
}

// doneName marks a folder that was whole and in use: only such a one is kept.
const doneName = ".was-in-use"

func (f folder) forward(format int) (string, error) {
	if err := os.RemoveAll(f.fresh()); err != nil {
		return "", err
	}
	if err := copyTree(f.dir, f.fresh()); err != nil {
		return "", err
	}
	var names []string
	for _, m := range f.migrations[format-1:] {
		if err := m.Forward(f.fresh()); err != nil {
			_ = os.RemoveAll(f.fresh())
			return "", fmt.Errorf("%s: %w", m.Name, err)
		}
		names = append(names, m.Name)
	}
	if err := write(f.fresh(), f.ours); err != nil {
		return "", err
	}
	if err := f.exchange(format, f.fresh()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was brought from format %d to %d (%s); what it was is in %s",
		f.dir, format, f.ours, strings.Join(names, ", "), f.kept(format)), nil
}

// back takes the newest copy that this release can read, and brings that
// forward if need be.
func (f folder) back(format int) (string, error) {
	for old := f.ours; old >= 1; old-- {
		if got, err := read(f.kept(old)); err != nil || got != old {
			continue
		}
		if err := f.exchange(format, f.kept(old)); err != nil {
			return "", err
		}
		note := fmt.Sprintf("%s was of format %d, which a newer release wrote; what it was before is back, and what that release wrote is in %s",
			f.dir, format, f.kept(format))
		if old == f.ours {
			return note, nil
		}
		more, err := f.forward(old)
		return note + "; " + more, err
	}
	return "", fmt.Errorf("it is of format %d, which a newer release wrote, and there is no copy from before", format)
}

// exchange puts the folder at other in the place of ours, in one step, and
// keeps ours, which has the given format, beside it.
func (f folder) exchange(format int, other string) error {
	if err := os.WriteFile(filepath.Join(f.dir, doneName), nil, 0o600); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(other, doneName)); err != nil {
		return err
	}
	if err := syncTree(f.dir); err != nil { // both: they are on one file system
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, other, unix.AT_FDCWD, f.dir, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("cannot exchange %q and %q: %w", other, f.dir, err)
	}
	if err := syncTree(f.dir); err != nil {
		return err
	}
	if other != f.fresh() {
		if err := os.Rename(other, f.fresh()); err != nil {
			return err
		}
	}
	return f.keep(format)
}

// keep gives the old folder its name. One that had it before is older.
func (f folder) keep(format int) error {
	if err := os.RemoveAll(f.kept(format)); err != nil {
		return err
	}
	return os.Rename(f.fresh(), f.kept(format))
}

func read(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		_, err := os.Lstat(dir)
		return 1, err
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q does not hold the number of a format: %q", filepath.Join(dir, fileName), text)
	}
	return n, nil
}

func write(dir string, format int) error {
	return atomicfile.WriteFile(filepath.Join(dir, fileName), fmt.Appendln(nil, format), 0o600)
}

// syncTree waits until everything on the folder's file system is on the disk.
func syncTree(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

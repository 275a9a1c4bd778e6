package configstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/atomicfile"
)

const lastGoodName = "last-good"

func (s Store) lastGood() string { return filepath.Join(s.dir, lastGoodName) }

// LastGood is when the last good config was kept, nil if there is none.
func (s Store) LastGood() *time.Time {
	info, err := os.Stat(s.lastGood())
	if err != nil {
		return nil
	}
	at := info.ModTime()
	return &at
}

// KeepGood keeps a copy of the config as the last good one. If the copy there
// is says the same, it stays and nothing is written.
func (s Store) KeepGood() error {
	return s.locked(func() error {
		if s.onTrial() {
			return nil
		}
		if s.good() {
			return nil
		}
		if err := s.keep(); err != nil {
			return fmt.Errorf("cannot keep the config as the last good one: %w", err)
		}
		return nil
	})
}

// stage makes a folder that is to become dir, with the present file in it.
func (s Store) stage(dir string) (temp string, err error) {
	temp = dir + ".new"
	if err := os.RemoveAll(temp); err != nil {
		return "", err
	}
	if err := os.Mkdir(temp, 0o700); err != nil {
		return "", err
	}
	return temp, copyFile(s.File(), filepath.Join(temp, fileName))
}

func (s Store) keep() error {
	temp, err := s.stage(s.lastGood())
	if err != nil {
		return err
	}
	if err := copyDir(s.FileDir(), filepath.Join(temp, dirName)); err != nil {
		return err
	}
	if err := sync(temp); err != nil {
		return err
	}
	return s.exchange(temp, s.lastGood(), "")
}

// GoBack is what an operator means by rolling back. What is on trial was never
// good: then the way back is to what was there before it.
func (s Store) GoBack() error {
	if s.Trial() != nil {
		return s.Revert()
	}
	return s.Rollback()
}

// Rollback brings the last good config back. What it replaces is kept beside
// it, as *.before-rollback. When there is nothing to go back to the error is a
// *ConflictError.
func (s Store) Rollback() error {
	return s.locked(func() error {
		if s.LastGood() == nil {
			return &ConflictError{"there is no last good config yet: one is kept when all required services have been well for a while"}
		}
		if s.good() {
			return &ConflictError{"cloud-config.yml and cloud-config.d are those of the last good config already"}
		}
		if err := s.rollback(); err != nil {
			return fmt.Errorf("cannot go back to the last good config: %w", err)
		}
		return nil
	})
}

func (s Store) rollback() error {
	good := filepath.Join(s.lastGood(), dirName)
	if !sameDir(s.FileDir(), good) {
		temp := s.FileDir() + ".new"
		if err := os.RemoveAll(temp); err != nil {
			return err
		}
		if err := copyDir(good, temp); err != nil {
			return err
		}
		if err := s.exchange(temp, s.FileDir(), s.FileDir()+beforeName); err != nil {
			return err
		}
	}
	return s.restore(filepath.Join(s.lastGood(), fileName))
}

// exchange puts the folder temp in the place of dir in one step, and what was
// there to before, or away.
func (s Store) exchange(temp, dir, before string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	switch {
	case errors.Is(err, unix.ENOENT): // there was none
		if err := os.Rename(temp, dir); err != nil {
			return err
		}
		return sync(s.dir)
	case err != nil:
		return err
	}
	if before == "" {
		err = os.RemoveAll(temp)
	} else if err = os.RemoveAll(before); err == nil {
		err = os.Rename(temp, before)
	}
	return errors.Join(err, sync(s.dir))
}

// fragments are the files of a cloud-config.d, as config.Read chooses them. A
// folder that does not exist has none.
func fragments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		ext := filepath.Ext(name)
		if (ext == ".yml" || ext == ".yaml") && !strings.HasPrefix(name, ".") && !entry.IsDir() {
			names = append(names, name)
		}
	}
	return names, nil
}

// copyFile copies a file that may not be there. What a link leads to is copied.
func copyFile(from, to string) error {
	text, err := read(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(to, text, 0o600)
}

func copyDir(from, to string) error {
	names, err := fragments(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return sync(to)
}

// good says whether the config is the last good one.
func (s Store) good() bool {
	return s.LastGood() != nil && sameFile(s.File(), filepath.Join(s.lastGood(), fileName)) &&
		sameDir(s.FileDir(), filepath.Join(s.lastGood(), dirName))
}

// sameDir compares the files of two cloud-config.d.
func sameDir(a, b string) bool {
	names, errA := fragments(a)
	others, errB := fragments(b)
	if errA != nil || errB != nil || !slices.Equal(names, others) {
		return false
	}
	return !slices.ContainsFunc(names, func(name string) bool {
		return !sameFile(filepath.Join(a, name), filepath.Join(b, name))
	})
}

// sameFile compares two files; two that do not exist are the same. What cannot
// be read is like nothing else.
func sameFile(a, b string) bool {
	x, errA := read(a)
	y, errB := read(b)
	if errors.Is(errA, fs.ErrNotExist) && errors.Is(errB, fs.ErrNotExist) {
		return true
	}
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// Package configstore keeps the config files of a machine: it replaces
// cloud-config.yml, has a change on trial until somebody confirms it, and
// keeps the last config with which the machine was well.
//
// It owns the files below one folder (/var/lib/rancher/conf) and the order in
// which they are written, so that a machine that loses power at any moment has
// the old config or the new one. It does not know what is in the files (package
// config), when a config is good, or when a trial is over (rosd).
//
//	cloud-config.yml, cloud-config.d/    what counts
//	*.before-rollback                    what a rollback replaced
//	last-good/                           a copy of what counts, from when all was well
//	trial/                               the file that comes back unless the present one is confirmed
package configstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/yamldoc"
)

// Dir is where a machine keeps its config.
const Dir = "/var/lib/rancher/conf"

const (
	fileName   = "cloud-config.yml"
	dirName    = "cloud-config.d"
	lockName   = ".lock"
	beforeName = ".before-rollback"
)

// lockWait is how long a writer waits for another.
const lockWait = 5 * time.Second

// ConflictError says that what was asked for does not fit what there is now.
type ConflictError struct{ Message string }

func (e *ConflictError) Error() string { return e.Message }

// Store is the folder with the config files of one machine. Its methods may be
// called by several processes at a time.
type Store struct{ dir string }

// New is the store at dir, which need not exist yet.
func New(dir string) Store { return Store{dir} }

// File is the path of cloud-config.yml.
func (s Store) File() string { return filepath.Join(s.dir, fileName) }

// FileDir is the path of cloud-config.d.
func (s Store) FileDir() string { return filepath.Join(s.dir, dirName) }

// Datasource is the path of what the service datasource found.
func (s Store) Datasource() string { return filepath.Join(s.dir, "datasource") }

// Sum identifies the content of cloud-config.yml; "" if there is no such file.
func (s Store) Sum() (string, error) {
	text, err := read(s.File())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Write makes text the content of cloud-config.yml, if that is still the file
// whose Sum is was and nothing is on trial. Otherwise the error is a
// *ConflictError.
func (s Store) Write(text []byte, was string) error {
	return s.locked(func() error {
		if err := s.writable(was); err != nil {
			return err
		}
		return s.put(text)
	})
}

// writable says why the file must not be replaced now.
func (s Store) writable(was string) error {
	if s.onTrial() {
		return &ConflictError{"a change is on trial: confirm it (ros config confirm) or take it back (ros config rollback) first"}
	}
	sum, err := s.Sum()
	if err != nil {
		return fmt.Errorf("cannot read what is to be replaced: %w", err)
	}
	if sum != was {
		return &ConflictError{fmt.Sprintf("%s has been changed meanwhile; nothing was written", s.File())}
	}
	return nil
}

// put writes the file. There may be a password in it.
func (s Store) put(text []byte) error { return atomicfile.WriteFile(s.File(), text, 0o600) }

// locked keeps other writers out while f runs.
func (s Store) locked(f func() error) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // which unlocks it
	for end := time.Now().Add(lockWait); ; {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("cannot lock %s: %w", lock.Name(), err)
		}
		if time.Now().After(end) {
			return &ConflictError{"the config is being changed by somebody else"}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// restore puts the file back as copy has it: the same content, or none if
// there is no copy. What it replaces is kept beside it.
func (s Store) restore(copy string) error {
	if sameFile(copy, s.File()) {
		return nil
	}
	text, err := read(copy)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if err := s.setAside(); err != nil {
		return err
	}
	if missing {
		return remove(s.File())
	}
	return s.put(text)
}

// setAside keeps the present file under another name as well.
func (s Store) setAside() error {
	before := s.File() + beforeName
	if err := os.RemoveAll(before); err != nil {
		return err
	}
	err := os.Link(s.File(), before)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil { // a folder of that name, which cannot be replaced anyway
		return os.Rename(s.File(), before)
	}
	return nil
}

// read reads a regular file of a size that a config can have.
func read(path string) ([]byte, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	text, err := yamldoc.Read(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// remove removes a file that may not be there.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

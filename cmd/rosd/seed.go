package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/modules"
)

// seedLabel is what cloud-init's NoCloud calls its disk, in either case.
const seedLabel = "cidata"

// maxUserData bounds what is taken from a seed disk; cloud-init's own bound is
// a fraction of it.
const maxUserData = 1 << 20

// seed is the user-data of a NoCloud disk, kept in dir for as long as the
// machine runs: a rosd that starts anew has the same config, whatever has
// happened to the disk since.
type seed struct {
	devices blockdev.Host
	dir     string
	// mount makes the file system of a device readable at target, until undo.
	mount func(device blockdev.Device, fstype, target string) (undo func() error, err error)
}

func (s seed) userData() string { return filepath.Join(s.dir, "user-data") }

// fetch copies user-data from the seed disk, if there is one and it was not
// done before. It waits for no device: those that hold a config are there
// before the OS is.
func (s seed) fetch() error {
	if _, err := os.Stat(s.userData()); err == nil {
		return nil
	}
	devices, err := s.devices.List()
	if err != nil {
		return err
	}
	for _, d := range devices {
		content, err := blockdev.Probe(d.Path)
		if err != nil || !strings.EqualFold(content.Label, seedLabel) {
			continue // a drive without a medium, or not a seed
		}
		if err := s.copy(d, content.Type); err != nil {
			return fmt.Errorf("cannot read seed disk %s: %w", d.Path, err)
		}
		return nil
	}
	return nil
}

func (s seed) copy(d blockdev.Device, fstype string) (err error) {
	target := filepath.Join(s.dir, "disk")
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	undo, err := s.mount(d, fstype, target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, undo()) }()
	f, err := os.Open(filepath.Join(target, "user-data"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a seed with nothing but meta-data
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxUserData+1))
	if err != nil {
		return err
	}
	if len(text) > maxUserData {
		return fmt.Errorf("user-data is larger than %d KiB", maxUserData>>10)
	}
	return atomicfile.WriteFile(s.userData(), text, 0o600)
}

// mountSeed mounts read-only. Nothing on the machine loads modules when a file
// system asks for one, so that is done here.
func mountSeed(d blockdev.Device, fstype, target string) (undo func() error, err error) {
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	err = unix.Mount(d.Path, target, fstype, flags, "")
	if errors.Is(err, unix.ENODEV) {
		if err := loadFilesystem(fstype); err != nil {
			return nil, err
		}
		err = unix.Mount(d.Path, target, fstype, flags, "")
	}
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", fstype, err)
	}
	return func() error { return unix.Unmount(target, unix.MNT_DETACH) }, nil
}

func loadFilesystem(fstype string) error {
	dir, err := modules.Dir("/")
	if err != nil {
		return err
	}
	loader, err := modules.New(modules.Options{Dir: dir, Sys: "/sys"})
	if err != nil {
		return err
	}
	return loader.Load("fs-"+fstype, "")
}

// within runs f, but waits no longer than bound: a drive that hangs must not
// hold up the boot. What f does after that is lost.
func within(bound time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(bound):
		return fmt.Errorf("cannot look for a seed disk: no answer from the disks within %s", bound)
	}
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/yamldoc"
)

const (
	oemLabel = "LABEL=RANCHER_OEM"
	oemFile  = "oem-config.yml"
)

// oem is the config of who delivers the machine, on a partition of its own. It
// is copied to dir, where it stays for as long as the machine runs: a rosd that
// starts anew has the same config, whatever has happened to the disk since.
type oem struct {
	devices blockdev.Host
	dir     string
	// mount makes the file system of a device readable at target, until undo.
	mount func(device, fstype, target string) (undo func() error, err error)
}

func (o oem) file() string { return filepath.Join(o.dir, oemFile) }

// fetch copies the config from the partition, unless that was done before. Only
// a device that was asked for must be there. It waits for none: those that hold
// a config are there before the OS is.
func (o oem) fetch(device string) error {
	if _, err := os.Stat(o.file()); err == nil {
		return nil
	}
	if device == "" {
		device = oemLabel
	}
	asked := device != oemLabel
	d, err := o.devices.Find(device)
	if errors.Is(err, blockdev.ErrNotFound) && !asked {
		return nil
	}
	if err == nil {
		err = o.copy(d)
	}
	if err != nil {
		return fmt.Errorf("no config from the OEM partition: %w", err)
	}
	return nil
}

func (o oem) copy(d blockdev.Device) (err error) {
	content, err := blockdev.Probe(d.Path)
	if err != nil {
		return err
	}
	target := filepath.Join(o.dir, "disk")
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	undo, err := o.mount(d.Path, content.Type, target)
	if err != nil {
		return fmt.Errorf("cannot mount %s: %w", d.Path, err)
	}
	defer func() { err = errors.Join(err, undo()) }()
	path := filepath.Join(target, oemFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // a partition with other things of theirs
	}
	text, err := yamldoc.Read(path)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", oemFile, d.Path, err)
	}
	return atomicfile.WriteFile(o.file(), text, 0o600)
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
		return fmt.Errorf("no config from the OEM partition: no answer from the disks within %s", bound)
	}
}

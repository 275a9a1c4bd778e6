package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// netbootImage is where the OS image is in the initrd of a network boot.
const netbootImage = "os.img"

// netboot makes what a machine without a disk boots from over the network: the
// initrd with the OS image in it, and a script for iPXE.
func (f *forge) netboot(dir string) error {
	m, err := f.newManifest()
	if err != nil {
		return err
	}
	initrd := f.published(dir, ".netboot.img")
	if err := f.writeNetbootInitrd(initrd); err != nil {
		return err
	}
	kernel, name := filepath.Base(f.published(dir, ".vmlinuz")), filepath.Base(initrd)
	script := fmt.Sprintf(`#!ipxe
# Boots Roster %s (%s) over the network, all of it in memory: 1 GiB or more.
kernel %s initrd=%s ros.image=initrd:/%s ros.slot=iso %s %s panic=10 loglevel=4
initrd %s
boot
`, f.version, f.arch.Name, kernel, name, netbootImage, m.Cmdline, f.arch.Console, name)
	return os.WriteFile(f.published(dir, ".ipxe"), []byte(script), 0o644)
}

// writeNetbootInitrd puts the OS image behind the initrd, as a second archive:
// the kernel unpacks both.
func (f *forge) writeNetbootInitrd(to string) error {
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := copyInto(w, f.osFile("initrd.img")); err != nil {
		return err
	}
	if err := pad(w); err != nil {
		return err
	}
	info, err := os.Stat(f.osFile("os.img"))
	if err != nil {
		return err
	}
	if err := cpioHeader(w, netbootImage, info.Size()); err != nil {
		return err
	}
	if err := copyInto(w, f.osFile("os.img")); err != nil {
		return err
	}
	if err := pad(w); err != nil {
		return err
	}
	return errors.Join(cpioHeader(w, "TRAILER!!!", 0), w.Close())
}

// cpioHeader writes the header of a file of root's in the form "newc" (the
// kernel's Documentation/driver-api/early-userspace/buffer-format.rst).
func cpioHeader(w io.WriteSeeker, name string, size int64) error {
	fields := []int64{1, 0o100444, 0, 0, 1, epoch, size, 0, 0, 0, 0, int64(len(name) + 1), 0}
	var h strings.Builder
	h.WriteString("070701")
	for _, field := range fields {
		fmt.Fprintf(&h, "%08x", field)
	}
	if _, err := io.WriteString(w, h.String()+name+"\x00"); err != nil {
		return err
	}
	return pad(w)
}

// pad fills up to a multiple of four bytes.
func pad(w io.WriteSeeker) error {
	at, err := w.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	_, err = w.Write(make([]byte, (4-at%4)%4))
	return err
}

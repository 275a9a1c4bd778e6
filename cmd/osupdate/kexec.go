package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
)

// loadKernel has the kernel of the slot on trial ready for PID 1 to jump to. The
// boot loader does not run then, and does not count. Nor is anything counted
// here, since the machine may never jump: the trial counts itself (settle). One
// that dies before that is started once more, by the boot loader.
func (u upgrading) loadKernel(res osupdate.Upgraded) (osupdate.Upgraded, error) {
	if err := u.kexec(res); err != nil {
		return res, fmt.Errorf("cannot restart into %s without the firmware: %w; the next ordinary restart tries it", res.Version, err)
	}
	res.Kexec = true
	if why := unguarded(u.sys); why != "" {
		u.Events.Note("a release that hangs before its first program runs will wait for somebody to reset the machine: %s", why)
	}
	return res, nil
}

// unguarded says why nothing resets the machine when the new kernel hangs before
// its PID 1 runs; "" if the watchdog does, which PID 1 leaves armed. Whoever
// types --kexec may have reasons to go on; the policy never jumps.
func unguarded(sys string) string {
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(sys, name))
		return strings.TrimSpace(string(text))
	}
	const dog = "class/watchdog/watchdog0/"
	name := read(dog + "identity")
	switch {
	case name == "" || name == "Software Watchdog": // which ends with the kernel
		return "it has no hardware watchdog"
	case read(dog+"state") != "active":
		return fmt.Sprintf("its watchdog (%s) is not in use", name)
	case read("module/watchdog/parameters/stop_on_reboot") != "0":
		return fmt.Sprintf("the kernel that runs stops the watchdog (%s) on the way down", name)
	}
	return ""
}

func (u upgrading) kexec(res osupdate.Upgraded) error {
	entry, err := u.Loader.ReadSlot(res.Slot)
	if err != nil {
		return err
	}
	args, err := u.Loader.Args()
	if err != nil {
		return err
	}
	kernel, err := plainFile(entry.Kernel)
	if err != nil {
		return err
	}
	defer kernel.Close()
	initrd, err := plainFile(entry.Initrd)
	if err != nil {
		return err
	}
	defer initrd.Close()
	boot, err := u.Loader.Boot()
	if err != nil {
		return err
	}
	start := boot.Start(slots.Medium{})
	if start.Trial {
		if args, err = bootloader.Append(args, boot.Args); err != nil {
			return err
		}
	}
	words := append([]string{"loglevel=4", "panic=10", entry.Cmdline}, start.Words()...)
	line := strings.Join(append(words, args), " ")
	return u.load(kernel, initrd, line)
}

func kexecFileLoad(kernel, initrd *os.File, line string) error {
	if err := unix.KexecFileLoad(int(kernel.Fd()), int(initrd.Fd()), line, 0); err != nil {
		return fmt.Errorf("kexec_file_load: %w", err)
	}
	return nil
}

// plainFile copies to a file in memory: kexec_file_load(2) wants descriptors.
func plainFile(f bootloader.File) (*os.File, error) {
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	fd, err := unix.MemfdCreate("kexec", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	out := os.NewFile(uintptr(fd), "kexec")
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return nil, err
	}
	return out, nil
}

package main

import (
	"os"
	"path/filepath"
)

// diskModules are what grub.cfg of an installed disk uses (internal/bootloader).
var diskModules = []string{
	"fat", "part_gpt", "normal", "configfile", "linux", "boot", "loadenv", "eval", "serial", "terminal",
	"echo", "test", "true", "sleep", "halt", "reboot", "minicmd", "ls", "cat", "all_video", "regexp", "memrw",
}

// pciModules reach the watchdog; GRUB has them where PCI is at fixed ports.
var pciModules = []string{"setpci"}

// diskPrefix is where GRUB on an installed disk finds its grub.cfg: on the
// second partition of the disk that it was itself loaded from. It searches for
// nothing, so a second Roster disk in the machine does not confuse it.
const diskPrefix = "(,gpt2)/grub"

// grubFiles are GRUB's images for an installed disk, as they stand in the OS
// image below usr/lib/ros/boot: the installer copies them.
func (f *forge) grubFiles() []string {
	if f.arch.BIOS {
		return []string{f.arch.EFIName, "boot.img", "core.img"}
	}
	return []string{f.arch.EFIName}
}

func (f *forge) grubDir() string { return filepath.Join(f.shared, "boot") }

// grub makes them.
func (f *forge) grub() error {
	return f.once(f.shared, "GRUB", hash(forgeFormat, f.arch, diskModules, pciModules, diskPrefix), func() error {
		if err := os.RemoveAll(f.grubDir()); err != nil {
			return err
		}
		if err := os.MkdirAll(f.grubDir(), 0o755); err != nil {
			return err
		}
		if err := f.grubImage(f.arch.GrubEFI, f.arch.EFIName); err != nil {
			return err
		}
		if !f.arch.BIOS {
			return nil
		}
		if err := f.grubImage("i386-pc", "core.img", "biosdisk"); err != nil {
			return err
		}
		return f.inRoot("cp", "/usr/lib/grub/i386-pc/boot.img", filepath.Join(f.grubDir(), "boot.img"))
	})
}

func (f *forge) grubImage(platform, name string, modules ...string) error {
	args := []string{"grub-mkimage", "-O", platform, "-o", filepath.Join(f.grubDir(), name), "-p", diskPrefix}
	if f.arch.BIOS {
		modules = append(modules, pciModules...)
	}
	return f.inRoot(append(append(args, diskModules...), modules...)...)
}

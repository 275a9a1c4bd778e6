package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// BootDir is where the OS image has GRUB's files.
const BootDir = "/usr/lib/ros/boot"

// BootFiles are GRUB's own files for a disk. On a machine without BIOS the last
// two are empty.
type BootFiles struct {
	ESP  map[string][]byte // EFI/BOOT/BOOTX64.EFI
	Boot []byte            // boot.img, for the first sector
	Core []byte            // core.img, for the BIOS partition
}

// ReadBootFiles reads them from a folder.
func ReadBootFiles(dir string) (BootFiles, error) {
	b, err := readBootFiles(dir)
	if err != nil {
		return b, fmt.Errorf("cannot read GRUB's files: %w", err)
	}
	return b, nil
}

func readBootFiles(dir string) (BootFiles, error) {
	b := BootFiles{ESP: map[string][]byte{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return b, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".EFI") {
			continue
		}
		if b.ESP["EFI/BOOT/"+e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return b, err
		}
	}
	if len(b.ESP) == 0 {
		return b, fmt.Errorf("%s has none for UEFI", dir)
	}
	for name, to := range map[string]*[]byte{"boot.img": &b.Boot, "core.img": &b.Core} {
		if *to, err = os.ReadFile(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	return b, nil
}

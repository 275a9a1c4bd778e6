package main

import (
	"maps"
	"slices"
)

// Arch is everything that differs between two architectures when building.
// What differs when running them in QEMU stands in scripts/qemu.sh.
type Arch struct {
	Name    string            // as Go and Debian call it
	Kernel  map[string]string // flavour -> Debian package
	Console string            // kernel arguments for its consoles, the serial one last
	BIOS    bool              // the ISO boots from BIOS too
	GrubEFI string            // GRUB platform
	EFIName string            // the removable-media path below EFI/BOOT
}

var arches = map[string]Arch{
	"amd64": {
		Name:    "amd64",
		Kernel:  map[string]string{"vm": "linux-image-cloud-amd64", "metal": "linux-image-amd64"},
		Console: "console=tty0 console=ttyS0,115200",
		BIOS:    true,
		GrubEFI: "x86_64-efi",
		EFIName: "BOOTX64.EFI",
	},
	"arm64": {
		Name:    "arm64",
		Kernel:  map[string]string{"vm": "linux-image-cloud-arm64", "metal": "linux-image-arm64"},
		Console: "console=tty0 console=ttyAMA0,115200",
		GrubEFI: "arm64-efi",
		EFIName: "BOOTAA64.EFI",
	},
}

func archNames() []string { return slices.Sorted(maps.Keys(arches)) }

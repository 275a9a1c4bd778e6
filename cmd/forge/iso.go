package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/release"
)

// isoLabel is how stage 1 finds the medium it booted from.
const isoLabel = "ROSTER"

var flatTime = time.Unix(epoch, 0)

// grubModules are what grub.cfg uses.
var grubModules = []string{
	"iso9660", "fat", "part_gpt", "part_msdos", "normal", "search", "search_label", "configfile", "linux",
	"serial", "terminal", "echo", "test", "true", "halt", "reboot", "minicmd", "ls", "cat", "sleep", "all_video", "gfxterm",
}

// iso makes roster.iso: one hybrid image for CD and USB stick, BIOS (amd64)
// and UEFI.
func (f *forge) iso() error {
	key := []any{forgeFormat, f.arch, grubModules, grubConfig}
	files := []string{f.relFile(manifestFile), f.relFile(signatureFile)}
	for _, name := range []string{"vmlinuz", "initrd.img", "boot.json", "os.img"} {
		files = append(files, f.osFile(name))
	}
	for _, file := range files {
		h, err := fileHash(file)
		if err != nil {
			return err
		}
		key = append(key, h)
	}
	name := "ISO"
	if f.released {
		name = "release ISO"
	}
	return f.once(f.dir, name, hash(key...), f.packISO)
}

func (f *forge) packISO() error {
	tree := f.relFile("iso")
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	boot, err := f.bootInfo()
	if err != nil {
		return err
	}
	for from, to := range map[string]string{
		f.osFile("vmlinuz"): "boot/vmlinuz", f.osFile("initrd.img"): "boot/initrd.img", f.osFile("os.img"): "roster/os.img",
		f.relFile(manifestFile): release.MediumManifest, f.relFile(signatureFile): release.MediumSignature,
	} {
		to = filepath.Join(tree, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Link(from, to); err != nil {
			return err
		}
	}
	cfg := strings.NewReplacer("@ARGS@", boot.Cmdline, "@CONSOLE@", boot.Console, "@VERSION@", f.version).Replace(grubConfig)
	files := map[string]string{"boot/grub/grub.cfg": cfg, "boot/grub/early.cfg": grubEarly}
	for name, text := range files {
		if err := writeText(filepath.Join(tree, name), text); err != nil {
			return err
		}
	}
	if err := f.efiImage(tree); err != nil {
		return err
	}
	if f.arch.BIOS {
		if err := f.biosImage(tree); err != nil {
			return err
		}
	}
	if err := flatten(tree); err != nil {
		return err
	}
	return f.inRoot(f.xorriso(tree)...)
}

func writeText(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// efiImage makes efi.img, the FAT file system that UEFI looks at: GRUB with
// its early configuration built in.
func (f *forge) efiImage(tree string) error {
	efi := f.osFile("grub.efi")
	args := []string{"grub-mkimage", "-O", f.arch.GrubEFI, "-o", efi, "-p", "/boot/grub", "-c", filepath.Join(tree, "boot/grub/early.cfg")}
	if err := f.inRoot(append(args, grubModules...)...); err != nil {
		return err
	}
	img := filepath.Join(tree, "boot/grub/efi.img")
	if err := os.Remove(img); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Chtimes(efi, flatTime, flatTime); err != nil {
		return err
	}
	script := `mkfs.vfat -C -n ROSTER_EFI -i 524f5354 --invariant "$1" 4096 && mmd -i "$1" ::/EFI ::/EFI/BOOT && mcopy -m -i "$1" "$2" "::/EFI/BOOT/$3"`
	return f.inRoot("sh", "-ec", script, "sh", img, efi, f.arch.EFIName)
}

// biosImage makes the El Torito image for BIOS.
func (f *forge) biosImage(tree string) error {
	core := f.osFile("grub.core")
	args := []string{"grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "/boot/grub", "-c", filepath.Join(tree, "boot/grub/early.cfg"), "biosdisk"}
	if err := f.inRoot(append(args, grubModules...)...); err != nil {
		return err
	}
	script := `cat /usr/lib/grub/i386-pc/cdboot.img "$1" >"$2"`
	return f.inRoot("sh", "-ec", script, "sh", core, filepath.Join(tree, "boot/grub/bios.img"))
}

// xorriso is the command line that makes the hybrid ISO. -append_partition
// puts the EFI image behind the file system, so that a stick shows firmware a
// real EFI partition; El Torito points at the same bytes.
func (f *forge) xorriso(tree string) []string {
	args := []string{"xorriso", "-as", "mkisofs", "-quiet", "-o", f.relFile("roster.iso"), "-V", isoLabel, "-J", "-r",
		"--modification-date=2025010100000000", "-partition_offset", "16", "-appended_part_as_gpt",
		"-append_partition", "2", "0xef", filepath.Join(tree, "boot/grub/efi.img")}
	if f.arch.BIOS {
		args = append(args, "--grub2-mbr", "/usr/lib/grub/i386-pc/boot_hybrid.img",
			"-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info",
			"-eltorito-alt-boot")
	}
	return append(args, "-e", "--interval:appended_partition_2:all::", "-no-emul-boot", tree)
}

// grubEarly runs from inside GRUB's image: find the medium, go on from there.
const grubEarly = `search --no-floppy --set=root --label ROSTER
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
`

// grubConfig is the boot menu. The serial console is set up only where GRUB
// has one; on UEFI the firmware's console already is it.
var grubConfig = fmt.Sprintf(`set default=0
set timeout=3
if [ "$grub_platform" = "pc" ]; then
	if serial --unit=0 --speed=115200; then
		terminal_input console serial
		terminal_output console serial
	fi
fi

set args="@ARGS@ @CONSOLE@ panic=10"

%s%s%s%s%s%s`,
	menuEntry("Roster @VERSION@ (live)", "loglevel=4"),
	menuEntry("Roster @VERSION@ (live, debug)", "rancher.debug loglevel=7"),
	menuEntry("Roster @VERSION@ (default config: ignores all files)", "ros.config=defaults loglevel=4"),
	menuEntry("Roster @VERSION@ (live, in memory: leaves every disk alone)", "rancher.state.dev=none loglevel=4"),
	menuEntry("Roster @VERSION@ (rescue shell)", "rescue"),
	`menuentry "Power off" { halt }
menuentry "Reboot" { reboot }
`)

func menuEntry(title, args string) string {
	return fmt.Sprintf(`menuentry "%s" {
	echo "Loading Roster ..."
	linux /boot/vmlinuz $args %s
	initrd /boot/initrd.img
}
`, title, args)
}

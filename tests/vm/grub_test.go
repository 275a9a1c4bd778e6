//go:build vm

package vm

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/tests/vm/qemu"
)

// grubArgs are an operator's kernel arguments; the console has the lines of the
// guest and of GRUB, and few of the kernel.
const grubArgs = `%s loglevel=1 "ros.note=a  b;$c {d}" -- last`

// trialArgs are on trial with a release, and grubTrialArgs what it starts with.
const (
	trialArgs     = `loglevel=1 "trial.note=$x  y"`
	grubTrialArgs = `%s "ros.note=a  b;$c {d}" loglevel=1 "trial.note=$x  y" -- last`
)

// grubCase is a disk, and what must start from it, one start after the other.
type grubCase struct {
	name   string
	boot   slots.Boot
	medium slots.Medium
	spoil  func(files map[string][]byte) // what is wrong with the disk
	starts int                           // 0: nothing can be started
}

// grubCases hold the real GRUB against slots.Boot.Start.
var grubCases = []grubCase{
	{name: "trial", boot: slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 2, Args: trialArgs}, starts: 4},
	{name: "fallback", boot: slots.Boot{Committed: slots.B, Previous: slots.A}, starts: 2,
		medium: slots.Medium{Unloadable: []slots.Slot{slots.B}}, spoil: without("slots/B/initrd.img")},
	{name: "unloadable-trial", boot: slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 3, Args: trialArgs}, starts: 2,
		medium: slots.Medium{Unloadable: []slots.Slot{slots.B}}, spoil: without("slots/B/vmlinuz")},
	{name: "read-only", boot: slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, starts: 2, medium: slots.Medium{ReadOnly: true}},
	{name: "lost-variables", boot: slots.Boot{Committed: slots.B}, starts: 1, spoil: func(files map[string][]byte) {
		files["grub/grubenv"] = bytes.Repeat([]byte{0}, 1024)
		delete(files, "slots/A/slot.cfg")
	}},
	{name: "nothing", boot: slots.Boot{Committed: slots.A}, spoil: without("slots/A/slot.cfg")},
}

func without(name string) func(map[string][]byte) {
	return func(files map[string][]byte) { delete(files, name) }
}

// grub boots small systems, which say what started them and restart, through
// the real GRUB on a disk made by hand.
func grub(firmware string) func(*testing.T, lab) {
	return func(t *testing.T, l lab) {
		files := l.grubFiles(t)
		for _, c := range grubCases {
			t.Run(c.name, func(t *testing.T) { l.grubCase(t, firmware, maps.Clone(files), c) })
		}
	}
}

func (l lab) grubCase(t *testing.T, firmware string, files map[string][]byte, c grubCase) {
	setBoot(t, files, c.boot)
	if c.spoil != nil {
		c.spoil(files)
	}
	g := l.startGRUB(t, qemu.Config{Firmware: firmware}, l.grubDisk(t, files), c.medium.ReadOnly)
	if c.starts == 0 {
		g.expect(t, regexp.MustCompile(`Nothing can be loaded`), bootPatience)
		return
	}
	b := c.boot
	for n := range c.starts {
		want := b.Start(c.medium)
		line := g.expect(t, regexp.MustCompile(`STARTED .* END`), bootPatience)
		line = strings.TrimSuffix(strings.TrimPrefix(line, "STARTED "), " END")
		args := grubArgs
		if want.Trial && c.boot.Args != "" {
			args = grubTrialArgs
		} else if strings.Contains(line, "trial.note") {
			t.Errorf("start %d is no trial, and has the arguments of one: %s", n+1, line)
		}
		checkStart(t, n+1, line, want, fmt.Sprintf(args, l.system.Console))
		b = want.After
	}
}

// startGRUB starts a machine from a raw disk.
func (l lab) startGRUB(t *testing.T, cfg qemu.Config, disk string, readOnly bool) *guest {
	t.Helper()
	cfg.Name = strings.ReplaceAll(strings.TrimPrefix(t.Name(), "TestBoot/"), "/", "-")
	cfg.Arch, cfg.NoNetwork, cfg.MemoryMB = l.arch, true, 512
	if readOnly {
		cfg.RawDisks = []string{disk}
	} else {
		writable := disk + ".qcow2"
		if err := l.build.FromRaw(disk, writable); err != nil {
			t.Fatal(err)
		}
		cfg.Disks = []string{writable}
	}
	m, err := l.build.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return &guest{Machine: m, lab: l}
}

// grubWatchdog is a release that hangs before it has any program of ours: GRUB
// has armed the watchdog.
func grubWatchdog(t *testing.T, l lab) {
	files := l.grubFiles(t)
	// Twenty seconds instead of five minutes: nobody wants to wait for the rest.
	cfg := bytes.ReplaceAll(files["grub/grub.cfg"], []byte("0x25800"), []byte("0x2580"))
	if bytes.Equal(cfg, files["grub/grub.cfg"]) {
		t.Fatal("grub.cfg does not say how long the watchdog waits")
	}
	files["grub/grub.cfg"] = cfg
	setBoot(t, files, slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1})
	files["slots/B/initrd.img"] = fileText(t, l.initrd(t, "echo HANGING\nwhile :; do /bin/busybox sleep 1000; done\n"))
	g := l.startGRUB(t, qemu.Config{Firmware: "bios", Watchdog: "pause"}, l.grubDisk(t, files), false)
	g.expect(t, regexp.MustCompile(`^HANGING$`), bootPatience)
	g.eventually(t, bootPatience, func() error {
		status, err := g.Status()
		if err == nil && status != "watchdog" {
			err = fmt.Errorf("the machine is %s, not stopped by its watchdog", status)
		}
		return err
	})
}

// checkStart compares a kernel command line with what the model says.
func checkStart(t *testing.T, n int, line string, want slots.Start, args string) {
	t.Helper()
	got := cmdline.Parse(line)
	running := slots.FromCmdline(got)
	wanted := slots.Running{Slot: want.Slot, Trial: want.Trial, Left: want.Left, Failed: want.Failed, Uncounted: want.Uncounted}
	if running != wanted {
		t.Errorf("start %d is %+v, want %+v: %s", n, running, wanted, line)
	}
	// The operator's arguments come last, and whole.
	given := cmdline.Parse(args)
	if len(got.Words) < len(given.Words) || !slices.Equal(got.Words[len(got.Words)-len(given.Words):], given.Words) ||
		!slices.Equal(got.After, given.After) {
		t.Errorf("start %d has the arguments %s, want %s at the end", n, line, args)
	}
	if note, _ := got.Value("slot.note"); note != "of slot "+string(want.Slot) {
		t.Errorf("start %d has slot.note=%q, want that of slot %s", n, note, want.Slot)
	}
}

// grubFiles is an EFI system partition whose slots have this architecture's
// kernel and a small initrd.
func (l lab) grubFiles(t *testing.T) map[string][]byte {
	t.Helper()
	kernel, err := bootloader.Path(l.system.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	// It says how it was started, and restarts.
	initrd := l.initrd(t, `/bin/busybox mount -t proc proc /proc
echo "STARTED $(/bin/busybox cat /proc/cmdline) END"
/bin/busybox sleep 1
/bin/busybox reboot -f
`)
	files := map[string][]byte{}
	for _, s := range slots.All {
		tree, err := bootloader.Tree(s, bootloader.Entry{
			Version: "v" + string(s), Cmdline: fmt.Sprintf(`ros.slot=%s "slot.note=of slot %s"`, s, s), Kernel: kernel, Initrd: initrd,
		}, fmt.Sprintf(grubArgs, l.system.Console))
		if err != nil {
			t.Fatal(err)
		}
		for name, file := range tree {
			files[name] = fileText(t, file)
		}
	}
	efi := map[string]string{"amd64": "BOOTX64.EFI", "arm64": "BOOTAA64.EFI"}[l.arch]
	image, err := os.ReadFile(filepath.Join(l.build.Dir, l.arch, "boot", efi))
	if err != nil {
		t.Fatal(err)
	}
	files["EFI/BOOT/"+efi] = image
	return files
}

func fileText(t *testing.T, file bootloader.File) []byte {
	t.Helper()
	r, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// initrd has a script as its only program.
func (l lab) initrd(t *testing.T, script string) bootloader.File {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	busybox, err := os.ReadFile(filepath.Join(l.build.Dir, l.arch, "layers/host/usr/bin/busybox"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"init": []byte("#!/bin/busybox sh\n" + script), "bin/busybox": busybox} {
		file := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(tree, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(dir, "initrd.img")
	cpio := l.build.Tool("cpio", "--create", "--format=newc", "--quiet", "--file="+img)
	cpio.Dir = tree
	cpio.Stdin = strings.NewReader("proc\nbin\nbin/busybox\ninit\n")
	if out, err := cpio.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := bootloader.Path(img)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// setBoot changes the files as the loader itself does.
func setBoot(t *testing.T, files map[string][]byte, b slots.Boot) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := (bootloader.GRUB{Files: bootloader.Dir(dir)}).SetBoot(b); err != nil {
		t.Fatal(err)
	}
	changed, err := filepath.Glob(filepath.Join(dir, "grub/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range changed {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files["grub/"+filepath.Base(file)] = text
	}
}

// grubDisk makes a raw disk for BIOS and UEFI: a BIOS boot partition and an EFI
// system partition with files.
func (l lab) grubDisk(t *testing.T, files map[string][]byte) string {
	t.Helper()
	const mib = 1 << 20
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk.raw")
	if err := os.WriteFile(disk, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 132*mib); err != nil {
		t.Fatal(err)
	}
	sfdisk := l.build.Tool("sfdisk", "--quiet", disk)
	sfdisk.Stdin = strings.NewReader("label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\n" +
		"start=4096, size=262144, type=uefi\n")
	if out, err := sfdisk.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l.tool(t, "mkfs.vfat", "-F", "32", "--offset", "4096", disk, "131072")
	esp := disk + "@@2M"
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, d := range parents(name) {
			if !made[d] {
				made[d] = true
				l.tool(t, "mmd", "-i", esp, "::/"+d)
			}
		}
		from := filepath.Join(dir, "file")
		if err := os.WriteFile(from, files[name], 0o644); err != nil {
			t.Fatal(err)
		}
		l.tool(t, "mcopy", "-i", esp, from, "::/"+name)
	}
	if l.arch == "amd64" {
		l.grubBIOS(t, disk)
	}
	return disk
}

func (l lab) tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := l.build.Run(name, args...); err != nil {
		t.Fatal(err)
	}
}

// parents are the folders above a file, from the top.
func parents(name string) []string {
	var dirs []string
	for i, c := range name {
		if c == '/' {
			dirs = append(dirs, name[:i])
		}
	}
	return dirs
}

func (l lab) grubBIOS(t *testing.T, disk string) {
	t.Helper()
	var images [2][]byte
	for i, name := range []string{"boot.img", "core.img"} {
		text, err := os.ReadFile(filepath.Join(l.build.Dir, l.arch, "boot", name))
		if err != nil {
			t.Fatal(err)
		}
		images[i] = text
	}
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := bootloader.WriteBIOS(f, images[0], images[1], 1<<20, 1<<20); err != nil {
		t.Fatal(err)
	}
}

package install_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/release"
)

const mib = 1 << 20

func needTools(t *testing.T) {
	t.Helper()
	for program, pkg := range map[string]string{
		"sfdisk": "fdisk", "mkfs.vfat": "dosfstools", "fsck.vfat": "dosfstools", "mcopy": "mtools", "mke2fs": "e2fsprogs", "e2fsck": "e2fsprogs",
	} {
		path := ""
		for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
			if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
				path = dir
			}
		}
		if path != "" {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("there is no %s", program)
		}
		t.Skipf("needs %s (package %s; make installs it)", program, pkg)
	}
}

// testSource is a release whose parts are in memory.
func testSource(parts map[string][]byte) install.Source {
	m := release.Manifest{
		Format: 1, Version: "v0.2.0", Arch: "amd64", Flavour: "vm", Kernel: "6.12",
		RootHash: strings.Repeat("ab", 32), HashOffset: 4096, Cmdline: "ros.roothash=abab ros.hashoffset=4096",
		Parts: map[string]release.Part{},
	}
	for name, data := range parts {
		m.Parts[name] = release.Part{File: name, Digest: digest.FromBytes(data), Size: int64(len(data))}
	}
	return install.Source{
		Manifest: m, Bundle: release.Bundle{Release: []byte("manifest"), Signature: []byte("signature")},
		Part: func(_ context.Context, name string, w io.Writer, progress release.Progress) error {
			_, err := io.Copy(w, bytes.NewReader(parts[name]))
			if progress != nil {
				progress(int64(len(parts[name])), int64(len(parts[name])))
			}
			return err
		},
	}
}

// noise is data in which no two blocks are the same.
func noise(seed string, size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", seed, i))
		b.Write(sum[:])
	}
	return b.Bytes()[:size]
}

var testParts = map[string][]byte{
	release.Image: noise("image", 5*mib+4096), release.Kernel: noise("kernel", 300_001), release.Initrd: noise("initrd", 70_000),
}

// steps are the events of an installation, each step once.
type steps struct {
	names []string
	notes []string
	on    func(step string)
}

func (s *steps) Progress(step string, done, total int64) {
	if len(s.names) == 0 || s.names[len(s.names)-1] != step {
		s.names = append(s.names, step)
	}
	if s.on != nil {
		s.on(step)
	}
}

func (s *steps) Note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func bootFiles() install.BootFiles {
	boot := make([]byte, 512)
	boot[0x66], boot[0x67] = 0xeb, 0x05
	core := noise("core", 40_000)
	core[510], core[511] = 0x20, 0x08
	return install.BootFiles{ESP: map[string][]byte{"EFI/BOOT/BOOTX64.EFI": noise("efi", 9000)}, Boot: boot, Core: core}
}

func newJob(t *testing.T) (install.Job, *steps) {
	t.Helper()
	needTools(t)
	s := &steps{}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	return install.Job{
		Source: testSource(testParts), Boot: bootFiles(), Args: "console=ttyS0 quiet",
		Seed: []install.File{{Path: "var/lib/rancher/conf/cloud-config.d/user_config.yml", Mode: 0o600, Data: []byte("#cloud-config\nhostname: x\n")}},
		IDs:  install.FixedIDs("test"), Run: install.Programs(log, "SOURCE_DATE_EPOCH=1735689600", "E2FSPROGS_FAKE_TIME=1735689600"), Events: s, Log: log,
	}, s
}

func writeImage(t *testing.T, job install.Job, path string, size int64) error {
	t.Helper()
	disk, err := install.CreateImage(path, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	return job.Write(t.Context(), disk)
}

// TestWrite makes a disk in a file and takes it apart with other programs.
func TestWrite(t *testing.T) {
	job, events := newJob(t)
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := writeImage(t, job, path, 2<<30); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"os image", "boot files", "state disk", "reading back", "boot files"}, events.names); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if out := tool(t, nil, "sfdisk", "--verify", path); !strings.Contains(out, "No errors detected.") {
		t.Errorf("sfdisk --verify: %s", out)
	}
	const espAt, rootA, stateAt = 2 * mib, 130 * mib, 1155 * mib
	if !bytes.Equal(piece(t, path, rootA, len(testParts[release.Image])), testParts[release.Image]) {
		t.Error("ROOT_A does not hold the OS image")
	}
	if first := piece(t, path, 0, 512); first[0x66] != 0x90 || first[510] != 0x55 || first[511] != 0xaa {
		t.Error("there is no boot code for BIOS")
	}
	if !bytes.Equal(piece(t, path, mib+512, 39_000), job.Boot.Core[512:39_512]) {
		t.Error("the BIOS partition does not hold core.img")
	}
	fat := fmt.Sprintf("%s@@%d", path, espAt)
	for name, want := range map[string]string{
		"EFI/BOOT/BOOTX64.EFI": string(job.Boot.ESP["EFI/BOOT/BOOTX64.EFI"]),
		"slots/A/vmlinuz":      string(testParts[release.Kernel]),
		"slots/A/initrd.img":   string(testParts[release.Initrd]),
		"slots/A/release.json": "manifest",
		"slots/A/release.sig":  "signature",
		"slots/A/slot.cfg":     "set version=\"v0.2.0\"\nset slot_args=\"ros.image=PARTUUID=" + job.IDs.Parts[install.RootA] + " ros.slot=A ros.roothash=abab ros.hashoffset=4096\"\n",
		"grub/args0.cfg":       "set args=\"console=ttyS0 quiet\"\n",
	} {
		if got := tool(t, nil, "mcopy", "-i", fat, "::/"+name, "-"); got != want {
			t.Errorf("%s on the EFI system partition: %d bytes %.200q, want %d bytes %.200q", name, len(got), got, len(want), want)
		}
	}
	if got := tool(t, nil, "mcopy", "-i", fat, "::/grub/grubenv", "-"); !strings.Contains(got, "committed=A\n") || len(got) != 1024 {
		t.Errorf("grubenv is %q", got)
	}
	tool(t, nil, "e2fsck", "-fn", fmt.Sprintf("%s?offset=%d", path, stateAt))
	seed := tool(t, nil, "debugfs", "-R", "cat /var/lib/rancher/conf/cloud-config.d/user_config.yml", fmt.Sprintf("%s?offset=%d", path, stateAt))
	if seed != "#cloud-config\nhostname: x\n" {
		t.Errorf("the config on the state disk is %q", seed)
	}
	modes := tool(t, nil, "debugfs", "-R", "ls -p /var/lib/rancher", fmt.Sprintf("%s?offset=%d", path, stateAt))
	if !strings.Contains(modes, "/040700/0/0/conf/") {
		t.Errorf("the folder of the config is not for root only: %s", modes)
	}
	esp := filepath.Join(t.TempDir(), "esp")
	if err := os.WriteFile(esp, piece(t, path, espAt, 128*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, nil, "fsck.vfat", "-n", esp)
	if c, err := blockdev.Probe(esp); err != nil || c.Type != "vfat" || c.Label != "ROSTER_ESP" {
		t.Errorf("the EFI system partition is %+v, %v", c, err)
	}
}

// TestStateGrows: the state partition of a disk image takes what a larger disk
// has.
func TestStateGrows(t *testing.T) {
	job, _ := newJob(t)
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := writeImage(t, job, path, 2<<30); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const size = 5 << 30
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	_, grown, err := blockdev.GrowGPT(file, size, 512, install.State)
	if err != nil || !grown.Grown || grown.OldSize != 892*mib || grown.NewSize != (5<<30)-1156*mib {
		t.Errorf("GrowGPT() = %+v, %v", grown, err)
	}
	if out := tool(t, nil, "sfdisk", "--verify", path); !strings.Contains(out, "No errors detected.") {
		t.Errorf("sfdisk --verify: %s", out)
	}
}

// TestWriteIsDeterministic: two builds of a disk image are the same bits.
func TestWriteIsDeterministic(t *testing.T) {
	job, _ := newJob(t)
	job.Seed = nil
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for _, path := range []string{a, b} {
		if err := writeImage(t, job, path, 2<<30); err != nil {
			t.Fatal(err)
		}
	}
	// sparse: the holes of both are the same or are not read.
	for at := int64(0); at < 2<<30; at += mib {
		if hole(t, a, at) && hole(t, b, at) {
			continue
		}
		if !bytes.Equal(piece(t, a, at, mib), piece(t, b, at, mib)) {
			t.Errorf("two images of the same release differ in MiB %d", at/mib)
		}
	}
}

// hole says whether there is nothing in the MiB of a file from at on.
func hole(t *testing.T, path string, at int64) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	return errors.Is(err, unix.ENXIO) || err == nil && data >= at+mib
}

// piece is a part of a file.
func piece(t *testing.T, path string, at int64, size int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, size)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWriteCut: whatever step fails, the disk does not look like one that can
// be started.
func TestWriteCut(t *testing.T) {
	job, _ := newJob(t)
	var all []string
	run := job.Run
	job.Run = func(ctx context.Context, stdin io.Reader, out io.Writer, argv ...string) error {
		all = append(all, argv[0])
		return run(ctx, stdin, out, argv...)
	}
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := writeImage(t, job, path, 2<<30); err != nil {
		t.Fatal(err)
	}
	power := errors.New("power cut")
	for cut, program := range all {
		count := 0
		job.Run = func(ctx context.Context, stdin io.Reader, out io.Writer, argv ...string) error {
			if count++; count > cut {
				return power
			}
			return run(ctx, stdin, out, argv...)
		}
		if err := writeImage(t, job, path, 2<<30); !errors.Is(err, power) {
			t.Fatalf("step %d (%s): error %v", cut, program, err)
		}
		if c, err := blockdev.Probe(path); err != nil || c.Type != "" {
			t.Errorf("cut at step %d (%s) the disk holds %+v, %v", cut, program, c, err)
		}
	}
	if len(all) < 10 || all[len(all)-1] != "sfdisk" {
		t.Errorf("the programs that ran: %q", all)
	}
}

// TestWriteDamaged: a disk that keeps something else than was written is found
// out.
func TestWriteDamaged(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   int64
		want string
	}{
		{"OS image", 131 * mib, "what the disk has kept is not what was written: the OS image reads as sha256:"},
	} {
		job, events := newJob(t)
		path := filepath.Join(t.TempDir(), "disk.raw")
		events.on = func(step string) {
			if step != "state disk" {
				return
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte("oops"), tt.at); err != nil {
				t.Fatal(err)
			}
		}
		err := writeImage(t, job, path, 2<<30)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %s", tt.name, err, tt.want)
		}
	}
}

// TestWriteTooLarge: nothing is written when the release does not fit.
func TestWriteTooLarge(t *testing.T) {
	job, _ := newJob(t)
	m := job.Source.Manifest
	m.Parts[release.Image] = release.Part{Size: 600 * mib}
	path := filepath.Join(t.TempDir(), "disk.raw")
	err := writeImage(t, job, path, 2<<30)
	want := fmt.Sprintf("cannot install on %q: the OS image has 600.0 MiB, a slot on a disk of this size 512.0 MiB", path)
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func tool(t *testing.T, stdin io.Reader, argv ...string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if _, err := os.Stat(filepath.Join(dir, argv[0])); err == nil {
			argv[0] = filepath.Join(dir, argv[0])
			break
		}
	}
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = stdin
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%q: %v: %s", argv, err, stderr.String())
	}
	return string(out)
}

package bootloader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
)

// ESPLabel is the PARTLABEL of the EFI system partition on a Roster disk.
const ESPLabel = "ESP"

// espBusy is how long another worker may still have it, mounted the other way:
// for reading, or for writing.
const espBusy = 15 * time.Second

// ESP is the boot loader of the disk that the running system came from.
// The mount is nowhere in the machine's tree, and ends with the process: nothing
// that is killed leaves it behind, where a power cut would find it.
type ESP struct {
	GRUB
	mount *os.File
}

// OpenESP finds the EFI system partition on the disk of image, which is what
// ros.image= says of the running system, and mounts it. One that was not
// unmounted, because the power failed, is checked first, and mended where that
// costs nothing; note says so then. The caller closes it.
func OpenESP(ctx context.Context, host blockdev.Host, image string) (e *ESP, note string, err error) {
	d, err := host.Sibling(image, ESPLabel)
	if err == nil {
		note, err = checkFAT(ctx, d.Path)
	}
	if err == nil {
		e, err = mountESP(ctx, d.Path, true)
	}
	if err != nil {
		return nil, note, fmt.Errorf("cannot open the EFI system partition: %w", err)
	}
	return e, note, nil
}

// ReadESP is OpenESP for those who only look: nothing on the disk changes.
func ReadESP(ctx context.Context, host blockdev.Host, image string) (*ESP, error) {
	d, err := host.Sibling(image, ESPLabel)
	var e *ESP
	if err == nil {
		e, err = mountESP(ctx, d.Path, false)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the EFI system partition: %w", err)
	}
	return e, nil
}

// Close unmounts it, after everything is on the disk.
func (e *ESP) Close() error {
	if err := errors.Join(e.Files.Sync(), e.mount.Close()); err != nil {
		return fmt.Errorf("cannot close the EFI system partition: %w", err)
	}
	return nil
}

func mountESP(ctx context.Context, device string, write bool) (*ESP, error) {
	end := time.Now().Add(espBusy)
	for {
		mount, err := mountFAT(device, write)
		if errors.Is(err, unix.EBUSY) && !write {
			// Somebody writes. The kernel mounts a device in one way only, and what
			// matters is that we do not write.
			mount, err = mountFAT(device, true)
		}
		if err == nil {
			return &ESP{GRUB: GRUB{Files: Dir(fmt.Sprintf("/proc/self/fd/%d", mount.Fd()))}, mount: mount}, nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return nil, fmt.Errorf("mount %s: %w", device, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// fatOptions: names are ASCII; errors=remount-ro is the driver's own, said aloud.
var fatOptions = [][2]string{
	{"umask", "0077"}, {"codepage", "437"}, {"iocharset", "ascii"}, {"shortname", "mixed"}, {"errors", "remount-ro"},
}

func mountFAT(device string, write bool) (*os.File, error) {
	fs, err := unix.Fsopen("vfat", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fs)
	attrs := unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOATIME
	if !write {
		attrs |= unix.MOUNT_ATTR_RDONLY
		if err := unix.FsconfigSetFlag(fs, "ro"); err != nil {
			return nil, err
		}
	}
	for _, o := range append([][2]string{{"source", device}}, fatOptions...) {
		if err := unix.FsconfigSetString(fs, o[0], o[1]); err != nil {
			return nil, fmt.Errorf("option %s=%s: %w", o[0], o[1], err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, err
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), device), nil
}

// The flags of a FAT32 file system: byte 0x41 of its first sector, set by the
// kernel while it is mounted (fs/fat/inode.c, fat_set_state).
const (
	fatStateAt = 0x41
	fatDirty   = 1
)

// checkFAT runs fsck.vfat where the partition was not unmounted. -a mends what
// it can without losing a file that is in use. A partition that is mounted now,
// by another worker, is left to it.
func checkFAT(ctx context.Context, device string) (note string, err error) {
	dirty, err := fatIsDirty(device)
	if err != nil || !dirty || isMounted(device) {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "fsck.vfat", "-a", device).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &exit) && exit.ExitCode() == 1: // dosfsck(8): errors were found, and mended
		return "the EFI system partition was not unmounted and has been mended", nil
	}
	return "", fmt.Errorf("fsck.vfat -a %s: %w: %s", device, err, strings.TrimSpace(string(out)))
}

func fatIsDirty(device string) (bool, error) {
	f, err := os.Open(device)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], fatStateAt); err != nil {
		return false, fmt.Errorf("cannot read %q: %w", device, err)
	}
	return b[0]&fatDirty != 0, nil
}

// isMounted says whether the device is mounted anywhere; the kernel lets nobody
// have a mounted one for himself (open(2), O_EXCL on a block device).
func isMounted(device string) bool {
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		return errors.Is(err, unix.EBUSY)
	}
	_ = f.Close()
	return false
}

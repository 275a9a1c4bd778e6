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

const (
	// espDir is where the partition is mounted while it is open, and at no other
	// time: what is not mounted is not damaged by a power cut.
	espDir = "/run/ros/esp"
	// espBusy is how long another worker, which only reads, may still have it.
	espBusy = 10 * time.Second
)

// ESP is the boot loader of the disk that the running system came from.
type ESP struct {
	GRUB
	dir string
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
	var dir string
	if err == nil {
		dir, err = mountESP(ctx, d.Path)
	}
	if err != nil {
		return nil, note, fmt.Errorf("cannot open the EFI system partition: %w", err)
	}
	return &ESP{GRUB: GRUB{Files: Dir(dir)}, dir: dir}, note, nil
}

// Close unmounts it.
func (e *ESP) Close() error {
	if err := errors.Join(unix.Unmount(e.dir, 0), os.Remove(e.dir)); err != nil {
		return fmt.Errorf("cannot close the EFI system partition: %w", err)
	}
	return nil
}

// mountESP mounts at a folder of its own: two workers may read at a time.
func mountESP(ctx context.Context, device string) (string, error) {
	if err := os.MkdirAll(espDir, 0o700); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(espDir, "")
	if err != nil {
		return "", err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME
	// Names are ASCII; errors=remount-ro is the driver's own, said aloud.
	const options = "umask=0077,codepage=437,iocharset=ascii,shortname=mixed,errors=remount-ro"
	end := time.Now().Add(espBusy)
	for {
		err = unix.Mount(device, dir, "vfat", flags, options)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("mount %s: %w", device, err), os.Remove(dir))
	}
	return dir, nil
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

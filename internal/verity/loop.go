package verity

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Loop makes a block device of size bytes of the file at path from offset on;
// size 0 means to its end. It stays until Unloop.
func Loop(path string, offset, size int64, readOnly bool) (device string, err error) {
	device, err = loop(path, offset, size, readOnly)
	if err != nil {
		return "", fmt.Errorf("cannot make a loop device of %q: %w", path, err)
	}
	return device, nil
}

func loop(path string, offset, size int64, readOnly bool) (string, error) {
	mode, flags := os.O_RDWR, uint32(0)
	if readOnly {
		mode, flags = os.O_RDONLY, unix.LO_FLAGS_READ_ONLY
	}
	file, err := os.OpenFile(path, mode|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer control.Close()

	config := unix.LoopConfig{Fd: uint32(file.Fd())}
	config.Info.Offset, config.Info.Sizelimit, config.Info.Flags = uint64(offset), uint64(size), flags
	copy(config.Info.File_name[:len(config.Info.File_name)-1], path)
	for {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", err
		}
		name := "/dev/loop" + strconv.Itoa(n)
		device, err := os.OpenFile(name, mode|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		device.Close()
		if errors.Is(err, unix.EBUSY) {
			continue // somebody else was faster: ask for another one
		}
		if err != nil {
			return "", err
		}
		return name, nil
	}
}

// Unloop undoes Loop, as soon as nothing uses the device any more.
func Unloop(device string) error {
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot release loop device: %w", err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
		return fmt.Errorf("cannot release loop device %q: %w", device, err)
	}
	return nil
}

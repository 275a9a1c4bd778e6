package statedisk

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ext4IoctlResize is EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64): the kernel's
// Documentation/admin-guide/ext4.rst, "Ioctls".
const ext4IoctlResize = 0x40086610

// resizeExt4 makes the file system of dir so many blocks large.
func resizeExt4(dir *os.File, blocks uint64) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), ext4IoctlResize, uintptr(unsafe.Pointer(&blocks)))
	if errno != 0 {
		return errno
	}
	return nil
}

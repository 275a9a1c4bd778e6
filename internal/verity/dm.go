package verity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The messages are those of the kernel's include/uapi/linux/dm-ioctl.h: a fixed
// header, and for a table one target with its line of text.
const (
	headerSize = unix.SizeofDmIoctl
	targetSize = unix.SizeofDmTargetSpec
	// Room for what the kernel answers or a table says.
	messageSize = 4096
)

// Places in the header.
const (
	offVersion     = 0
	offDataSize    = 12
	offDataStart   = 16
	offTargetCount = 20
	offFlags       = 28
	offDevice      = 40
	offName        = 48
	offUUID        = 176
	nameSize       = 128
	uuidSize       = 129
)

// control opens the device mapper, making its device file first if nobody has.
func (h Host) control() (*os.File, error) {
	path := filepath.Join(h.Dev, "mapper/control")
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	text, err := os.ReadFile(filepath.Join(h.Sys, "class/misc/device-mapper/dev"))
	if err != nil {
		return nil, fmt.Errorf("the kernel has no device mapper: %w", err)
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
		return nil, fmt.Errorf("device number %q of the device mapper: %w", strings.TrimSpace(string(text)), err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
}

func (h Host) withControl(do func(control *os.File) error) error {
	control, err := h.control()
	if err != nil {
		return err
	}
	defer control.Close()
	return do(control)
}

// message is a header for the device called name.
func message(name string, flags uint32) ([]byte, error) {
	if name == "" || len(name) >= nameSize || strings.ContainsAny(name, "/ ") {
		return nil, fmt.Errorf("name %q of the device: want 1 to %d letters without slashes and spaces", name, nameSize-1)
	}
	m := make([]byte, messageSize)
	ne := binary.NativeEndian
	ne.PutUint32(m[offVersion:], 4) // 4.0.0: what every kernel of ours understands
	ne.PutUint32(m[offDataSize:], messageSize)
	ne.PutUint32(m[offDataStart:], headerSize)
	ne.PutUint32(m[offFlags:], flags)
	copy(m[offName:], name)
	return m, nil
}

func (h Host) call(control *os.File, what string, command uint, m []byte) error {
	do := h.ioctl
	if do == nil {
		do = ioctl
	}
	if err := do(control, command, m); err != nil {
		return fmt.Errorf("device mapper: %s: %w", what, err)
	}
	return nil
}

func ioctl(control *os.File, command uint, m []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), uintptr(command), uintptr(unsafe.Pointer(&m[0])))
	if errno != 0 {
		return errno
	}
	return nil
}

// create makes a device without a table and returns its minor number.
func (h Host) create(control *os.File, name, uuid string) (minor int, err error) {
	m, err := message(name, 0)
	if err != nil {
		return 0, err
	}
	copy(m[offUUID:offUUID+uuidSize-1], uuid)
	if err := h.call(control, "create "+name, unix.DM_DEV_CREATE, m); err != nil {
		return 0, err
	}
	return int(unix.Minor(binary.NativeEndian.Uint64(m[offDevice:]))), nil
}

// load gives the device a read-only table of one target.
func (h Host) load(control *os.File, name string, sectors uint64, kind, params string) error {
	m, err := message(name, unix.DM_READONLY_FLAG)
	if err != nil {
		return err
	}
	ne := binary.NativeEndian
	ne.PutUint32(m[offTargetCount:], 1)
	target := m[headerSize:]
	ne.PutUint64(target[0:], 0)
	ne.PutUint64(target[8:], sectors)
	length := (targetSize + len(params) + 1 + 7) &^ 7 // the kernel wants the next one aligned
	if headerSize+length > len(m) {
		return fmt.Errorf("the table line has %d bytes, which is too long", len(params))
	}
	ne.PutUint32(target[20:], uint32(length))
	copy(target[24:40], kind)
	copy(target[targetSize:], params)
	return h.call(control, "load "+kind+" table", unix.DM_TABLE_LOAD, m)
}

// resume makes the loaded table the one in use.
func (h Host) resume(control *os.File, name string) error {
	m, err := message(name, unix.DM_READONLY_FLAG)
	if err != nil {
		return err
	}
	return h.call(control, "resume "+name, unix.DM_DEV_SUSPEND, m)
}

func (h Host) remove(control *os.File, name string) error {
	m, err := message(name, 0)
	if err != nil {
		return err
	}
	return h.call(control, "remove "+name, unix.DM_DEV_REMOVE, m)
}

// status is what the one target of the device says of itself.
func (h Host) status(control *os.File, name string) (string, error) {
	m, err := message(name, 0)
	if err != nil {
		return "", err
	}
	if err := h.call(control, "status of "+name, unix.DM_TABLE_STATUS, m); err != nil {
		return "", err
	}
	start := binary.NativeEndian.Uint32(m[offDataStart:])
	if binary.NativeEndian.Uint32(m[offTargetCount:]) == 0 || int(start)+targetSize > len(m) {
		return "", errors.New("the device has no table")
	}
	text, _, _ := bytes.Cut(m[start+targetSize:], []byte{0})
	return string(text), nil
}

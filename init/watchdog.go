package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	watchdogDevice  = "/dev/watchdog"
	softdogIdentity = "Software Watchdog" // of the kernel's own, which is no hardware
	watchdogSeconds = 60                  // without a feed, then the hardware resets the machine
	watchdogTries   = 6                   // its driver may be loaded late
	watchdogPause   = 5 * time.Second

	// watchdogVariable hands the descriptor of the open device to stage 2.
	watchdogVariable = "ROS_WATCHDOG"
)

// watchdog is the open watchdog device.
type watchdog struct {
	f *os.File
}

// openWatchdog looks for a watchdog; most virtual machines have none, and that
// is no reason for a warning.
func openWatchdog(m *machine) (string, error) {
	m.mu.Lock()
	dog := m.watchdog
	m.mu.Unlock()
	if dog != nil {
		return dog.String() + ", since stage 1", nil
	}
	for range watchdogTries {
		f, err := os.OpenFile(watchdogDevice, os.O_WRONLY, 0)
		if err == nil {
			return m.armWatchdog(f)
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENXIO) {
			return "", err
		}
		time.Sleep(watchdogPause)
	}
	return "", errNothingToDo
}

func (m *machine) armWatchdog(f *os.File) (string, error) {
	dog := &watchdog{f}
	if !m.keepWatchdog(dog) {
		dog.close() // opening has armed it
		return "", errNothingToDo
	}
	// Some devices have one timeout only, and say so with an error: then the
	// interval of feeding must do.
	_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, watchdogSeconds)
	m.feedWatchdog()
	return dog.String(), nil
}

// keepWatchdog is false when PID 1 has let go of watchdogs.
func (m *machine) keepWatchdog(dog *watchdog) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.watchdogOff {
		m.watchdog = dog
	}
	return !m.watchdogOff
}

// String says which it is and after how long it bites.
func (w *watchdog) String() string {
	text := watchdogDevice
	if id := w.identity(); id != "" {
		text += " (" + id + ")"
	}
	if seconds, err := unix.IoctlGetInt(int(w.f.Fd()), unix.WDIOC_GETTIMEOUT); err == nil {
		text += fmt.Sprintf(", %d s", seconds)
	}
	return text
}

func (w *watchdog) identity() string {
	about, err := unix.IoctlGetWatchdogInfo(int(w.f.Fd()))
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(about.Identity[:])
}

// armAnyWatchdog opens the hardware's watchdog or, without one, the kernel's.
func (m *machine) armAnyWatchdog() (string, error) {
	f, err := os.OpenFile(watchdogDevice, os.O_WRONLY, 0)
	if err != nil && m.drivers != nil {
		if err := m.drivers.Load("softdog", ""); err != nil {
			return "", err
		}
		f, err = os.OpenFile(watchdogDevice, os.O_WRONLY, 0)
	}
	if err != nil {
		return "", err
	}
	return m.armWatchdog(f)
}

func (m *machine) feedWatchdog() {
	m.mu.Lock()
	w := m.watchdog
	m.mu.Unlock()
	if w != nil {
		_, _ = w.f.Write([]byte{0})
	}
}

// close disarms the watchdog: without the V it would take the closing for the
// death of PID 1.
func (w *watchdog) close() {
	_, _ = w.f.Write([]byte{'V'})
	_ = w.f.Close()
}

func (m *machine) closeWatchdog() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watchdog != nil {
		m.watchdog.close()
		m.watchdog = nil
	}
}

// letGoOfWatchdog is for what PID 1 does last: it disarms the watchdog, but over a
// jump into another kernel. No boot loader arms it for that one, which may hang
// before its PID 1 takes over. The hardware goes on watching only if the kernel
// was told not to stop it on the way (watchdog.stop_on_reboot=0); the kernel's
// own ends with the kernel.
//
// A watchdog that comes to light after this stays off: nobody would feed it
// where the machine is going.
func (m *machine) letGoOfWatchdog(command int) {
	m.mu.Lock()
	m.watchdogOff = true
	m.mu.Unlock()
	if command != unix.LINUX_REBOOT_CMD_KEXEC {
		m.closeWatchdog()
		return
	}
	m.dropSoftdog()
	m.mu.Lock()
	dog := m.watchdog
	m.mu.Unlock()
	if dog == nil {
		return
	}
	dog.extend()
	m.feedWatchdog()
	m.out.say(warning, "armed over the jump: "+dog.String())
}

// extend gives the next kernel as long as the device allows, up to what its
// start takes on a slow machine. A device that takes none of these keeps its own.
func (w *watchdog) extend() {
	for _, seconds := range []int{180, 120, 90} {
		if unix.IoctlSetPointerInt(int(w.f.Fd()), unix.WDIOC_SETTIMEOUT, seconds) == nil {
			return
		}
	}
}

// dropSoftdog closes the kernel's own watchdog, which only a trial has.
func (m *machine) dropSoftdog() {
	m.mu.Lock()
	dog := m.watchdog
	m.mu.Unlock()
	if dog != nil && dog.identity() == softdogIdentity {
		m.closeWatchdog()
	}
}

// handWatchdog is the environment that passes the open watchdog on through the
// exec into stage 2: closed and opened again, it would be off in between, and
// some hardware resets then.
func (m *machine) handWatchdog() []string {
	m.feedWatchdog()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watchdog == nil {
		return nil
	}
	fd := m.watchdog.f.Fd()
	if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
		m.log.Warn("watchdog is not handed on", "error", err)
		return nil
	}
	return []string{watchdogVariable + "=" + strconv.Itoa(int(fd))}
}

// takeWatchdog is the other end of handWatchdog.
func (m *machine) takeWatchdog() {
	text, ok := os.LookupEnv(watchdogVariable)
	if !ok {
		return
	}
	fd, err := strconv.Atoi(text)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	}
	if err != nil {
		m.log.Warn("watchdog of stage 1 is lost", "error", err)
		return
	}
	m.mu.Lock()
	m.watchdog = &watchdog{f: os.NewFile(uintptr(fd), watchdogDevice)}
	m.mu.Unlock()
	m.feedWatchdog()
}

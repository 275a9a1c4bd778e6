package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	watchdogDevice  = "/dev/watchdog"
	watchdogSeconds = 60 // without a feed, then the hardware resets the machine
	watchdogTries   = 6  // its driver may be loaded late
	watchdogPause   = 5 * time.Second
)

// watchdog is the open watchdog device.
type watchdog struct {
	f *os.File
}

// openWatchdog looks for a watchdog; most virtual machines have none, and that
// is no reason for a warning.
func openWatchdog(m *machine) (string, error) {
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
	// Some devices have one timeout only, and say so with an error: then the
	// interval of feeding must do.
	_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, watchdogSeconds)
	detail := watchdogDevice
	if seconds, err := unix.IoctlGetInt(int(f.Fd()), unix.WDIOC_GETTIMEOUT); err == nil {
		detail = fmt.Sprintf("%s, %d s", watchdogDevice, seconds)
	}
	m.mu.Lock()
	m.watchdog = &watchdog{f}
	m.mu.Unlock()
	m.feedWatchdog()
	return detail, nil
}

func (m *machine) feedWatchdog() {
	m.mu.Lock()
	w := m.watchdog
	m.mu.Unlock()
	if w != nil {
		_, _ = w.f.Write([]byte{0})
	}
}

// closeWatchdog disarms the watchdog: without the V it would take the closing
// for the death of PID 1.
func (m *machine) closeWatchdog() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watchdog != nil {
		_, _ = m.watchdog.f.Write([]byte{'V'})
		_ = m.watchdog.f.Close()
		m.watchdog = nil
	}
}

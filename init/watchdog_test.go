package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A file stands for the device: it shows what is written to it.
func TestWatchdogIsHandedOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watchdog")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := testMachine(t)
	if env := first.handWatchdog(); env != nil {
		t.Errorf("without a watchdog: %q", env)
	}
	if detail, err := first.armWatchdog(f); detail != watchdogDevice || err != nil {
		t.Errorf("armWatchdog = %q, %v", detail, err)
	}
	env := first.handWatchdog()
	if len(env) != 1 {
		t.Fatalf("handWatchdog = %q", env)
	}
	fd := f.Fd()
	if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); flags&unix.FD_CLOEXEC != 0 || err != nil {
		t.Errorf("the exec closes the descriptor: %#x, %v", flags, err)
	}
	// A descriptor of its own: the exec leaves no *os.File behind, and here two
	// would close the same one.
	copied, err := unix.Dup(int(fd))
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(env[0], "=")
	t.Setenv(name, strconv.Itoa(copied))

	second, _ := testMachine(t)
	second.takeWatchdog()
	if second.watchdog == nil {
		t.Fatal("stage 2 has no watchdog")
	}
	if flags, err := unix.FcntlInt(uintptr(copied), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
		t.Errorf("children of stage 2 get the descriptor: %#x, %v", flags, err)
	}
	if detail, err := openWatchdog(second); detail != watchdogDevice+", since stage 1" || err != nil {
		t.Errorf("phase watchdog: %q, %v", detail, err)
	}
	second.dropSoftdog() // it is not the kernel's
	second.closeWatchdog()
	first.closeWatchdog()
	// Armed, handed on, taken; then let go twice.
	if text, err := os.ReadFile(path); string(text) != "\x00\x00\x00VV" || err != nil {
		t.Errorf("the device was told %q, %v", text, err)
	}
}

// Over a jump into another kernel the hardware goes on watching; before every
// other end PID 1 disarms it.
func TestWatchdogAtTheEnd(t *testing.T) {
	for command, want := range map[int]string{
		unix.LINUX_REBOOT_CMD_KEXEC:     "\x00\x00\x00", // armed, fed a last time, and by obey
		unix.LINUX_REBOOT_CMD_RESTART:   "\x00V",
		unix.LINUX_REBOOT_CMD_POWER_OFF: "\x00V",
		unix.LINUX_REBOOT_CMD_HALT:      "\x00V",
	} {
		path := filepath.Join(t.TempDir(), "watchdog")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := testMachine(t)
		if _, err := m.armWatchdog(f); err != nil {
			t.Fatal(err)
		}
		m.letGoOfWatchdog(command)
		m.feedWatchdog()
		if text, err := os.ReadFile(path); string(text) != want || err != nil {
			t.Errorf("before reboot(%#x) the device was told %q, %v, want %q", command, text, err, want)
		}
		m.closeWatchdog()
	}
}

// A driver that is loaded when the machine goes down brings a watchdog that
// nobody would feed.
func TestWatchdogThatComesLate(t *testing.T) {
	for _, command := range []int{unix.LINUX_REBOOT_CMD_RESTART, unix.LINUX_REBOOT_CMD_POWER_OFF, unix.LINUX_REBOOT_CMD_KEXEC} {
		path := filepath.Join(t.TempDir(), "watchdog")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := testMachine(t)
		m.letGoOfWatchdog(command)
		if _, err := m.armWatchdog(f); !errors.Is(err, errNothingToDo) {
			t.Errorf("after reboot(%#x): armWatchdog = %v", command, err)
		}
		m.feedWatchdog()
		if text, err := os.ReadFile(path); string(text) != "V" || err != nil {
			t.Errorf("after reboot(%#x) the device was told %q, %v, want V", command, text, err)
		}
	}
}

func TestBadHandOver(t *testing.T) {
	for _, value := range []string{"", "x", "-1", "99999"} {
		t.Setenv(watchdogVariable, value)
		m, s := testMachine(t)
		m.takeWatchdog()
		if text := strings.Join(s.lines(m.out), "\n"); m.watchdog != nil || !strings.Contains(text, "watchdog of stage 1 is lost") {
			t.Errorf("%s=%q: %v, console: %s", watchdogVariable, value, m.watchdog, text)
		}
	}
}

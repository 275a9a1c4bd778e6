package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/reaper"
)

// terminalPair opens a pseudo terminal, which stands for a console.
func terminalPair(t *testing.T) (ours *os.File, console string) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	raw, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	cerr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err = errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
	return ours, fmt.Sprintf("/dev/pts/%d", n)
}

// await reads the terminal until it has shown the text.
func await(t *testing.T, tty *os.File, want string) {
	t.Helper()
	_ = tty.SetReadDeadline(time.Now().Add(30 * time.Second))
	var seen strings.Builder
	buf := make([]byte, 1024)
	for !strings.Contains(seen.String(), want) {
		n, err := tty.Read(buf)
		seen.Write(buf[:n])
		// EIO: between two shells nobody has the terminal open.
		if err != nil && !errors.Is(err, unix.EIO) {
			t.Fatalf("waiting for %q: %v; seen:\n%s", want, err, seen.String())
		}
	}
}

// A real shell on a real terminal: it takes commands, comes back when it was
// left, has job control, and ends with the context.
func TestRescueShell(t *testing.T) {
	if _, err := findBusybox("/bin/busybox", "/usr/bin/busybox"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ours, console := terminalPair(t)
	ctx, cancel := context.WithCancel(context.Background())
	m := &machine{ctx: ctx, out: &console0, log: quietLog(), reap: reaper.New()}
	var wg sync.WaitGroup
	reaping, stop := context.WithCancel(context.Background())
	wg.Go(func() { m.reap.Run(reaping) })
	ended := make(chan struct{})
	go func() { m.rescueShell(ctx, console, "phase verity: no match\n"); close(ended) }()

	await(t, ours, "phase verity: no match")
	await(t, ours, "# ") // /etc/profile may change the rest of the prompt
	for _, line := range []struct{ in, out string }{
		{"echo $((40 + 2)) here\n", "42 here"},
		{"tty\n", console},
		{"exit\n", "phase verity: no match"}, // and there is the next one
		{"echo $((50 + 2)) again\n", "52 again"},
	} {
		if _, err := io.WriteString(ours, line.in); err != nil {
			t.Fatal(err)
		}
		await(t, ours, line.out)
	}
	cancel()
	<-ended
	stop()
	wg.Wait()
}

// console0 prints nowhere.
var console0 = console{kmsg: io.Discard}

func TestRescueHint(t *testing.T) {
	for whole, words := range map[bool][]string{
		false: {"reboot -f", "/var/log/ros"},
		true:  {"ros os rollback", "rescue state", "ssh", "reboot"},
	} {
		hint := rescueHint(&phaseError{"image", errors.New("not found")}, "LABEL=ROSTER:/roster/os.img", whole,
			blockdev.Host{Sys: t.TempDir(), Dev: t.TempDir()})
		for _, want := range append(words, "phase image: not found", "ros.image=LABEL=ROSTER:/roster/os.img", "Block devices: ") {
			if !strings.Contains(hint, want) {
				t.Errorf("hint (OS image there: %v) does not say %q:\n%s", whole, want, hint)
			}
		}
	}
}

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{"/dev/vda6": "'/dev/vda6'", "": "''", "it's $HOME": `'it'\''s $HOME'`} {
		if got := shellWord(text); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", text, got, want)
		}
	}
}

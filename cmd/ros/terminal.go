package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/control"
)

// sitsAtTerminal says whether our input is one.
func (a *app) sitsAtTerminal() bool {
	f, ok := a.stdin.(*os.File)
	return ok && isTerminal(f)
}

// rawTerminal hands every key on as it is, Ctrl-C too, until restore. See
// cfmakeraw(3).
func rawTerminal(f *os.File) (restore func(), err error) {
	was, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("cannot use the terminal: %w", err)
	}
	raw := *was
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag &^= unix.CSIZE | unix.PARENB
	raw.Cflag |= unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("cannot use the terminal: %w", err)
	}
	return func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, was) }, nil
}

func terminalSize() (control.Size, bool) {
	size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return control.Size{}, false
	}
	return control.Size{Rows: size.Row, Columns: size.Col}, true
}

// sizeFor is the size that a program's terminal has from its beginning: that of
// ours, if it gets one.
func sizeFor(terminal bool) control.Size {
	if !terminal {
		return control.Size{}
	}
	size, _ := terminalSize() // zero when there is none: nobody knows
	return size
}

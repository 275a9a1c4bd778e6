package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/bootlog"
)

// level is how much a line matters: quiet hides info.
type level int

const (
	info level = iota
	warning
)

// console is where PID 1 talks: the kernel log, every console device, and
// later its own log file. None of them can hold it up: a terminal may be
// stopped with Ctrl-S for hours, and a hanging disk must not hang PID 1. Lines
// that a device does not take in time are dropped there; the kernel log has
// them all.
type console struct {
	kmsg io.Writer

	mu    sync.Mutex
	outs  []*output
	quiet bool
}

// output is one place for lines, with a queue in front of it.
type output struct {
	queue chan entry
	all   bool // also info lines when quiet
	write func(text string)
}

type entry struct {
	text string
	done chan struct{} // not nil: no text, but closed when everything before it is written
}

const queueLines = 256

// openConsole finds the places that are there; before /dev and /sys are
// mounted that is /dev/console at most.
func openConsole() *console {
	c := &console{kmsg: io.Discard}
	if f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		c.kmsg = f
	}
	for _, path := range consoleDevices("/sys", "/dev") {
		t := &terminal{path: path}
		c.add(false, t.write)
	}
	return c
}

// consoleDevices are the terminals behind the console= parameters.
func consoleDevices(sys, dev string) []string {
	active, err := os.ReadFile(filepath.Join(sys, "class/tty/console/active"))
	if err != nil || len(bytes.TrimSpace(active)) == 0 {
		return []string{filepath.Join(dev, "console")}
	}
	var paths []string
	for name := range strings.FieldsSeq(string(active)) {
		paths = append(paths, filepath.Join(dev, name))
	}
	return paths
}

// add starts a goroutine that writes lines to one more place; all says that
// it takes info lines too when the console is quiet.
func (c *console) add(all bool, write func(text string)) {
	o := &output{queue: make(chan entry, queueLines), all: all, write: write}
	c.mu.Lock()
	c.outs = append(c.outs, o)
	c.mu.Unlock()
	go func() {
		for e := range o.queue {
			if e.done != nil {
				close(e.done)
				continue
			}
			o.write(e.text)
		}
	}()
}

func (c *console) setQuiet(quiet bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = quiet
}

// say prints one line everywhere.
func (c *console) say(l level, text string) {
	text = strings.TrimRight(text, " \n")
	// Priority debug: the line is in the kernel log, and the kernel does not
	// print it on the consoles a second time.
	fmt.Fprintf(c.kmsg, "<31>ros: %s\n", text)
	c.mu.Lock()
	defer c.mu.Unlock()
	stamped := fmt.Sprintf("[%7.3f] %s", bootlog.Now(), text)
	for _, o := range c.outs {
		if c.quiet && l == info && !o.all {
			continue
		}
		select {
		case o.queue <- entry{text: stamped}:
		default: // it does not keep up
		}
	}
}

// trace puts a stack trace into the kernel log and nowhere else.
func (c *console) trace(stack []byte) {
	for line := range bytes.Lines(stack) {
		fmt.Fprintf(c.kmsg, "<27>ros: %s", line)
	}
}

// flush waits until everything said so far is written, but not for long.
func (c *console) flush(patience time.Duration) {
	c.mu.Lock()
	outs := slices.Clone(c.outs)
	c.mu.Unlock()
	timeout := time.After(patience)
	var pending []chan struct{}
	for _, o := range outs {
		done := make(chan struct{})
		select {
		case o.queue <- entry{done: done}:
			pending = append(pending, done)
		case <-timeout:
			return
		}
	}
	for _, done := range pending {
		select {
		case <-done:
		case <-timeout:
			return
		}
	}
}

// terminal writes lines to a console device and opens it anew when a getty
// has hung it up.
type terminal struct {
	path string
	f    *os.File
}

// terminalPatience bounds one write: a serial line at 9600 baud takes 80
// characters in a tenth of a second.
const terminalPatience = 2 * time.Second

func (t *terminal) write(text string) {
	// With the carriage return, because a program may have left the terminal
	// in raw mode.
	line := text + "\r\n"
	for range 2 {
		if t.f == nil {
			f, err := os.OpenFile(t.path, os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
			if err != nil {
				return
			}
			t.f = f
		}
		_ = t.f.SetWriteDeadline(time.Now().Add(terminalPatience))
		if _, err := t.f.WriteString(line); err == nil || os.IsTimeout(err) {
			return
		}
		t.close()
	}
}

func (t *terminal) close() {
	if t.f != nil {
		_ = t.f.Close()
		t.f = nil
	}
}

// logger is a slog.Logger whose lines go the same way, as
// "warn message key=value". Debug is left out.
func (c *console) logger() *slog.Logger { return slog.New(logLines{c: c}) }

type logLines struct {
	c     *console
	attrs string
}

func (h logLines) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h logLines) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	l, word := info, "info"
	switch {
	case r.Level >= slog.LevelError:
		l, word = warning, "FAIL"
	case r.Level >= slog.LevelWarn:
		l, word = warning, "warn"
	}
	fmt.Fprintf(&b, "%-4s %s%s", word, r.Message, h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(attrText(a))
		return true
	})
	h.c.say(l, strings.ReplaceAll(b.String(), "\n", "; "))
	return nil
}

func attrText(a slog.Attr) string {
	text := a.Value.String()
	if strings.ContainsAny(text, " \t\n\"") {
		text = fmt.Sprintf("%q", text)
	}
	return " " + a.Key + "=" + text
}

func (h logLines) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += attrText(a)
	}
	return h
}

func (h logLines) WithGroup(string) slog.Handler { return h }

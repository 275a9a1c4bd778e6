package qemu

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"sync"
	"time"
)

// Console is a serial console: everything the guest has written on it so far,
// kept in memory and in a file, and a way to type.
//
// A Mark is a place in that text. Expect reads forward from where the last
// Expect ended, so that a prompt that was there before a reboot does not pass
// for the one after it.
type Console struct {
	in io.Writer

	mu     sync.Mutex
	text   []byte
	next   Mark          // where the next Expect begins
	more   chan struct{} // closed and made anew with every piece of text
	closed bool          // the machine has ended
}

// Mark is a number of bytes since the machine was started.
type Mark int

// newConsole reads from out until it ends, in a goroutine of its own: a guest
// whose console is not read stands still. The copy is for reading after a
// failure. done is closed when out has ended.
func newConsole(in io.Writer, out io.Reader, copyTo *os.File) (c *Console, done <-chan struct{}) {
	c = &Console{in: in, more: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 32<<10)
		for {
			n, err := out.Read(buf)
			if n > 0 {
				copyTo.Write(buf[:n]) // a log file that cannot be written must not fail a test
			}
			c.mu.Lock()
			c.text = append(c.text, buf[:n]...)
			c.closed = err != nil
			close(c.more)
			c.more = make(chan struct{})
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c, ended
}

// Mark is the end of the text so far.
func (c *Console) Mark() Mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Mark(len(c.text))
}

// Since is the text from a mark on, without escape sequences.
func (c *Console) Since(from Mark) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(clean(c.text[from:]))
}

// Skip lets the next Expect begin at the end of the text so far.
func (c *Console) Skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = Mark(len(c.text))
}

// Expect waits until re matches the text that has not been expected yet, and
// returns the match and its groups. It gives up early when the machine ends or
// its kernel panics, and says what the console showed last.
func (c *Console) Expect(ctx context.Context, re *regexp.Regexp) ([]string, error) {
	for {
		c.mu.Lock()
		fresh := c.text[c.next:]
		if found, used := match(re, fresh); found != nil {
			c.next += Mark(used)
			c.mu.Unlock()
			return found, nil
		}
		more, closed := c.more, c.closed
		c.mu.Unlock()

		if closed {
			return nil, fmt.Errorf("cannot find %q on the console: the machine ended; last lines:\n%s", re, tail(clean(fresh)))
		}
		if bytes.Contains(fresh, []byte("Kernel panic - not syncing")) {
			time.Sleep(time.Second) // for the rest of what it has to say
			c.mu.Lock()
			fresh = c.text[c.next:]
			c.mu.Unlock()
			return nil, fmt.Errorf("cannot find %q on the console: the kernel panicked; last lines:\n%s", re, tail(clean(fresh)))
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot find %q on the console: %w; last lines:\n%s", re, context.Cause(ctx), tail(clean(fresh)))
		}
	}
}

// match looks for re in one line after the other, the unfinished last one too
// (a prompt has no end). used is the number of raw bytes up to the end of the
// line that matched.
func match(re *regexp.Regexp, raw []byte) (found []string, used int) {
	for line := range bytes.Lines(raw) {
		used += len(line)
		if found := re.FindStringSubmatch(string(bytes.TrimRight(clean(line), "\r\n"))); found != nil {
			return found, used
		}
	}
	return nil, 0
}

// Send types text on the console.
func (c *Console) Send(text string) error {
	if _, err := io.WriteString(c.in, text); err != nil {
		return fmt.Errorf("cannot type on the console: %w", err)
	}
	return nil
}

// Shell types a command at a shell prompt on the console and returns what it
// printed and its exit code.
func (c *Console) Shell(ctx context.Context, command string) (output string, code int, err error) {
	// The marker is typed in two pieces, so that the echo of the command line is
	// not taken for its end.
	marker := fmt.Sprintf("%x", time.Now().UnixNano())
	c.Skip()
	from := c.Mark()
	if err := c.Send(fmt.Sprintf("echo 'be''gin'%s; %s; echo 'e''nd'%s $? .\r", marker, command, marker)); err != nil {
		return "", 0, err
	}
	found, err := c.Expect(ctx, regexp.MustCompile("end"+marker+` (\d+) \.`))
	if err != nil {
		return "", 0, err
	}
	text := c.Since(from)
	if _, after, ok := bytes.Cut([]byte(text), []byte("begin"+marker)); ok {
		text = string(after)
	}
	if before, _, ok := bytes.Cut([]byte(text), []byte("end"+marker)); ok {
		text = string(before)
	}
	fmt.Sscan(found[1], &code)
	return string(bytes.TrimSpace([]byte(text))), code, nil
}

// escape matches what terminals do not show: CSI and OSC sequences, the
// two-byte ones, and carriage returns.
var escape = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(\x07|\x1b\\\\)|\x1b[@-Z\\\\-_=>78c]|\x1b[()][0-9A-B]|[\r\x00]")

func clean(text []byte) []byte { return escape.ReplaceAll(text, nil) }

// tail is the last 30 lines, for error messages.
func tail(text []byte) []byte {
	end := bytes.TrimRight(text, "\n")
	at := len(end)
	for range 30 {
		if at = bytes.LastIndexByte(end[:at], '\n'); at < 0 {
			return end
		}
	}
	return end[at+1:]
}

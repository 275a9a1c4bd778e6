package osupdate

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// grace is how long a worker that was asked to end may take: it finishes
	// the write it is in and unmounts.
	grace = 30 * time.Second
	// maxLine bounds one event.
	maxLine = 4 << 20
)

// Worker runs one verb and hands its events to emit. The last event is Result
// or Error, whatever becomes of the worker.
type Worker interface {
	Run(ctx context.Context, verb string, options []byte, emit func(Event) error) error
}

// Local is the worker program, started by whoever calls Run.
type Local struct {
	Program string
	Stderr  io.Writer // where its log goes; nil: nowhere
}

// Run starts the worker. When ctx ends or emit fails the worker is asked to
// end, and Run waits for it. The error is that of emit, or of ctx.
func (l Local) Run(ctx context.Context, verb string, options []byte, emit func(Event) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(inner, l.Program, verb)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	cmd.Stdin = bytes.NewReader(options)
	var said lastLine
	cmd.Stderr = &said
	if l.Stderr != nil {
		cmd.Stderr = io.MultiWriter(l.Stderr, &said)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return emit(Event{Event: Error, Error: fmt.Sprintf("cannot start %s: %v", l.Program, err)})
	}
	if err := cmd.Start(); err != nil {
		return emit(Event{Event: Error, Error: fmt.Sprintf("cannot start %s: %v", l.Program, err)})
	}
	ended, emitErr := relay(out, emit)
	if emitErr != nil {
		cancel()
		_, _ = io.Copy(io.Discard, out) // or it would hang on a full pipe
	}
	waitErr := cmd.Wait()
	switch {
	case emitErr != nil:
		return emitErr
	case ended:
		return nil
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), emit(Event{Event: Error, Error: "stopped"}))
	}
	how := "without a result"
	if waitErr != nil {
		how = "without a result: " + waitErr.Error()
	}
	if said.text() != "" {
		how += ": " + said.text()
	}
	return emit(Event{Event: Error, Error: fmt.Sprintf("cannot %s: the worker ended %s", verb, how)})
}

// relay hands on each line that is an event. ended says that the last one came.
func relay(out io.Reader, emit func(Event) error) (ended bool, err error) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var event Event
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			event = Event{Event: Note, Text: lines.Text()}
		}
		if ended {
			continue
		}
		ended = event.last()
		if err := emit(event); err != nil {
			return ended, err
		}
	}
	_, _ = io.Copy(io.Discard, out) // after a line that was too long
	return ended, nil
}

// Failure is the error event of a worker, in words that need none before them.
type Failure struct{ Message string }

func (f *Failure) Error() string { return f.Message }

// Collect runs a verb, hands on everything but the last event and decodes the
// result into out, which may be nil. An error event is a *Failure.
func Collect(ctx context.Context, w Worker, verb string, options []byte, out any, emit func(Event) error) error {
	var end Event
	err := w.Run(ctx, verb, options, func(e Event) error {
		if e.last() {
			end = e
			return nil
		}
		if emit == nil {
			return nil
		}
		return emit(e)
	})
	switch {
	case end.Event == Error:
		return &Failure{end.Error}
	case err != nil:
		return err
	case out == nil, len(end.Result) == 0:
		return nil
	}
	return json.Unmarshal(end.Result, out)
}

// lastLine keeps the last line that was written to it.
type lastLine struct{ now, before string }

func (l *lastLine) Write(p []byte) (int, error) {
	lines := strings.Split(l.now+string(p), "\n")
	l.now = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		if strings.TrimSpace(line) != "" {
			l.before = line
		}
	}
	const enough = 4 << 10
	l.now = l.now[max(0, len(l.now)-enough):]
	return len(p), nil
}

func (l *lastLine) text() string { return strings.TrimSpace(cmp.Or(l.now, l.before)) }

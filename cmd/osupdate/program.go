package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/osupdate"
)

// maxOptions bounds the options, which may have a whole cloud-config in them.
const maxOptions = 4 << 20

// call is one call of a verb.
type call struct {
	options json.RawMessage // "{}" if there were none
	events  *osupdate.Events
	log     *slog.Logger
}

// decode reads the options strictly.
func (c call) decode(into any) error {
	in := json.NewDecoder(bytes.NewReader(c.options))
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		return fmt.Errorf("cannot read the options: %w", err)
	}
	return nil
}

// verb is one thing that the worker can do.
type verb struct {
	name  string
	alone bool // no other verb that is alone may run at the same time
	run   func(ctx context.Context, c call) (result any, err error)
}

type program struct {
	verbs  []verb
	lock   string
	stdin  io.Reader // nil: no options
	stdout io.Writer
	log    *slog.Logger
}

// run does what args ask for and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := osupdate.NewEvents(p.stdout, cancel)
	result, err := p.do(ctx, args, events)
	events.End(result, err)
	if err != nil {
		return 1
	}
	return 0
}

func (p program) do(ctx context.Context, args []string, events *osupdate.Events) (any, error) {
	v, err := p.find(args)
	if err != nil {
		return nil, err
	}
	options, err := p.options()
	if err != nil {
		return nil, err
	}
	if v.alone {
		unlock, err := lock(ctx, p.lock, v.name)
		if err != nil {
			return nil, fmt.Errorf("cannot %s: %w", v.name, err)
		}
		defer unlock()
	}
	return v.run(ctx, call{options: options, events: events, log: p.log})
}

func (p program) find(args []string) (verb, error) {
	var names []string
	for _, v := range p.verbs {
		if len(args) == 1 && v.name == args[0] {
			return v, nil
		}
		names = append(names, v.name)
	}
	return verb{}, fmt.Errorf("wrong usage: osupdate %s: want one of: %s", strings.Join(args, " "), strings.Join(names, ", "))
}

func (p program) options() (json.RawMessage, error) {
	if p.stdin == nil {
		return json.RawMessage("{}"), nil
	}
	text, err := io.ReadAll(io.LimitReader(p.stdin, maxOptions+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read the options: %w", err)
	case len(text) > maxOptions:
		return nil, errors.New("cannot read the options: they are larger than 4 MiB")
	case len(bytes.TrimSpace(text)) == 0:
		return json.RawMessage("{}"), nil
	}
	return text, nil
}

// settlePatience bounds the wait for settle, which rosd runs once after each
// boot and which is short. Nobody has asked for it, so nobody is refused for it.
const settlePatience = 30 * time.Second

// lock takes the lock for the life of this process, or until unlock, and writes
// down what for. The kernel lets go of it however the process ends.
func lock(ctx context.Context, path, why string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	for until := time.Now().Add(settlePatience); ; {
		unlock, err := tryLock(path, why)
		var taken *takenError
		if !errors.As(err, &taken) || !strings.HasPrefix(taken.holder, "settle,") || time.Now().After(until) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// takenError says who has the lock.
type takenError struct{ holder string }

func (e *takenError) Error() string { return "another is going on (" + e.holder + ")" }

func tryLock(path, why string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder, _ := io.ReadAll(io.LimitReader(f, 100))
		f.Close()
		return nil, &takenError{holder: strings.TrimSpace(string(holder))}
	}
	if err == nil {
		err = errors.Join(f.Truncate(0), writeHolder(f, why))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func writeHolder(f *os.File, why string) error {
	_, err := fmt.Fprintf(f, "%s, process %d", why, os.Getpid())
	return err
}

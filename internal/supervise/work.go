package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
)

// This file is what a machine needs around its events: its inbox and its loop,
// its timer, and the calls that run beside it.

// inbox is an unbounded queue of events for one machine, so that machines can
// write to each other without ever waiting for each other.
type inbox struct {
	mu     sync.Mutex
	events []func()
	closed bool
	ready  chan struct{} // holds a token when events may be non-empty
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// post is false when nobody reads it any more.
func (b *inbox) post(event func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.events = append(b.events, event)
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return true
}

// close lets nothing in any more. It is false when something is to be read first.
func (b *inbox) close() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = len(b.events) == 0
	return b.closed
}

func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// run handles events until the supervisor ends.
func (m *machine) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			m.clearTimer()
			return
		case <-m.inbox.ready:
		}
		for _, event := range m.inbox.take() {
			event()
		}
		if m.gone && !m.now.Up() && m.sup.forget(m) {
			return
		}
	}
}

// cause says whose fault a failure is, and so what ends it.
type cause int

const (
	noFailure    cause = iota
	ofItself           // its run or its image: an operator has to act
	ofDependency       // ends when the dependency recovers
	ofFile             // ends when the file has been mended and read again
)

// after makes event happen in a while, unless there is a transition before.
func (m *machine) after(d time.Duration, event func()) {
	m.clearTimer()
	turn := m.turn
	m.timer = time.AfterFunc(d, func() {
		m.inbox.post(func() {
			if turn == m.turn {
				event()
			}
		})
	})
}

func (m *machine) clearTimer() {
	m.turn++ // what has fired but was not handled yet is stale
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

// fresh takes charge of a task that has just been started. Those that are in its
// network hear of it before anybody starts because of it: what they have is the
// network of the last run.
func (m *machine) fresh(task Task) {
	m.now.Adopted, m.now.Changed = false, false
	m.sup.restartDependants(m.name, Options{}, inItsNetwork)
	m.hold(task, false)
}

// waitFor shows what the service waits for.
func (m *machine) waitFor(what ...string) {
	if strings.Join(what, "\n") == strings.Join(m.now.WaitingFor, "\n") {
		return
	}
	m.now.WaitingFor = what
	m.sup.publish(m)
}

// signal sends a signal, again and again while containerd does not answer.
func (m *machine) signal(task Task, name string, all bool) {
	m.sup.wg.Go(func() {
		for {
			err := task.Signal(m.sup.ctx, name, all)
			if err == nil {
				return
			}
			if !IsDown(err) {
				m.sup.log.Warn("cannot send signal", "service", m.name, "signal", name, "error", err)
				return
			}
			select {
			case <-task.Exited():
				return
			case <-m.sup.ctx.Done():
				return
			case <-time.After(downRetry):
			}
		}
	})
}

// kill sends a signal for an operator.
func (m *machine) kill(o Options, reply func(error)) {
	task := m.task
	if task == nil {
		reply(errors.New("it is not running"))
		return
	}
	name := o.Signal
	if name == "" {
		name = "SIGKILL"
	}
	m.sup.wg.Go(func() { reply(task.Signal(m.sup.ctx, name, false)) })
}

// awaitRuntime tries again when what runs the service may answer again. An
// engine that has been away starts with everything that depends on it down, so
// there the conditions count anew.
func (m *machine) awaitRuntime() {
	if m.def.Scope != compose.ScopeUser {
		m.waitFor("containerd to answer")
		m.after(downRetry, m.launch)
		return
	}
	m.waitFor("the engine to answer")
	m.after(downRetry, func() {
		m.transition(Waiting, "")
		m.look()
	})
}

// clean removes an ended task and its container, and closes cleaned. While the
// task is there its shim is too, and holds memory.
func (m *machine) clean(task Task, cleaned chan struct{}) {
	m.sup.wg.Go(func() {
		defer close(cleaned)
		for {
			ctx, cancel := context.WithTimeout(m.sup.ctx, cleanTimeout)
			err := task.Delete(ctx)
			cancel()
			switch {
			case err == nil:
				return
			case !IsDown(err):
				m.sup.log.Warn("cannot delete ended task", "service", m.name, "error", err)
				return
			}
			select {
			case <-m.sup.ctx.Done():
				return
			case <-time.After(downRetry):
			}
		}
	})
}

// sweep removes whatever container there may be of a service that is not up.
func (m *machine) sweep(reply func(error)) {
	before, cleaned := m.cleaned, make(chan struct{})
	def := m.def
	m.cleaned = cleaned
	m.sup.wg.Go(func() {
		defer close(cleaned)
		if err := waitClosed(m.sup.ctx, before); err != nil {
			reply(err)
			return
		}
		ctx, cancel := context.WithTimeout(m.sup.ctx, cleanTimeout)
		defer cancel()
		reply(m.sup.cfg.Runtime.Remove(ctx, def))
	})
}

// changed says whether a task with that hash has another definition or image
// than it would get now.
func (m *machine) changed(taskHash string) bool {
	if !m.startable {
		return false
	}
	hash, err := m.sup.cfg.Runtime.DefinitionHash(m.def)
	if err != nil {
		m.sup.log.Warn("cannot tell whether the definition has changed", "service", m.name, "error", err)
		return false
	}
	return hash != taskHash
}

func (m *machine) graceFor(o Options) time.Duration {
	if o.TimeoutSeconds != nil {
		return time.Duration(*o.TimeoutSeconds) * time.Second
	}
	return m.def.StopGracePeriod
}

// note is what an operator should know about a service that is well.
func (m *machine) note() string {
	switch {
	case m.fault != "":
		return "runs, but its file cannot be used: " + m.fault
	case m.gone:
		return "runs, but no service file describes it"
	}
	return ""
}

// describe takes over what is shown of a definition.
func (m *machine) describe(def compose.Service) {
	m.now.Name = m.name
	m.now.Scope, m.now.Required = def.Scope, def.Required
	m.now.Image, m.now.File, m.now.OneShot = def.Image, def.File, def.OneShot()
	m.now.Ports = project.Ports(def)
}

func (m *machine) logTransition(from State) {
	level := slog.LevelInfo
	switch m.now.State {
	case Failed, Unhealthy, Backoff:
		level = slog.LevelWarn
	case Waiting:
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("service", m.name),
		slog.String("from", string(from)),
		slog.String("to", string(m.now.State)),
	}
	if m.now.Reason != "" {
		attrs = append(attrs, slog.String("reason", m.now.Reason))
	}
	m.sup.log.LogAttrs(m.sup.ctx, level, "service changed state", attrs...)
}

// exitText says an exit code in words.
func exitText(code int) string {
	if name := unix.SignalName(unix.Signal(code - 128)); code > 128 && name != "" {
		return "killed by " + name
	}
	return fmt.Sprintf("exited with code %d", code)
}

// probeText says how a probe failed, with the last line it printed.
func probeText(code int, output string, err error) string {
	text := exitText(code)
	if err != nil {
		text = err.Error()
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		text += ": " + last
	}
	return text
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// waitClosed waits until c is closed; nil counts as closed.
func waitClosed(ctx context.Context, c <-chan struct{}) error {
	if c == nil {
		return nil
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

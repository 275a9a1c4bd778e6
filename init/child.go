package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/reaper"
)

const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 10 * time.Second
	// A run that lasted stableAfter was a good one: the next start does not
	// wait for the failures before it.
	stableAfter = 10 * time.Second
)

// process is a started program; *reaper.Process is one.
type process interface {
	Pid() int
	Done() <-chan struct{}
	Exit() reaper.Exit
	Signal(syscall.Signal) error
}

// child is a program that PID 1 keeps running: started, and started again
// after a while whenever it ends, until it is stopped.
type child struct {
	name  string
	start func() (process, error)
	// answers says whether the running program does its work.
	answers func() bool
	// ended is told of every run that ended by itself; it may be nil.
	ended func(run)
	log   *slog.Logger

	mu       sync.Mutex
	proc     process
	ready    bool // of the present run
	restarts int
	lastExit string
	stopping bool
	stopped  chan struct{} // closed by stop
	over     chan struct{} // closed when keep returns

	everReady chan struct{} // closed at the first time it answered
}

// run is one life of a child.
type run struct {
	err   error // it could not be started
	exit  reaper.Exit
	lived time.Duration
	ready bool // it did its work before it ended
}

func (r run) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	return r.exit.String()
}

func newChild(name string, log *slog.Logger, start func() (process, error), answers func() bool) *child {
	return &child{
		name: name, start: start, answers: answers, log: log,
		stopped: make(chan struct{}), over: make(chan struct{}), everReady: make(chan struct{}),
	}
}

// keep keeps the child running until it is stopped and has ended.
func (c *child) keep() {
	defer close(c.over)
	backoff := firstBackoff
	for {
		r, goOn := c.once()
		if !goOn {
			return
		}
		if r.lived >= stableAfter {
			backoff = firstBackoff
		}
		c.log.Warn("child ended, starting it again", "child", c.name, "how", r.String(),
			"lived", r.lived.Round(time.Millisecond).String(), "wait", backoff.String())
		if c.ended != nil {
			c.ended(r)
		}
		select {
		case <-time.After(backoff):
		case <-c.stopped:
			return
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// once is one run; goOn is false when the child is to stay down.
func (c *child) once() (r run, goOn bool) {
	began := time.Now()
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()
		return r, false
	}
	// Under the lock, so that stop sees the process or prevents it.
	proc, err := c.start()
	c.proc, c.ready = proc, false
	c.mu.Unlock()
	if err != nil {
		r.err = err
	} else {
		ctx, cancel := context.WithCancel(context.Background())
		var wait sync.WaitGroup
		wait.Go(func() { c.awaitReady(ctx) })
		<-proc.Done()
		cancel()
		wait.Wait()
		r.exit = proc.Exit()
	}
	r.lived = time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	r.ready = c.ready
	c.proc, c.ready = nil, false
	c.lastExit = r.String()
	if c.stopping {
		return r, false
	}
	c.restarts++
	return r, true
}

// awaitReady asks until the child answers or its run is over.
func (c *child) awaitReady(ctx context.Context) {
	pause := 5 * time.Millisecond
	for !c.answers() {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
	select {
	case <-c.everReady:
	default:
		close(c.everReady)
	}
}

// stop sends the signal and lets the child stay down. The channel is closed
// when it has ended; it already is when it was not running. A second call
// sends a second signal.
func (c *child) stop(sig syscall.Signal) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopping {
		c.stopping = true
		close(c.stopped)
	}
	if c.proc != nil {
		if err := c.proc.Signal(sig); err != nil {
			c.log.Warn("cannot signal child", "child", c.name, "signal", sig.String(), "error", err)
		}
	}
	return c.over
}

func (c *child) status() initctl.Child {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := initctl.Child{Name: c.name, Restarts: c.restarts, Ready: c.ready, LastExit: c.lastExit}
	if c.proc != nil {
		s.Pid = c.proc.Pid()
	}
	return s
}

// wasReady says whether the child has answered in this boot.
func (c *child) wasReady() bool {
	select {
	case <-c.everReady:
		return true
	default:
		return false
	}
}

// waitReady returns once the child has answered, or after patience with an
// error that says how it has fared.
func (c *child) waitReady(patience time.Duration) error {
	select {
	case <-c.everReady:
		return nil
	case <-time.After(patience):
	}
	s := c.status()
	if s.LastExit == "" {
		return fmt.Errorf("%s does not answer after %s", c.name, patience)
	}
	return fmt.Errorf("%s does not answer after %s and %d restarts; its last run ended with: %s",
		c.name, patience, s.Restarts, s.LastExit)
}

// accepts is an answers function for a program with a unix socket.
func accepts(socket string) func() bool {
	return func() bool {
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}
}

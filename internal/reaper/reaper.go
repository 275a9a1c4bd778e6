// Package reaper is the one place that waits for children.
//
// PID 1 inherits every orphan of the machine and must wait for all of them,
// with wait4(-1). Whoever waits so takes the exit status of every child, also
// of those that somebody else in the same program is waiting for; so nobody
// else may wait: a program with a Reaper starts its children through it and
// uses os/exec for none.
//
// It restarts nothing and knows no services. Children that it did not start
// are reaped and forgotten.
package reaper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputBytes is how much of a command's output Output keeps: the end of it,
// where programs say why they failed.
const outputBytes = 64 << 10

// leftoverTime is how long Output goes on reading after the command has ended,
// for the case that it left a grandchild behind which holds the pipe open.
const leftoverTime = time.Second

// Command is what to start. Only Path and Args must be set.
type Command struct {
	Path  string   // file to execute; no search in PATH
	Args  []string // with the program's name as the first
	Env   []string // nil: empty, not the parent's
	Dir   string
	Files []*os.File // its descriptors 0, 1, 2, …; nil entries and missing ones are closed
	Sys   *syscall.SysProcAttr
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // 128+n after signal n, as a shell says it
	Signal syscall.Signal // 0: it ended by itself
}

func (e Exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("killed by %s", unix.SignalName(e.Signal))
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Process is a started child.
type Process struct {
	pid  int
	proc *os.Process
	done chan struct{}
	exit Exit // valid once done is closed
}

// Pid is its process id. It may belong to another process once Done is closed.
func (p *Process) Pid() int { return p.pid }

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how the process ended. It may be called once Done is closed.
func (p *Process) Exit() Exit { return p.exit }

// Signal sends a signal. A process that has ended is no error, and a process
// that got the same pid later is never hit: the kernel is asked by pidfd.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	err := p.proc.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Reaper waits for all children. The zero value is not usable; see New.
type Reaper struct {
	// mu is held from before a child exists until it is registered, and while
	// reaping: without it a short-lived child could be reaped before anybody
	// knows its pid.
	mu       sync.Mutex
	children map[int]*Process
	wake     chan os.Signal
}

// New returns a Reaper that already listens for SIGCHLD. Nothing is reaped
// until Run runs.
func New() *Reaper {
	r := &Reaper{children: map[int]*Process{}, wake: make(chan os.Signal, 1)}
	signal.Notify(r.wake, unix.SIGCHLD)
	return r
}

// Run reaps until the context ends. It must run exactly once at a time.
func (r *Reaper) Run(ctx context.Context) {
	for {
		r.reap()
		select {
		case <-r.wake: // one wake-up may stand for many children
		case <-ctx.Done():
			signal.Stop(r.wake)
			return
		}
	}
}

func (r *Reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 { // ECHILD: no children; 0: none has ended
			return
		}
		p, ours := r.children[pid]
		if !ours {
			continue
		}
		delete(r.children, pid)
		p.exit = Exit{Code: status.ExitStatus()}
		if status.Signaled() {
			p.exit = Exit{Code: 128 + int(status.Signal()), Signal: status.Signal()}
		}
		close(p.done)
	}
}

// Start starts a child and registers it, so that its exit status reaches the
// returned Process however soon it ends.
func (r *Reaper) Start(c Command) (*Process, error) {
	env := c.Env
	if env == nil {
		env = []string{} // nil would mean the parent's
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	proc, err := os.StartProcess(c.Path, c.Args, &os.ProcAttr{Dir: c.Dir, Env: env, Files: c.Files, Sys: c.Sys})
	if err != nil {
		return nil, fmt.Errorf("cannot start %q: %w", c.Path, err)
	}
	p := &Process{pid: proc.Pid, proc: proc, done: make(chan struct{})}
	r.children[p.pid] = p
	return p, nil
}

// Output runs a command to its end and returns the end of what it wrote to
// stdout and stderr, at most 64 KiB, and its exit code. Standard input is
// empty. The error is for a command that could not run or that the context
// cut short; an exit code other than 0 is none.
//
// When the context ends, the command and what it started in its process group
// are killed.
func (r *Reaper) Output(ctx context.Context, c Command) ([]byte, int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, -1, err
	}
	defer null.Close()
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, -1, err
	}
	defer pr.Close()

	sys := syscall.SysProcAttr{}
	if c.Sys != nil {
		sys = *c.Sys
	}
	sys.Setpgid = true
	c.Sys = &sys
	c.Files = []*os.File{null, pw, pw}
	p, err := r.Start(c)
	pw.Close()
	if err != nil {
		return nil, -1, err
	}

	kept := make(chan []byte, 1)
	go func() { kept <- readEnd(pr, outputBytes) }()

	select {
	case <-p.Done():
	case <-ctx.Done():
		// The group has the pid of its leader, which is not reaped yet or was
		// just now; a new group of the same id in that moment is not possible
		// while anyone of the old one lives.
		if err := unix.Kill(-p.pid, unix.SIGKILL); err != nil {
			_ = p.Signal(unix.SIGKILL)
		}
		<-p.Done()
	}
	_ = pr.SetReadDeadline(time.Now().Add(leftoverTime))
	out := <-kept
	if err := ctx.Err(); err != nil && p.exit.Signal == unix.SIGKILL {
		return out, p.exit.Code, fmt.Errorf("cannot finish %q: %w", c.Path, err)
	}
	return out, p.exit.Code, nil
}

// readEnd reads to the end and returns the last max bytes.
func readEnd(r io.Reader, max int) []byte {
	var kept bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		kept.Write(buf[:n])
		if over := kept.Len() - max; over > 0 {
			kept.Next(over)
		}
		if err != nil {
			return kept.Bytes()
		}
	}
}

package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/rosteros/ros/internal/supervise"
)

const (
	// probeID is the name of the process that Exec runs. There is one at a
	// time, so one name does; a probe that a dead rosd has left behind is
	// found and removed by the next one.
	probeID = "probe"

	probeOutput = 4 << 10 // bytes of output kept

	// probeEnd bounds what comes after the timeout of a probe: killing it,
	// waiting for that, and deleting it.
	probeEnd = 5 * time.Second
)

// Exec implements supervise.Task. Probes of one task run one after the other.
// A probe that takes longer than timeout is killed with what it has started, and
// what it has written until then is returned with the error.
func (t *task) Exec(ctx context.Context, argv []string, timeout time.Duration) (exitCode int, output string, err error) {
	t.probe.Lock()
	defer t.probe.Unlock()
	code, out, err := t.runProbe(ctx, argv, timeout)
	if err != nil {
		return -1, out, fmt.Errorf("cannot run %q in service %q: %w", argv, t.id, err)
	}
	return code, out, nil
}

func (t *task) runProbe(ctx context.Context, argv []string, timeout time.Duration) (code int, output string, err error) {
	pipe, err := openPipe(filepath.Join(t.r.dir(t.id), probeID))
	if err != nil {
		return 0, "", err
	}
	defer func() { output = pipe.close() }()

	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	process := *t.process
	process.Args, process.Terminal, process.ConsoleSize = argv, false, nil
	spec, err := anyJSON("Process", &process)
	if err != nil {
		return 0, "", err
	}
	request := &tasksapi.ExecProcessRequest{
		ContainerID: t.id, ExecID: probeID, Spec: spec, Stdout: pipe.path, Stderr: pipe.path,
	}
	_, err = t.r.tasks.Exec(bounded, request)
	if isAlreadyExists(err) {
		t.endProbe(ctx, 0)
		_, err = t.r.tasks.Exec(bounded, request)
	}
	if err != nil {
		return 0, "", afterTimeout(bounded, timeout, err)
	}
	pid := 0
	defer func() { t.endProbe(ctx, pid) }()
	started, err := t.r.tasks.Start(bounded, &tasksapi.StartRequest{ContainerID: t.id, ExecID: probeID})
	if err != nil {
		return 0, "", afterTimeout(bounded, timeout, err)
	}
	pid = int(started.GetPid())
	exit, err := t.r.tasks.Wait(bounded, &tasksapi.WaitRequest{ContainerID: t.id, ExecID: probeID})
	if err != nil {
		return 0, "", afterTimeout(bounded, timeout, err)
	}
	pid = 0 // it has ended; the number may belong to another process
	return int(exit.GetExitStatus()), "", nil
}

// afterTimeout says in the user's words that the probe was too slow. That
// containerd did not answer in that time says nothing about the service.
//
// containerd is told the deadline too and may give up a moment before our own
// clock says so; nobody else ends a call while its context goes on.
func afterTimeout(bounded context.Context, timeout time.Duration, err error) error {
	late := errors.Is(bounded.Err(), context.DeadlineExceeded)
	givenUp := bounded.Err() == nil && (hasCode(err, codes.Canceled) || hasCode(err, codes.DeadlineExceeded))
	if (late || givenUp) && !supervise.IsDown(err) {
		return fmt.Errorf("no end after %s", timeout)
	}
	return err
}

// endProbe deletes the probe, and kills it before if it still runs. pid is 0
// when it is known to have ended or was not started by us. The caller's
// context may have ended, so it does not bound this.
func (t *task) endProbe(ctx context.Context, pid int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeEnd)
	defer cancel()
	remove := func() error {
		_, err := t.r.tasks.DeleteProcess(ctx, &tasksapi.DeleteProcessRequest{ContainerID: t.id, ExecID: probeID})
		return err
	}
	if pid > 0 {
		killTree(pid)
	}
	err := remove()
	if err == nil || isNotFound(err) {
		return
	}
	// It still runs (or has not been reaped): kill, wait, delete.
	_, _ = t.r.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: t.id, ExecID: probeID, Signal: uint32(unix.SIGKILL)})
	_, _ = t.r.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: t.id, ExecID: probeID})
	if err := remove(); err != nil && !isNotFound(err) && ctx.Err() == nil {
		t.r.opts.Log.Warn("cannot delete a probe", "service", t.id, "error", err)
	}
}

// killTree kills a process and what it has started. A shell alone would leave
// the command behind that it waits for, and that command would keep the
// probe's output open.
func killTree(pid int) {
	children := map[int][]int{}
	for _, p := range processes() {
		if fields, err := statFields(p); err == nil {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], p)
		}
	}
	var kill func(int)
	kill = func(p int) {
		_ = unix.Kill(p, unix.SIGKILL) // gone already: as wanted
		for _, c := range children[p] {
			kill(c)
		}
	}
	kill(pid)
}

// pipe is a fifo and the goroutine that keeps the last bytes of what comes
// out of it.
type pipe struct {
	path string
	file *os.File
	done chan struct{}
	kept []byte // the goroutine's until done is closed
}

// openPipe makes a fifo at path, in place of one that is there.
func openPipe(path string) (*pipe, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	// Open for writing too: there is no end of file then before the shim has
	// come, and no waiting for it. Non-blocking makes the file pollable.
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	p := &pipe{path: path, file: f, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		buf := make([]byte, 8<<10)
		for {
			n, err := f.Read(buf)
			p.keep(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	return p, nil
}

func (p *pipe) keep(b []byte) {
	p.kept = append(p.kept, b...)
	if over := len(p.kept) - probeOutput; over > 0 {
		p.kept = append(p.kept[:0], p.kept[over:]...)
	}
}

// close removes the fifo and returns the last of what was written to it.
func (p *pipe) close() string {
	_ = p.file.SetReadDeadline(time.Unix(1, 0)) // ends the goroutine's Read
	<-p.done
	p.drain()
	_ = p.file.Close()
	_ = os.Remove(p.path)
	return string(p.kept)
}

// drain takes what the goroutine had not read yet: a deadline in the past ends
// Read before it looks.
func (p *pipe) drain() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 8<<10)
	_ = raw.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if n <= 0 || err != nil {
				return
			}
			p.keep(buf[:n])
		}
	})
}

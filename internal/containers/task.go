package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/moby/sys/signal"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/supervise"
)

// exitUnknown is the exit code when the shim died and took it along.
const exitUnknown = 255

// rewatch is the pause before a wait that failed is tried again.
const rewatch = 50 * time.Millisecond

// task is one started container.
type task struct {
	r       *Runtime
	id      string // of the container, and name of the service
	pid     int
	started time.Time
	hash    string
	process *specs.Process // of the main process, for Exec

	exited chan struct{}
	code   int // set before exited is closed

	probe sync.Mutex // held by Exec
}

var _ supervise.Task = (*task)(nil)

func (t *task) Pid() int                { return t.pid }
func (t *task) StartedAt() time.Time    { return t.started }
func (t *task) Hash() string            { return t.hash }
func (t *task) Exited() <-chan struct{} { return t.exited }

func (t *task) ExitCode() int {
	select {
	case <-t.exited:
		return t.code
	default:
		return 0
	}
}

func adoptable(s tasktypes.Status) bool {
	return s != tasktypes.Status_CREATED
}

// adopt makes a task of one that an earlier rosd has started.
func (r *Runtime) adopt(record *containersapi.Container, p *tasktypes.Process) (*task, error) {
	var spec specs.Spec
	if err := json.Unmarshal(record.GetSpec().GetValue(), &spec); err != nil {
		return nil, fmt.Errorf("spec of its container: %w", err)
	}
	if spec.Process == nil {
		return nil, fmt.Errorf("spec of its container has no process")
	}
	t := &task{
		r:       r,
		id:      record.GetID(),
		pid:     int(p.GetPid()),
		hash:    record.GetLabels()[labelHash],
		process: spec.Process,
		exited:  make(chan struct{}),
	}
	// The kernel's word first: the clock may have been set since the record
	// was written.
	var err error
	if t.started, err = processStart(t.pid); err != nil {
		t.started = record.GetUpdatedAt().AsTime()
	}
	if p.GetStatus() == tasktypes.Status_STOPPED {
		t.code = int(p.GetExitStatus())
		close(t.exited)
		return t, nil
	}
	r.wg.Go(t.watch)
	return t, nil
}

// processStart is when a process began, by the clock as it is set now.
func processStart(pid int) (time.Time, error) {
	fields, err := statFields(pid)
	if err != nil {
		return time.Time{}, err
	}
	// In clock ticks since boot, 100 a second on every architecture.
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("stat of process %d: %w", pid, err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Time{}, err
	}
	age := time.Duration(now.Nano()) - time.Duration(ticks)*10*time.Millisecond
	return time.Now().Add(-age), nil
}

// statFields are the fields of /proc/<pid>/stat from the third on: 0 is the
// state, 1 the parent, 19 the start. See proc_pid_stat(5).
func statFields(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The second field, the name, may contain spaces and brackets.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("stat of process %d is too short", pid)
	}
	return fields, nil
}

// watch closes exited when the process has ended, or returns with it open
// when the Runtime is closed.
func (t *task) watch() {
	code, ok := t.await(t.r.ctx)
	if !ok {
		return
	}
	t.code = code
	close(t.exited)
}

// await asks containerd for the exit code until there is an answer. ok is
// false when ctx has ended first.
func (t *task) await(ctx context.Context) (code int, ok bool) {
	for {
		exit, err := t.r.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: t.id})
		if err == nil {
			return int(exit.GetExitStatus()), true
		}
		// The end of containerd, of the shim and of the connection all look
		// alike here; whether there still is a task tells them apart.
		got, err := t.r.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: t.id})
		switch {
		case err == nil && got.GetProcess().GetStatus() == tasktypes.Status_STOPPED:
			return int(got.GetProcess().GetExitStatus()), true
		case isNotFound(err) && t.bury(ctx):
			return exitUnknown, true
		}
		select {
		case <-ctx.Done():
			return 0, false
		case <-time.After(rewatch):
		}
	}
}

// bury sees to it that nothing of a task whose shim died is left: the service
// counts as ended, so it must not run on in the dark. It returns false when
// that could not be found out.
func (t *task) bury(ctx context.Context) bool {
	err := t.r.removeTask(ctx, t.id)
	if supervise.IsDown(err) || ctx.Err() != nil {
		return false
	}
	t.r.opts.Log.Warn("the shim of a service died", "service", t.id)
	if err != nil {
		t.r.opts.Log.Warn("cannot remove what is left of a service", "service", t.id, "error", err)
	}
	return true
}

// Signal implements supervise.Task. A process that has ended already is no
// error.
func (t *task) Signal(ctx context.Context, name string, all bool) error {
	sig, err := signal.ParseSignal(name)
	if err != nil {
		return fmt.Errorf("cannot signal service %q: %q is not a signal", t.id, name)
	}
	_, err = t.r.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: t.id, Signal: uint32(sig), All: all})
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("cannot signal service %q: %w", t.id, err)
	}
	return nil
}

// Delete implements supervise.Task.
func (t *task) Delete(ctx context.Context) error {
	if err := t.r.remove(ctx, t.id); err != nil {
		return fmt.Errorf("cannot remove the container of service %q: %w", t.id, err)
	}
	return nil
}

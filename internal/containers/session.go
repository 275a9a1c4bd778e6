package containers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Command is a program to run in a container that runs already.
type Command struct {
	Args       []string `json:"args"`
	Env        []string `json:"env,omitempty"`  // more of it
	User       string   `json:"user,omitempty"` // "": the container's
	WorkingDir string   `json:"working_dir,omitempty"`
	Terminal   bool     `json:"terminal,omitempty"`
	Input      bool     `json:"input,omitempty"` // it has standard input
	// Rows and Columns are those of the terminal when the program starts; 0: not
	// known. A program may ask for them before anybody resizes.
	Rows    uint16 `json:"rows,omitempty"`
	Columns uint16 `json:"columns,omitempty"`
}

// Session is a process with somebody in front of it.
type Session struct {
	Input  io.WriteCloser // nil: none
	Output io.Reader
	Errors io.Reader // nil with a terminal

	r         *Runtime
	container string
	exec      string // "": the main process
	stdio     *stdio
}

// drainTime is how long output may come after the process has ended: what it
// has started may hold the pipe open for ever.
const drainTime = 2 * time.Second

// Exec runs a program in a running container. ctx bounds the start only.
func (r *Runtime) Exec(ctx context.Context, container string, c Command) (*Session, error) {
	s, err := r.session(ctx, container, c)
	if err != nil {
		return nil, fmt.Errorf("cannot run %q in %q: %w", c.Args, container, err)
	}
	return s, nil
}

// Identity is who runs a program, whatever the tables of the container say.
type Identity struct {
	UID, GID int
	Groups   []int
}

// ExecAs is Exec as somebody who is known by numbers.
func (r *Runtime) ExecAs(ctx context.Context, container string, c Command, as Identity) (*Session, error) {
	c.User = ""
	s, err := r.sessionAs(ctx, container, c, &as)
	if err != nil {
		return nil, fmt.Errorf("cannot run %q in %q: %w", c.Args, container, err)
	}
	return s, nil
}

func (r *Runtime) session(ctx context.Context, container string, c Command) (*Session, error) {
	return r.sessionAs(ctx, container, c, nil)
}

func (r *Runtime) sessionAs(ctx context.Context, container string, c Command, as *Identity) (_ *Session, err error) {
	if len(c.Args) == 0 {
		return nil, errors.New("no program is named")
	}
	process, err := r.processFor(ctx, container, c)
	if err != nil {
		return nil, err
	}
	if as != nil {
		be(process, as.UID, as.GID, as.Groups)
	}
	spec, err := anyJSON("Process", process)
	if err != nil {
		return nil, err
	}
	id := "exec-" + strings.ToLower(rand.Text()[:12])
	pipes, err := openStdio(r.ctx, filepath.Join(r.dir(container), id), c.Input, c.Terminal)
	if err != nil {
		return nil, err
	}
	s := newSession(r, container, id, pipes)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	request := &tasksapi.ExecProcessRequest{ContainerID: container, ExecID: id, Terminal: c.Terminal, Spec: spec}
	request.Stdin, request.Stdout, request.Stderr = pipes.paths()
	if _, err := r.tasks.Exec(ctx, request); err != nil {
		return nil, err
	}
	_, err = r.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: container, ExecID: id})
	return s, err
}

func newSession(r *Runtime, container, exec string, pipes *stdio) *Session {
	s := &Session{r: r, container: container, exec: exec, stdio: pipes, Output: pipes.output}
	if pipes.input != nil {
		s.Input = pipes.input
	}
	if pipes.errors != nil {
		s.Errors = pipes.errors
	}
	return s
}

// processFor is the process of a container's record with other arguments.
func (r *Runtime) processFor(ctx context.Context, container string, c Command) (*specs.Process, error) {
	task, err := r.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: container})
	if isNotFound(err) || err == nil && task.GetProcess().GetStatus() != tasktypes.Status_RUNNING {
		return nil, errors.New("it is not running")
	}
	if err != nil {
		return nil, err
	}
	record, err := r.containers.Get(ctx, &containersapi.GetContainerRequest{ID: container})
	if err != nil {
		return nil, err
	}
	var spec specs.Spec
	if err := json.Unmarshal(record.GetContainer().GetSpec().GetValue(), &spec); err != nil || spec.Process == nil {
		return nil, fmt.Errorf("the spec of its container has no process (%w)", err)
	}
	p := spec.Process
	p.Args, p.Terminal, p.ConsoleSize = c.Args, c.Terminal, nil
	p.Cwd = firstOf(c.WorkingDir, p.Cwd)
	if c.Terminal {
		p.Env = append(p.Env, "TERM=xterm")
		if c.Rows > 0 && c.Columns > 0 {
			p.ConsoleSize = &specs.Box{Height: uint(c.Rows), Width: uint(c.Columns)}
		}
	}
	p.Env = append(p.Env, c.Env...)
	if c.User != "" {
		return p, become(p, c.User, filepath.Join("/proc", fmt.Sprint(task.GetProcess().GetPid()), "root"))
	}
	return p, nil
}

// become makes a process one of another user, who is looked up in the files of
// the container as they are now.
func become(p *specs.Process, name, root string) error {
	read := func(path string) ([]byte, error) {
		b, err := readInRoot(root, path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return b, err
	}
	passwd, err := read("etc/passwd")
	if err != nil {
		return err
	}
	group, err := read("etc/group")
	if err != nil {
		return err
	}
	u, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return fmt.Errorf("user %q: %w", name, err)
	}
	be(p, u.Uid, u.Gid, append([]int{u.Gid}, u.Sgids...))
	p.Env = append(p.Env, "HOME="+u.Home)
	return nil
}

// be gives a process its numbers, and root all rights of the container.
func be(p *specs.Process, uid, gid int, groups []int) {
	p.User = specs.User{UID: uint32(uid), GID: uint32(gid)}
	for _, g := range groups {
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(g))
	}
	if caps := p.Capabilities; caps != nil {
		caps.Effective, caps.Permitted, caps.Ambient, caps.Inheritable = nil, nil, nil, nil
		if uid == 0 {
			caps.Effective, caps.Permitted = slices.Clone(caps.Bounding), slices.Clone(caps.Bounding)
		}
	}
}

// Resize sets the size of the terminal.
func (s *Session) Resize(ctx context.Context, rows, columns uint16) error {
	_, err := s.r.tasks.ResizePty(ctx, &tasksapi.ResizePtyRequest{
		ContainerID: s.container, ExecID: s.exec, Width: uint32(columns), Height: uint32(rows),
	})
	return err
}

// EndInput tells the process that there is no more input.
func (s *Session) EndInput(ctx context.Context) error {
	switch {
	case s.Input == nil:
		return nil
	case s.Errors == nil:
		// Closing a terminal hangs up; its own way to say so is Ctrl-D.
		_, err := s.Input.Write([]byte{4})
		return err
	}
	_ = s.Input.Close()
	// The shim keeps an end of its own open.
	_, err := s.r.tasks.CloseIO(ctx, &tasksapi.CloseIORequest{ContainerID: s.container, ExecID: s.exec, Stdin: true})
	return err
}

// HangUp tells the process that nobody sits in front of it any more.
func (s *Session) HangUp(ctx context.Context) error {
	_, err := s.r.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: s.container, ExecID: s.exec, Signal: uint32(unix.SIGHUP)})
	return err
}

// Wait returns the exit code when the process has ended.
func (s *Session) Wait(ctx context.Context) (int, error) {
	exit, err := s.r.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: s.container, ExecID: s.exec})
	if err != nil {
		return exitUnknown, err
	}
	return int(exit.GetExitStatus()), nil
}

// Drained waits until copied is closed, but not for ever: then the output ends
// here.
func (s *Session) Drained(copied <-chan struct{}) {
	select {
	case <-copied:
	case <-time.After(drainTime):
		_ = s.stdio.output.Close()
		if s.stdio.errors != nil {
			_ = s.stdio.errors.Close()
		}
		<-copied
	}
}

// Close ends the session. A process of Exec that still runs is killed.
func (s *Session) Close() {
	if s.exec != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.r.ctx), probeEnd)
		defer cancel()
		_, err := s.r.tasks.DeleteProcess(ctx, &tasksapi.DeleteProcessRequest{ContainerID: s.container, ExecID: s.exec})
		if err != nil && !isNotFound(err) {
			_, _ = s.r.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: s.container, ExecID: s.exec, Signal: uint32(unix.SIGKILL)})
			_, _ = s.r.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: s.container, ExecID: s.exec})
			_, _ = s.r.tasks.DeleteProcess(ctx, &tasksapi.DeleteProcessRequest{ContainerID: s.container, ExecID: s.exec})
		}
	}
	_ = s.stdio.close()
}

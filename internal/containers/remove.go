package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	// cleanupTimeout bounds what is done after a failure or a cancelled
	// context.
	cleanupTimeout = 10 * time.Second

	// retryPause is between two looks at something that is about to go away.
	retryPause = 5 * time.Millisecond
)

// Remove implements supervise.Runtime.
func (r *Runtime) Remove(ctx context.Context, svc compose.Service) error {
	err := r.remove(ctx, svc.Name)
	if err == nil {
		err = os.RemoveAll(r.lastingDir(svc.Name))
	}
	if err != nil {
		return fmt.Errorf("cannot remove the container of service %q: %w", svc.Name, err)
	}
	return nil
}

// remove leaves a writable layer that stays.
func (r *Runtime) remove(ctx context.Context, service string) error {
	_, err := r.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: service})
	if err != nil && !isNotFound(err) {
		return err
	}
	_, err = r.containers.Delete(ctx, &containersapi.DeleteContainerRequest{ID: service})
	if err != nil && !isNotFound(err) {
		return err
	}
	if r.opts.Networks != nil {
		if err := r.opts.Networks.Detach(service); err != nil {
			return err
		}
	}
	return os.RemoveAll(r.dir(service))
}

// clean removes what a failed start has made. The caller's context may be the
// reason of the failure, so it does not bound this.
func (r *Runtime) clean(ctx context.Context, service string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	err := r.removeTask(ctx, service)
	if err == nil {
		err = r.remove(ctx, service)
	}
	// When containerd is down, the next Start finds and removes the rest.
	if err != nil && !supervise.IsDown(err) {
		r.opts.Log.Warn("cannot clean up after a failed start", "service", service, "error", err)
	}
}

// removeTask kills and deletes whatever runs under the name of a service,
// also what containerd does not know of. When it returns nil, no process of
// the service is left and nothing is in the way of the next one.
func (r *Runtime) removeTask(ctx context.Context, service string) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()

	_, err := r.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: service, Signal: uint32(unix.SIGKILL), All: true})
	if err == nil {
		_, _ = r.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: service}) // Delete says what is wrong
	}
	_, err = r.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: service})
	if supervise.IsDown(err) {
		return err
	}
	if err != nil && !isNotFound(err) || exists(r.runtimeState(service)) {
		if err := r.removeOrphan(ctx, service); err != nil {
			return err
		}
	}
	return r.endCgroup(ctx, service)
}

// removeOrphan removes a task that containerd cannot remove, or does not know
// of: its shim died, or containerd lost its database. A shim that lives on
// would be given the next task of that name and refuse it.
func (r *Runtime) removeOrphan(ctx context.Context, service string) error {
	r.killShim(service)
	// If containerd knows the shim, it now cleans up after it.
	for {
		_, err := r.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: service})
		if err == nil || isNotFound(err) {
			break
		}
		if supervise.IsDown(err) || pause(ctx) != nil {
			return err
		}
	}
	state := r.runtimeState(service)
	if !exists(state) {
		return nil
	}
	cmd := exec.CommandContext(ctx, r.opts.Runtime, "--root", filepath.Dir(state), "delete", "--force", service)
	out, err := cmd.CombinedOutput()
	if err != nil && exists(state) {
		return fmt.Errorf("%s delete: %w: %s", filepath.Base(r.opts.Runtime), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// runtimeState is where the OCI runtime keeps what it knows of a container.
func (r *Runtime) runtimeState(service string) string {
	return filepath.Join(r.opts.RuntimeRoot, r.opts.Namespace, service)
}

// killShim kills the shim of a service, if there is one.
func (r *Runtime) killShim(service string) {
	for _, pid := range processes() {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		args := strings.Split(string(cmdline), "\x00")
		if strings.HasPrefix(filepath.Base(args[0]), "containerd-shim") && option(args, "-id") == service &&
			option(args, "-namespace") == r.opts.Namespace && option(args, "-address") == r.opts.Socket {
			r.opts.Log.Warn("killing a shim that nobody owns", "service", service, "pid", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// option is the word after name.
func option(args []string, name string) string {
	for i, a := range args[:len(args)-1] {
		if a == name {
			return args[i+1]
		}
	}
	return ""
}

// processes are the pids of this machine.
func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// pause waits a moment; it returns the context's error when that has ended.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(retryPause):
		return nil
	}
}

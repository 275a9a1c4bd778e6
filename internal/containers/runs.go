package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/moby/sys/signal"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// A container that somebody makes by hand is no service: nobody starts it
// again. What it is made from is in its record, so it can be started again by
// hand, also after a reboot; what it writes to its root file system stays until
// it is removed.

// Labels of such a container's record.
const (
	labelRun      = "ros.run"
	labelRemove   = "ros.run.remove"   // it is removed when it ends
	labelExit     = "ros.run.exit"     // exit code of the last run
	labelFinished = "ros.run.finished" // when that ended
	extensionRun  = "ros.run"          // the compose.Service, JSON
)

const startAttempts = 5

// ErrNoContainer says that there is no container of a name that was made by
// hand.
var ErrNoContainer = errors.New("no such container")

// Run makes a container and starts it. With attach it has no log but a session;
// remove removes it when it ends.
func (r *Runtime) Run(ctx context.Context, svc compose.Service, attach, input, remove bool) (*Session, error) {
	s, err := r.run(ctx, svc, attach, input, remove)
	if err != nil {
		return nil, fmt.Errorf("cannot run %q: %w", svc.Name, err)
	}
	return s, nil
}

func (r *Runtime) run(ctx context.Context, svc compose.Service, attach, input, remove bool) (*Session, error) {
	_, err := r.containers.Get(ctx, &containersapi.GetContainerRequest{ID: svc.Name})
	if err == nil {
		return nil, errors.New("a container of that name exists")
	}
	if !isNotFound(err) {
		return nil, err
	}
	svc.Persistent = true
	return r.runAgain(ctx, svc, attach, input, remove)
}

// runAgain starts a container, whose record may be there.
func (r *Runtime) runAgain(ctx context.Context, svc compose.Service, attach, input, remove bool) (_ *Session, err error) {
	text, err := json.Marshal(svc)
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	as := made{
		labels:     map[string]string{labelRun: "true"},
		extensions: map[string]*anypb.Any{extensionRun: {TypeUrl: extensionRun, Value: text}},
	}
	if remove {
		as.labels[labelRemove] = "true"
	}
	var session *Session
	if attach {
		// Not below the folder of the container: that is made anew.
		if as.stdio, err = openStdio(r.ctx, filepath.Join(r.opts.RunDir, ".attached", svc.Name), input, svc.TTY); err != nil {
			return nil, err
		}
		session = newSession(r, svc.Name, "", as.stdio)
		defer func() {
			if err != nil {
				session.Close()
			}
		}()
	}
	t, err := r.startAs(ctx, svc, as)
	if err != nil {
		return nil, err
	}
	r.wg.Go(func() { r.tend(t, remove) })
	return session, nil
}

// StartRun starts a container again that was made by hand and has ended.
func (r *Runtime) StartRun(ctx context.Context, name string) error {
	record, err := r.runRecord(ctx, name)
	if err != nil {
		return fmt.Errorf("cannot start %q: %w", name, err)
	}
	if _, err := r.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: name}); err == nil {
		return nil // it runs
	}
	var svc compose.Service
	if err := json.Unmarshal(record.GetExtensions()[extensionRun].GetValue(), &svc); err != nil {
		return fmt.Errorf("cannot start %q: its record: %w", name, err)
	}
	// containerd may still be busy with what was left of the last run.
	for range startAttempts {
		if _, err = r.runAgain(ctx, svc, false, false, record.GetLabels()[labelRemove] != ""); err == nil || supervise.IsPermanent(err) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(rewatch):
		}
	}
	if err != nil {
		return fmt.Errorf("cannot start %q: %w", name, err)
	}
	return nil
}

// runRecord is the record of a container that was made by hand.
func (r *Runtime) runRecord(ctx context.Context, name string) (*containersapi.Container, error) {
	got, err := r.containers.Get(ctx, &containersapi.GetContainerRequest{ID: name})
	if isNotFound(err) || err == nil && got.GetContainer().GetLabels()[labelRun] == "" {
		return nil, ErrNoContainer
	}
	return got.GetContainer(), err
}

// KillRun sends a signal to a container that was made by hand.
func (r *Runtime) KillRun(ctx context.Context, name, sig string) error {
	if _, err := r.runRecord(ctx, name); err != nil {
		return fmt.Errorf("cannot signal %q: %w", name, err)
	}
	n, err := signal.ParseSignal(sig)
	if err != nil {
		return fmt.Errorf("cannot signal %q: %q is not a signal", name, sig)
	}
	_, err = r.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: name, Signal: uint32(n)})
	if isNotFound(err) {
		err = errors.New("it is not running")
	}
	if err != nil {
		return fmt.Errorf("cannot signal %q: %w", name, err)
	}
	return nil
}

// StopRun ends a container that was made by hand: by its signal, and by SIGKILL
// when it has not ended after grace; less than 0 is the time it was made with.
func (r *Runtime) StopRun(ctx context.Context, name string, grace time.Duration) error {
	record, err := r.runRecord(ctx, name)
	if err != nil {
		return fmt.Errorf("cannot stop %q: %w", name, err)
	}
	svc := compose.Service{StopSignal: "SIGTERM", StopGracePeriod: 10 * time.Second}
	_ = json.Unmarshal(record.GetExtensions()[extensionRun].GetValue(), &svc)
	if grace < 0 {
		grace = svc.StopGracePeriod
	}
	if _, err := r.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: name}); isNotFound(err) {
		return nil
	}
	if err := r.KillRun(ctx, name, firstOf(svc.StopSignal, "SIGTERM")); err != nil {
		return err
	}
	for _, wait := range []time.Duration{grace, cleanupTimeout} {
		bounded, cancel := context.WithTimeout(ctx, wait)
		_, err = r.tasks.Wait(bounded, &tasksapi.WaitRequest{ContainerID: name})
		cancel()
		if err == nil || isNotFound(err) {
			r.awaitEnding(ctx, name)
			return nil
		}
		_, _ = r.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: name, Signal: 9, All: true})
	}
	return fmt.Errorf("cannot stop %q: %w", name, err)
}

// awaitEnding waits until it is written down how a container has ended, for
// those who look at once.
func (r *Runtime) awaitEnding(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	for {
		record, err := r.runRecord(ctx, name)
		if err != nil || record.GetLabels()[labelFinished] != "" || pause(ctx) != nil {
			return
		}
	}
}

// RemoveRun removes a container that was made by hand, with what it has
// written. One that runs is refused without force.
func (r *Runtime) RemoveRun(ctx context.Context, name string, force bool) error {
	if _, err := r.runRecord(ctx, name); err != nil {
		return fmt.Errorf("cannot remove %q: %w", name, err)
	}
	if _, err := r.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: name}); err == nil {
		if !force {
			return fmt.Errorf("cannot remove %q: it is running; stop it first", name)
		}
		if err := r.removeTask(ctx, name); err != nil {
			return fmt.Errorf("cannot remove %q: %w", name, err)
		}
	}
	return r.Remove(ctx, compose.Service{Name: name})
}

// tend waits for the end of a container that was made by hand and writes down
// how it ended. Its shim must not stay for it.
func (r *Runtime) tend(t *task, remove bool) {
	select {
	case <-t.exited:
	case <-r.ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, cleanupTimeout)
	defer cancel()
	if remove {
		if err := r.Remove(ctx, compose.Service{Name: t.id}); err != nil {
			r.opts.Log.Warn("cannot remove a container that has ended", "container", t.id, "error", err)
		}
		return
	}
	_, err := r.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: t.id})
	if err == nil || isNotFound(err) {
		_, err = r.containers.Update(ctx, &containersapi.UpdateContainerRequest{
			Container: &containersapi.Container{ID: t.id, Labels: map[string]string{
				labelExit: strconv.Itoa(t.code), labelFinished: time.Now().Format(time.RFC3339),
			}},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels." + labelExit, "labels." + labelFinished}},
		})
	}
	if err != nil && !isNotFound(err) {
		r.opts.Log.Warn("cannot write down how a container has ended", "container", t.id, "error", err)
	}
}

// TendRuns looks after the containers that were made by hand while another rosd
// ran.
func (r *Runtime) TendRuns(ctx context.Context) error {
	list, err := r.containers.List(ctx, &containersapi.ListContainersRequest{})
	if err != nil {
		return fmt.Errorf("cannot list the containers: %w", err)
	}
	for _, record := range list.GetContainers() {
		if record.GetLabels()[labelRun] == "" {
			continue
		}
		remove := record.GetLabels()[labelRemove] != ""
		got, err := r.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: record.GetID()})
		switch {
		case isNotFound(err) && remove: // the machine went down under it
			err = r.Remove(ctx, compose.Service{Name: record.GetID()})
		case isNotFound(err):
			err = nil
		case err == nil:
			var t *task
			if t, err = r.adopt(record, got.GetProcess()); err == nil {
				r.wg.Go(func() { r.tend(t, remove) })
			}
		}
		if supervise.IsDown(err) {
			return err
		}
		if err != nil {
			r.opts.Log.Warn("cannot look after a container", "container", record.GetID(), "error", err)
		}
	}
	return nil
}

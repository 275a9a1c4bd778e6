package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/servicelog"
	"github.com/rosteros/ros/internal/supervise"
)

// shimRuntime is the shim; containerd finds its binary beside its own.
const shimRuntime = "io.containerd.runc.v2"

// Start implements supervise.Runtime. On a machine that has just booted it
// costs three calls to containerd.
func (r *Runtime) Start(ctx context.Context, svc compose.Service) (supervise.Task, error) {
	t, err := r.start(ctx, svc)
	if err != nil {
		return nil, fmt.Errorf("cannot start service %q: %w", svc.Name, err)
	}
	return t, nil
}

func (r *Runtime) start(ctx context.Context, svc compose.Service) (*task, error) {
	return r.startAs(ctx, svc, made{labels: map[string]string{labelService: svc.Name}})
}

// made is what differs between the container of a service and one that
// somebody makes by hand.
type made struct {
	labels     map[string]string
	extensions map[string]*anypb.Any
	stdio      *stdio // nil: the log
}

func (r *Runtime) startAs(ctx context.Context, svc compose.Service, as made) (_ *task, err error) {
	src, err := r.find(ctx, svc)
	if err == nil {
		err = r.open(ctx, svc.Name, &src)
	}
	if err != nil {
		return nil, err
	}
	defer src.files.Release() // the record keeps them then
	spec, err := Spec(svc, src.Image, r.machine(svc, src))
	if err != nil {
		return nil, supervise.Permanent(err)
	}
	hash, err := definitionHash(svc, src.Image)
	if err != nil {
		return nil, err
	}
	if err := r.prepareSources(svc, src); err != nil {
		return nil, err
	}
	if err := r.prepareShimCgroup(); err != nil {
		return nil, err
	}
	rootfs, err := r.prepareRoot(svc, src)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.clean(ctx, svc.Name)
		}
	}()
	if err := r.writeFiles(svc); err != nil {
		return nil, err
	}
	options, err := r.runtimeOptions()
	if err != nil {
		return nil, err
	}
	if err := r.prepareNetwork(svc); err != nil {
		return nil, err
	}
	if err := r.createRecord(ctx, svc, src, as, spec, options, hash); err != nil {
		return nil, err
	}
	request := &tasksapi.CreateTaskRequest{
		ContainerID: svc.Name,
		Rootfs:      rootfs,
		Terminal:    svc.TTY,
		Stdout:      servicelog.URI(r.opts.InitPath, svc.Name, svc.LogMaxBytes, svc.LogFiles),
		Options:     options,
	}
	if !svc.TTY { // a terminal has one output
		request.Stderr = request.Stdout
	}
	if as.stdio != nil {
		request.Stdin, request.Stdout, request.Stderr = as.stdio.paths()
	}
	pid, err := r.createTask(ctx, request)
	if err != nil {
		return nil, err
	}
	if r.opts.Created != nil {
		r.opts.Created(svc.Name, pid)
	}
	started, err := r.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: svc.Name})
	if err != nil {
		return nil, err
	}
	t := &task{
		r:       r,
		id:      svc.Name,
		pid:     int(started.GetPid()),
		started: time.Now(),
		hash:    hash,
		process: spec.Process,
		exited:  make(chan struct{}),
	}
	r.wg.Go(t.watch)
	return t, nil
}

// prepareNetwork makes the network of a service, or looks whether the one is there
// that it shares.
func (r *Runtime) prepareNetwork(svc compose.Service) error {
	switch of := svc.NetworkOf(); {
	case of == "":
		return nil
	case of == svc.Name:
		return r.opts.Networks.Attach(svc)
	case !exists(r.opts.Networks.Files(of).Netns):
		return supervise.NotYet(fmt.Errorf("the network of %s", of))
	}
	return nil
}

// createRecord writes the container record. A record of an earlier boot or
// run is overwritten, which is one write to the disk instead of two.
func (r *Runtime) createRecord(ctx context.Context, svc compose.Service, src source, as made, spec *specs.Spec, options *anypb.Any, hash string) error {
	encoded, err := anyJSON("Spec", spec)
	if err != nil {
		return err
	}
	record := &containersapi.Container{
		ID:      svc.Name,
		Image:   svc.Image,
		Labels:  map[string]string{labelHash: hash, labelFile: svc.File},
		Runtime: &containersapi.Container_Runtime{Name: shimRuntime, Options: options},
		Spec:    encoded,
	}
	maps.Copy(record.Labels, as.labels)
	record.Extensions = as.extensions
	if src.files.Key != "" {
		record.Labels[imagestore.KeepLabel] = src.files.Key
	}
	_, err = r.containers.Create(ctx, &containersapi.CreateContainerRequest{Container: record})
	if isAlreadyExists(err) {
		_, err = r.containers.Update(ctx, &containersapi.UpdateContainerRequest{
			Container:  record,
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels", "spec", "image", "extensions"}},
		})
	}
	return err
}

// createTask makes the task, after removing a leftover that is in its way, and
// returns the process that waits to become the service's.
func (r *Runtime) createTask(ctx context.Context, request *tasksapi.CreateTaskRequest) (pid int, err error) {
	// State of the OCI runtime that nobody owns is what is left when
	// containerd lost its database, or a shim and containerd died together.
	leftover := exists(r.runtimeState(request.ContainerID))
	var created *tasksapi.CreateTaskResponse
	if !leftover {
		created, err = r.tasks.Create(ctx, request)
		if !isAlreadyExists(err) {
			return int(created.GetPid()), err
		}
	}
	if err := r.removeTask(ctx, request.ContainerID); err != nil {
		return 0, fmt.Errorf("what is left of its last run: %w", err)
	}
	created, err = r.tasks.Create(ctx, request)
	return int(created.GetPid()), err
}

func (r *Runtime) runtimeOptions() (*anypb.Any, error) {
	o := &runcoptions.Options{
		BinaryName: r.opts.Runtime,
		Root:       r.opts.RuntimeRoot,
		ShimCgroup: r.opts.ShimCgroup,
	}
	b, err := proto.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("internal error: runtime options: %w", err)
	}
	return &anypb.Any{TypeUrl: string(o.ProtoReflect().Descriptor().FullName()), Value: b}, nil
}

// anyJSON wraps a type of the runtime spec as containerd's typeurl does.
func anyJSON(name string, v any) (*anypb.Any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("internal error: %s of the runtime spec: %w", name, err)
	}
	return &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/" + name, Value: b}, nil
}

// prepareSources makes the host directories that a service's mounts name,
// where the file says so, and reports the missing ones in the user's words.
func (r *Runtime) prepareSources(svc compose.Service, src source) error {
	var faults []error
	for _, m := range svc.Mounts {
		switch {
		case m.Type == "volume" && (m.External || m.Device != ""):
			if dir := firstOf(m.Device, filepath.Join(r.opts.VolumesDir, m.Source)); !exists(dir) {
				faults = append(faults, fmt.Errorf("volume %q: %s does not exist", m.Source, dir))
			}
		case m.Type == "volume":
			if err := r.makeVolume(m, src); err != nil {
				faults = append(faults, fmt.Errorf("volume %q: %w", m.Source, err))
			}
		case m.Type == "bind" && !exists(m.Source):
			if !m.CreateHost {
				faults = append(faults, fmt.Errorf("%s, to be mounted on %s, does not exist", m.Source, m.Target))
				continue
			}
			if err := os.MkdirAll(m.Source, 0o755); err != nil {
				faults = append(faults, fmt.Errorf("mount on %s: %w", m.Target, err))
			}
		}
	}
	return errors.Join(faults...)
}

// prepareShimCgroup makes the cgroup of the shims: the shim joins it and does
// not make it.
func (r *Runtime) prepareShimCgroup() error {
	if r.opts.ShimCgroup == "" {
		return nil
	}
	return os.MkdirAll(filepath.Join(r.opts.CgroupRoot, r.opts.ShimCgroup), 0o755)
}

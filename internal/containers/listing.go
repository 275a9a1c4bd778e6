package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Container is what containerd knows of one.
type Container struct {
	Name     string
	Image    string
	Labels   map[string]string
	ByHand   bool // no service
	Created  time.Time
	Spec     *specs.Spec
	Pid      int // 0: it does not run
	Started  time.Time
	ExitCode *int // of the last run, if it is known
	Finished time.Time
}

// Containers lists all of them, those of services too.
func (r *Runtime) Containers(ctx context.Context) ([]Container, error) {
	records, err := r.containers.List(ctx, &containersapi.ListContainersRequest{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the containers: %w", err)
	}
	tasks, err := r.tasks.List(ctx, &tasksapi.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the containers: %w", err)
	}
	running := map[string]*tasktypes.Process{}
	for _, p := range tasks.GetTasks() {
		running[p.GetID()] = p
	}
	var list []Container
	for _, record := range records.GetContainers() {
		list = append(list, describe(record, running[record.GetID()]))
	}
	return list, nil
}

func describe(record *containersapi.Container, p *tasktypes.Process) Container {
	labels := record.GetLabels()
	c := Container{
		Name: record.GetID(), Image: record.GetImage(), Labels: labels, ByHand: labels[labelRun] != "",
		Created: record.GetCreatedAt().AsTime(),
	}
	var spec specs.Spec
	if json.Unmarshal(record.GetSpec().GetValue(), &spec) == nil {
		c.Spec = &spec
	}
	if code, err := strconv.Atoi(labels[labelExit]); err == nil {
		c.ExitCode = &code
		c.Finished, _ = time.Parse(time.RFC3339, labels[labelFinished])
	}
	switch p.GetStatus() {
	case tasktypes.Status_RUNNING, tasktypes.Status_PAUSED:
		c.Pid = int(p.GetPid())
		c.Started, _ = processStart(c.Pid)
		c.ExitCode = nil
	case tasktypes.Status_STOPPED:
		code := int(p.GetExitStatus())
		c.ExitCode, c.Finished = &code, p.GetExitedAt().AsTime()
	}
	return c
}

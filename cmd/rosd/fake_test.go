package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// room starts anything at once. A task runs until it gets a signal; one of a
// service in once ends with 0 after a second.
type room struct {
	once map[string]bool
	tell bool                        // whether definitions are told apart
	lack func(compose.Service) error // why a service cannot start; nil: it can
	slow time.Duration               // until a healthcheck passes
	left []string                    // what runs before anybody has started it

	mu    sync.Mutex
	tasks map[string]*task
	said  []string // signals that ended no task
}

func (r *room) Start(_ context.Context, svc compose.Service) (supervise.Task, error) {
	if r.lack != nil {
		if err := r.lack(svc); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &task{room: r, name: svc.Name, hash: r.hash(svc), exited: make(chan struct{}), started: time.Now()}
	if r.tasks == nil {
		r.tasks = map[string]*task{}
	}
	r.tasks[svc.Name] = t
	if r.once[svc.Name] {
		time.AfterFunc(time.Second, t.end)
	}
	return t, nil
}

func (r *room) Running(ctx context.Context) (map[string]supervise.Task, error) {
	tasks := map[string]supervise.Task{}
	for _, name := range r.left {
		tasks[name], _ = r.Start(ctx, compose.Service{Name: name})
	}
	return tasks, nil
}

func (*room) Remove(context.Context, compose.Service) error        { return nil }
func (r *room) DefinitionHash(svc compose.Service) (string, error) { return r.hash(svc), nil }
func (*room) Spec(compose.Service) ([]byte, error)                 { return []byte("{}"), nil }

func (r *room) hash(svc compose.Service) string {
	if !r.tell {
		return ""
	}
	return compose.DefinitionHash(svc) + string(svc.Engine)
}

// kill ends the task of a service as if it had crashed.
func (r *room) kill(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks[name].end()
}

type task struct {
	room    *room
	name    string
	hash    string
	exited  chan struct{}
	once    sync.Once
	started time.Time
}

func (t *task) end()                         { t.once.Do(func() { close(t.exited) }) }
func (t *task) Pid() int                     { return 77 }
func (t *task) StartedAt() time.Time         { return t.started }
func (t *task) Hash() string                 { return t.hash }
func (t *task) Exited() <-chan struct{}      { return t.exited }
func (t *task) ExitCode() int                { return 0 }
func (t *task) Delete(context.Context) error { return nil }

func (t *task) Signal(_ context.Context, signal string, _ bool) error {
	if signal == "SIGHUP" {
		t.room.mu.Lock()
		defer t.room.mu.Unlock()
		t.room.said = append(t.room.said, signal+" "+t.name)
		return nil
	}
	t.end()
	return nil
}

func (t *task) Exec(context.Context, []string, time.Duration) (int, string, error) {
	if time.Since(t.started) < t.room.slow {
		return 1, "not yet", nil
	}
	return 0, "", nil
}

// supervisor runs the services of files in r, in a synctest bubble, until the
// test ends.
func supervisor(t *testing.T, r *room, files *serviceFiles) *supervise.Supervisor {
	t.Helper()
	sup := supervise.New(supervise.Config{Runtime: r, Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx, files.definitions()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return sup
}

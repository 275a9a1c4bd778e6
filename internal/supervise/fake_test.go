package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// run says how one run of a service goes. The zero run starts at once, runs
// until it is told to stop and then ends at once.
type run struct {
	takes    time.Duration // to start
	err      error         // of the start
	ends     time.Duration // after it started; 0: not by itself
	code     int           // then
	deaf     bool          // to everything but SIGKILL
	stopping time.Duration // from the stop signal to the end
	healthy  time.Duration // since the start, when probes begin to pass
	sick     time.Duration // since the start, when probes fail again; 0: never
	probing  time.Duration // how long a probe takes
	passes   int           // when sick: of so many probes one passes; 0: none
}

// machineRoom is a Runtime: what each service does in its first, second … run;
// the last run repeats.
type machineRoom struct {
	mu       sync.Mutex
	runs     map[string][]run
	next     map[string]int
	live     map[string]*task
	down     bool // containerd does not answer
	making   int
	mostly   int      // most containers made at once
	began    []string // order in which Start was called
	deleted  map[string]int
	probes   map[string][]time.Duration // since the start of the task
	removed  []string
	onDelete func(service string)
}

func newRoom(runs map[string][]run) *machineRoom {
	return &machineRoom{
		runs: runs, next: map[string]int{}, live: map[string]*task{}, deleted: map[string]int{},
		probes: map[string][]time.Duration{},
	}
}

var errDown = supervise.Down(errors.New("cannot reach containerd"))

func (r *machineRoom) Start(ctx context.Context, svc compose.Service) (supervise.Task, error) {
	r.mu.Lock()
	if r.down {
		r.mu.Unlock()
		return nil, errDown
	}
	r.began = append(r.began, svc.Name)
	r.making++
	r.mostly = max(r.mostly, r.making)
	do := r.behaviour(svc.Name)
	r.mu.Unlock()

	var err error
	select {
	case <-time.After(do.takes):
		err = do.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.making--
	if err != nil {
		return nil, err
	}
	if old := r.live[svc.Name]; old != nil {
		select {
		case <-old.exited:
		default:
			panic("two tasks of " + svc.Name)
		}
	}
	t := &task{room: r, name: svc.Name, do: do, started: time.Now(), exited: make(chan struct{}), hash: hash(svc)}
	r.live[svc.Name] = t
	if do.ends > 0 {
		time.AfterFunc(do.ends, func() { t.exit(do.code) })
	}
	return t, nil
}

func (r *machineRoom) behaviour(name string) run {
	runs := r.runs[name]
	if len(runs) == 0 {
		return run{}
	}
	do := runs[min(r.next[name], len(runs)-1)]
	r.next[name]++
	return do
}

func (r *machineRoom) Running(context.Context) (map[string]supervise.Task, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, errDown
	}
	tasks := map[string]supervise.Task{}
	for name, t := range maps.All(r.live) {
		tasks[name] = t
	}
	return tasks, nil
}

func (r *machineRoom) Remove(_ context.Context, svc compose.Service) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = append(r.removed, svc.Name)
	return nil
}

func hash(svc compose.Service) string { return fmt.Sprint(svc.Command) }

func (r *machineRoom) DefinitionHash(svc compose.Service) (string, error) { return hash(svc), nil }

func (r *machineRoom) Spec(svc compose.Service) ([]byte, error) {
	return fmt.Appendf(nil, `{"hostname":%q}`, svc.Name), nil
}

func (r *machineRoom) setDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

type task struct {
	room    *machineRoom
	name    string
	do      run
	hash    string
	started time.Time
	exited  chan struct{}
	code    int
	ending  bool
	lost    bool
}

func (t *task) exit(code int) {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	if !t.ending {
		t.ending = true
		t.code = code
		close(t.exited)
	}
}

// loseAll ends tasks as an engine does that goes down with them, in this order.
func (r *machineRoom) loseAll(names ...string) {
	r.mu.Lock()
	var gone []*task
	for _, name := range names {
		t := r.live[name]
		t.lost = true
		gone = append(gone, t)
	}
	r.mu.Unlock()
	for _, t := range gone {
		t.exit(137)
	}
}

func (t *task) Lost() bool {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	return t.lost
}

func (t *task) Pid() int                { return 4000 }
func (t *task) StartedAt() time.Time    { return t.started }
func (t *task) Hash() string            { return t.hash }
func (t *task) Exited() <-chan struct{} { return t.exited }
func (t *task) ExitCode() int           { return t.code }

func (t *task) Signal(_ context.Context, signal string, _ bool) error {
	t.room.mu.Lock()
	down := t.room.down
	t.room.mu.Unlock()
	switch {
	case down:
		return errDown
	case signal == "SIGKILL":
		t.exit(137)
	case !t.do.deaf:
		time.AfterFunc(t.do.stopping, func() { t.exit(143) })
	}
	return nil
}

func (t *task) Exec(_ context.Context, _ []string, _ time.Duration) (int, string, error) {
	time.Sleep(t.do.probing)
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	if t.room.down {
		return 0, "", errDown
	}
	age := time.Since(t.started)
	t.room.probes[t.name] = append(t.room.probes[t.name], age)
	n := len(t.room.probes[t.name])
	lucky := t.do.passes > 0 && n%t.do.passes == 0
	if age < t.do.healthy || t.do.sick > 0 && age >= t.do.sick && !lucky {
		return 1, "looking\nno answer\n", nil
	}
	return 0, "", nil
}

func (t *task) Delete(context.Context) error {
	if t.room.onDelete != nil {
		t.room.onDelete(t.name)
	}
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	if t.room.down {
		return errDown
	}
	t.room.deleted[t.name]++
	if t.room.live[t.name] == t {
		delete(t.room.live, t.name)
	}
	return nil
}

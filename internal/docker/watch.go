package docker

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// reconnect is the time between tries to reach the engine while there are
// tasks that only it knows about.
const reconnect = 500 * time.Millisecond

// watch makes the ends of containers known for as long as there are any.
func (r *Runtime) watch() {
	for away := false; r.needed(); {
		away = r.follow(away)
		if away {
			time.Sleep(reconnect)
		}
	}
}

// needed says whether anything is watched; if not, nobody watches any more.
func (r *Runtime) needed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watching = len(r.tasks) > 0
	return r.watching
}

// follow reads the engine's events until nothing is left to watch, or the
// connection ends: then it says that the engine is away. What ended before, it
// asks for; was says that the engine has been away meanwhile.
func (r *Runtime) follow(was bool) (away bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	query := filters(map[string][]string{"type": {"container"}, "event": {"die"}, "label": {labelService}})
	events, err := r.open(ctx, "GET", "/events?"+query.Encode(), nil)
	if err != nil {
		return true
	}
	defer events.Close()
	if !r.compare(ctx, was) {
		return true
	}
	for dec := json.NewDecoder(events); ; {
		var e struct {
			Actor struct {
				ID         string
				Attributes map[string]string
			}
		}
		if dec.Decode(&e) != nil {
			return true
		}
		r.mu.Lock()
		t := r.tasks[e.Actor.ID]
		r.mu.Unlock()
		if t == nil {
			continue
		}
		code, err := strconv.Atoi(e.Actor.Attributes["exitCode"])
		if err != nil {
			code = 255
		}
		if r.end(t, code) == 0 {
			return false
		}
	}
}

// compare ends the tasks whose containers do not run any more. When the engine
// has been away they were lost with it; all of them are marked before the first
// is ended, so that nobody takes one that is about to end for one that runs.
func (r *Runtime) compare(ctx context.Context, lost bool) bool {
	r.mu.Lock()
	held := make([]*task, 0, len(r.tasks))
	for _, t := range r.tasks {
		held = append(held, t)
	}
	r.mu.Unlock()
	codes := map[*task]int{}
	for _, t := range held {
		c, err := r.inspect(ctx, t.id)
		switch {
		case IsNotFound(err):
			codes[t] = 255
		case err != nil:
			return false
		case !c.State.Running:
			codes[t] = c.State.ExitCode
		case c.State.Pid != t.pid: // somebody has restarted it
			codes[t] = 255
		}
	}
	for t, code := range codes {
		t.lost.Store(lost && code != 0)
	}
	slices.SortFunc(held, func(a, b *task) int { return a.started.Compare(b.started) })
	for _, t := range held {
		if code, ended := codes[t]; ended {
			r.end(t, code)
		}
	}
	return true
}

// end makes the end of a task known and says how many are left.
func (r *Runtime) end(t *task, code int) (left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tasks[t.id] == t {
		delete(r.tasks, t.id)
		t.code = code
		close(t.exited)
	}
	return len(r.tasks)
}

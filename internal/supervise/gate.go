package supervise

import (
	"context"
	"slices"
	"sync"
)

// gate bounds how many containers are being made at once. When several wait,
// the one with the greatest weight goes first, and of equals the one that
// came first.
//
// A gate is shut until open is called, so that at boot every service that can
// start has said so before the first is let in.
type gate struct {
	mu    sync.Mutex
	free  int
	queue []*ticket // heaviest first
}

// ticket is a place at the gate. Whoever holds one must call leave.
type ticket struct {
	gate   *gate
	weight int
	inside chan struct{} // closed when it has been let in
}

func (g *gate) open(places int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free += places
	g.admit()
}

func (g *gate) enter(weight int) *ticket {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := &ticket{gate: g, weight: weight, inside: make(chan struct{})}
	at := slices.IndexFunc(g.queue, func(other *ticket) bool { return other.weight < weight })
	if at < 0 {
		at = len(g.queue)
	}
	g.queue = slices.Insert(g.queue, at, t)
	g.admit()
	return t
}

func (g *gate) admit() {
	for g.free > 0 && len(g.queue) > 0 {
		close(g.queue[0].inside)
		g.queue = g.queue[1:]
		g.free--
	}
}

func (t *ticket) wait(ctx context.Context) error {
	select {
	case <-t.inside:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pass waits behind everybody who wants to enter and takes no place: for work
// that nobody waits for and that would slow the others down. A context that
// ends lets it through.
func (g *gate) pass(ctx context.Context) {
	t := g.enter(-1)
	_ = t.wait(ctx)
	t.leave()
}

// leave gives the place back, or gives up waiting for one.
func (t *ticket) leave() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := slices.Index(g.queue, t); at >= 0 {
		g.queue = slices.Delete(g.queue, at, at+1)
		return
	}
	g.free++
	g.admit()
}

package main

import (
	"context"
	"sync"
	"sync/atomic"
)

// turns are had one at a time. Who is asked by an operator does not wait for what
// is done in the background: that is told to end, and tries again later.
type turns struct {
	mu    sync.Mutex
	asked atomic.Int32 // operators who wait
	stop  atomic.Pointer[context.CancelFunc]
}

// take waits for a turn of an operator.
func (t *turns) take() (end func()) {
	t.asked.Add(1)
	if stop := t.stop.Load(); stop != nil {
		(*stop)()
	}
	t.mu.Lock()
	t.asked.Add(-1)
	return t.mu.Unlock
}

// background waits for a turn of the background, whose context ends as soon as an
// operator wants one.
func (t *turns) background(ctx context.Context) (_ context.Context, end func()) {
	t.mu.Lock()
	ctx, stop := context.WithCancel(ctx)
	t.stop.Store(&stop)
	if t.asked.Load() > 0 { // since before there was a stop
		stop()
	}
	return ctx, func() {
		t.stop.Store(nil)
		stop()
		t.mu.Unlock()
	}
}

// tryTake is take for who cannot wait, nor makes others end.
func (t *turns) tryTake() (end func(), ok bool) { return t.mu.Unlock, t.mu.TryLock() }

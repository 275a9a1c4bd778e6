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

// take waits for a turn of an operator. One who has gone away by then gets none:
// what he asked for is not to happen behind his back.
func (t *turns) take(ctx context.Context) (end func(), err error) {
	t.asked.Add(1)
	if stop := t.stop.Load(); stop != nil {
		(*stop)()
	}
	t.mu.Lock()
	t.asked.Add(-1)
	if ctx.Err() != nil {
		t.mu.Unlock()
		return nil, context.Cause(ctx)
	}
	return t.mu.Unlock, nil
}

// background waits for a turn of the background, whose context ends as soon as an
// operator wants one.
func (t *turns) background(ctx context.Context) (_ context.Context, end func()) {
	t.mu.Lock()
	return t.interruptible(ctx)
}

// tryBackground is background for who does not wait.
func (t *turns) tryBackground(ctx context.Context) (_ context.Context, end func(), ok bool) {
	if !t.mu.TryLock() {
		return nil, nil, false
	}
	ctx, end = t.interruptible(ctx)
	return ctx, end, true
}

func (t *turns) interruptible(ctx context.Context) (_ context.Context, end func()) {
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

package supervise

import "sync"

// eventBuffer is how many events a reader may lag behind.
const eventBuffer = 256

// fanout hands every event to every reader. It never waits: a reader that has
// fallen eventBuffer events behind is cut off (its channel is closed) and has
// to ask for the whole state again.
type fanout struct {
	mu      sync.Mutex
	readers map[chan Event]struct{}
}

func (f *fanout) subscribe() (<-chan Event, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers == nil {
		f.readers = make(map[chan Event]struct{})
	}
	c := make(chan Event, eventBuffer)
	f.readers[c] = struct{}{}
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drop(c)
	}
}

func (f *fanout) send(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.readers {
		select {
		case c <- e:
		default:
			f.drop(c)
		}
	}
}

func (f *fanout) drop(c chan Event) {
	if _, ok := f.readers[c]; ok {
		delete(f.readers, c)
		close(c)
	}
}

package imagestore

import (
	"sync"
	"time"

	"github.com/rosteros/ros/internal/images"
)

// Event is a step of a pull or a load.
type Event = images.Event

// often is the time between two events about the bytes of one layer.
const often = 200 * time.Millisecond

// progress hands events on, one at a time. A nil function gets none.
type progress struct {
	mu   sync.Mutex
	to   func(Event)
	last map[string]time.Time
}

func newProgress(to func(Event)) *progress {
	return &progress{to: to, last: map[string]time.Time{}}
}

func (p *progress) say(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to != nil {
		p.to(e)
	}
}

// bytes is say for something that happens all the time.
func (p *progress) bytes(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to == nil || time.Since(p.last[e.Layer]) < often {
		return
	}
	p.last[e.Layer] = time.Now()
	p.to(e)
}

// short is a digest as people tell layers apart.
func short(digest string) string {
	const algorithm, letters = "sha256:", 12
	if len(digest) >= len(algorithm)+letters {
		return digest[len(algorithm) : len(algorithm)+letters]
	}
	return digest
}

// Package osupdate is the conversation with the worker for everything that
// touches disks and slots: the program /usr/lib/ros/osupdate. It owns the
// events and how the worker is started; what a verb does is for the packages
// that do it.
//
// The worker reads its options, one JSON object, from standard input and writes
// one Event a line to standard output. It runs on the host root. rosd starts it
// and relays its events to ros; ros starts it itself when there is no rosd.
package osupdate

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// Program is the worker.
	Program = "/usr/lib/ros/osupdate"
	// LockFile is locked (flock) by a worker that must be the only one.
	LockFile = "/run/ros/osupdate.lock"
)

// Kinds of events.
const (
	Progress = "progress" // Step, Done, Total
	Note     = "note"     // Text
	Error    = "error"    // Error; the last event
	Result   = "result"   // Result; the last event
)

// Event is one line of what the worker says.
type Event struct {
	Event  string          `json:"event"`
	Step   string          `json:"step,omitempty"`  // "os image"
	Done   int64           `json:"done,omitempty"`  // bytes
	Total  int64           `json:"total,omitempty"` // bytes; 0: not known
	Text   string          `json:"text,omitempty"`
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// last says whether nothing comes after e.
func (e Event) last() bool { return e.Event == Error || e.Event == Result }

// interval is the shortest time between two events about one step: somebody
// reads them.
const interval = 100 * time.Millisecond

// Events writes events. Its methods may be called from any goroutine.
type Events struct {
	mu     sync.Mutex
	out    *json.Encoder
	lost   func()
	said   time.Time
	latest Event // the progress that was last written or held back
	held   bool
}

// NewEvents writes to w. When w cannot be written to any more, nobody listens:
// lost is called, once for each event, and may end what is going on.
func NewEvents(w io.Writer, lost func()) *Events {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return &Events{out: out, lost: lost}
}

// Progress says that done of total bytes of a step are through; total 0 is not
// known. Between the first and the last of a step only some are written.
func (e *Events) Progress(step string, done, total int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	first := step != e.latest.Step
	if first {
		e.release()
	}
	e.latest = Event{Event: Progress, Step: step, Done: done, Total: total}
	e.held = true
	if first || done == total || now.Sub(e.said) >= interval {
		e.said = now
		e.release()
	}
}

// release writes the progress that was held back, if one was.
func (e *Events) release() {
	if e.held {
		e.held = false
		e.write(e.latest)
	}
}

// Note says something that the operator should know.
func (e *Events) Note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.release()
	e.write(Event{Event: Note, Text: fmt.Sprintf(format, args...)})
}

// End writes the last event: result, or what went wrong.
func (e *Events) End(result any, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.release()
	if err == nil {
		text, jsonErr := json.Marshal(result)
		if jsonErr == nil {
			e.write(Event{Event: Result, Result: text})
			return
		}
		err = fmt.Errorf("internal error: cannot write the result as JSON: %w", jsonErr)
	}
	e.write(Event{Event: Error, Error: err.Error()})
}

func (e *Events) write(event Event) {
	if e.out.Encode(event) != nil && e.lost != nil {
		e.lost()
	}
}

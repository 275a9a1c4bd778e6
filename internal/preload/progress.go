package preload

import (
	"io"
	"time"

	"github.com/rosteros/ros/internal/images"
)

// often is the time between two events about one archive.
const often = 200 * time.Millisecond

// Watched tells say how much of an archive of size bytes has been read, at the
// beginning, now and then, and at its end. name is what the events call it.
func Watched(r io.Reader, name string, size int64, say func(images.Event)) io.Reader {
	if say == nil {
		return r
	}
	w := &watched{r: r, say: say, event: images.Event{Layer: name, Status: images.Loading, Total: size}}
	w.tell()
	return w
}

type watched struct {
	r     io.Reader
	say   func(images.Event)
	event images.Event
	told  time.Time
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.event.Current += int64(n)
	if err != nil || time.Since(w.told) >= often {
		w.tell()
	}
	return n, err
}

func (w *watched) tell() {
	w.told = time.Now()
	w.say(w.event)
}

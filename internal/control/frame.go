package control

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// FrameKind says what is in a Frame.
type FrameKind byte

// The kinds of frames. Input, InputEnd and Resize go to rosd, the others come
// from it.
const (
	Input    FrameKind = iota // bytes of standard input
	Output                    // bytes of standard output, or of a file
	Errors                    // bytes of standard error
	Resize                    // Size of the terminal, JSON
	InputEnd                  // no more input; empty
	End                       // Ending, JSON; the last frame
)

// maxFrame bounds a frame that is read.
const maxFrame = 1 << 20

// Size is that of a terminal; zero: nobody knows.
type Size struct {
	Rows    uint16 `json:"rows,omitempty"`
	Columns uint16 `json:"columns,omitempty"`
}

// Ending is how what was asked for ended.
type Ending struct {
	Code  int    `json:"code"`            // exit code of the program
	Error string `json:"error,omitempty"` // why there is none
}

// ReadFrame reads one frame: its kind, the length of the rest in four bytes,
// the rest.
func ReadFrame(r io.Reader) (FrameKind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes is too long", n)
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return FrameKind(head[0]), data, err
}

// FrameWriter writes frames; from any goroutine, one at a time.
type FrameWriter struct {
	W  io.Writer
	mu sync.Mutex
}

// Frame writes one frame.
func (f *FrameWriter) Frame(kind FrameKind, data []byte) error {
	b := make([]byte, 5, 5+len(data))
	b[0] = byte(kind)
	binary.BigEndian.PutUint32(b[1:], uint32(len(data)))
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.W.Write(append(b, data...))
	return err
}

// Value writes a frame of JSON.
func (f *FrameWriter) Value(kind FrameKind, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.Frame(kind, text)
}

// Stream is a Writer whose bytes become frames of a kind.
func (f *FrameWriter) Stream(kind FrameKind) io.Writer { return frameStream{f, kind} }

type frameStream struct {
	to   *FrameWriter
	kind FrameKind
}

func (s frameStream) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		n := min(len(p)-at, maxFrame)
		if err := s.to.Frame(s.kind, p[at:at+n]); err != nil {
			return at, err
		}
		at += n
	}
	return len(p), nil
}

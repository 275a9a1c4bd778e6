package servicelog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// A line longer than longestLine is split.
	longestLine = 16 << 10
	// readBytes is the buffer of a stream as long as its lines are short.
	// There are two streams for every service, so this counts.
	readBytes = 4 << 10
	// chunkBytes is how much is put together before it is written.
	chunkBytes = 32 << 10
)

// Sink writes the logs. Every stream has its own goroutine, so a slow reader
// or a hanging write of one holds up no other service.
//
// A disk that takes no more costs lines, never more: they are counted, and
// the count is noted in the log once it can be written again.
type Sink struct {
	dir     string
	log     *slog.Logger
	streams sync.WaitGroup

	mu     sync.Mutex
	files  map[string]*file
	closed bool
}

// NewSink returns a Sink for the directory, which is made when first needed.
// What goes wrong is told to log, once for each outage.
func NewSink(dir string, log *slog.Logger) *Sink {
	return &Sink{dir: dir, log: log, files: map[string]*file{}}
}

// Add reads lines from r until it ends and then closes it. Several streams,
// also of an old and a new container at once, may write one service's log;
// the limits of the last one added count.
func (s *Sink) Add(service, stream string, r io.ReadCloser, l Limits) error {
	f, err := s.open(service, l)
	if err != nil {
		_ = r.Close()
		return fmt.Errorf("cannot log service %q: %w", service, err)
	}
	s.streams.Go(func() {
		defer s.release(f)
		defer r.Close()
		// The Sink lives in PID 1, which must not die of one stream.
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("internal error: log stream ended", "service", service, "error", p)
			}
		}()
		if err := f.copy(stream, r); err != nil {
			s.log.Warn("log stream ended early", "service", service, "error", err)
		}
	})
	return nil
}

// Line writes one line. It waits for the disk.
func (s *Sink) Line(service, stream, text string) error {
	f, err := s.open(service, Limits{})
	if err != nil {
		return fmt.Errorf("cannot log service %q: %w", service, err)
	}
	defer s.release(f)
	f.write(append(appendLine(nil, time.Now(), stream, []byte(text)), '\n'))
	return nil
}

// Close waits until every stream has ended, but no longer than patience; then
// it closes the files. What arrives later is read and dropped.
func (s *Sink) Close(patience time.Duration) {
	ended := make(chan struct{})
	go func() { s.streams.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, f := range s.files {
		f.close()
	}
}

func (s *Sink) open(service string, l Limits) (*file, error) {
	if err := checkName(service); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the log is closed: the machine is going down")
	}
	f := s.files[service]
	if f == nil {
		f = &file{dir: s.dir, service: service, log: s.log, limits: l.orDefault()}
		s.files[service] = f
	}
	f.users++
	if l != (Limits{}) {
		f.setLimits(l.orDefault())
	}
	return f, nil
}

func (s *Sink) release(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.users--
	if f.users > 0 {
		return
	}
	if f.rest() { // else it stays until it can note what it dropped
		delete(s.files, f.service)
	}
}

// file is the log of one service.
type file struct {
	dir, service string
	log          *slog.Logger
	users        int // guarded by Sink.mu

	mu      sync.Mutex
	limits  Limits
	f       *os.File // nil: not open
	size    int64
	dropped int   // lines that no note in the log tells of yet
	cause   error // why the last write failed; nil: it did not
	closed  bool
}

func (f *file) setLimits(l Limits) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits = l
}

// copy turns what r says into lines until r ends.
func (f *file) copy(stream string, r io.Reader) error {
	buf := make([]byte, 0, readBytes)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		rest := f.lines(stream, buf)
		switch {
		case err != nil:
			if len(rest) > 0 { // a last line without its newline
				f.lines(stream, append(rest, '\n'))
			}
			if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrClosed) || errors.Is(err, unix.EIO) {
				return nil // EIO is how a terminal says that it ended
			}
			return err
		case len(rest) >= longestLine:
			f.lines(stream, append(rest, '\n'))
			buf = buf[:0]
		case len(rest) == cap(buf):
			buf = append(make([]byte, 0, 2*cap(buf)), rest...)
		case len(rest) == 0 && cap(buf) > readBytes:
			buf = make([]byte, 0, readBytes)
		default:
			buf = buf[:copy(buf, rest)]
		}
	}
}

// lines writes the whole lines of text and returns what follows the last.
func (f *file) lines(stream string, text []byte) (rest []byte) {
	now := time.Now()
	var chunk []byte
	for {
		line, after, ok := bytes.Cut(text, []byte{'\n'})
		if !ok {
			break
		}
		text = after
		chunk = appendLine(chunk, now, stream, bytes.TrimSuffix(line, []byte{'\r'}))
		chunk = append(chunk, '\n')
		if len(chunk) >= chunkBytes {
			f.write(chunk)
			chunk = chunk[:0]
		}
	}
	if len(chunk) > 0 {
		f.write(chunk)
	}
	return text
}

// write appends whole lines, rotating before a file would grow over its
// limit. It never fails: what cannot be written is counted.
func (f *file) write(chunk []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	text := chunk
	if f.dropped > 0 {
		note := fmt.Appendf(nil, "%d lines dropped: %v", f.dropped, f.cause)
		text = append(appendLine(nil, time.Now(), Note, note), '\n')
		text = append(text, chunk...)
	}
	rest, err := f.append(text)
	if err == nil {
		f.dropped, f.cause = 0, nil
		return
	}
	if f.cause == nil {
		f.log.Warn("cannot write service log, dropping lines", "service", f.service, "error", err)
	}
	if len(rest) <= len(chunk) { // the note is written
		f.dropped = 0
	} else {
		rest = chunk
	}
	f.dropped += bytes.Count(rest, []byte{'\n'})
	f.cause = err
}

// append writes text to the files, line by line where it crosses a limit, and
// returns what it could not write.
func (f *file) append(text []byte) (rest []byte, err error) {
	for len(text) > 0 {
		if err := f.ready(); err != nil {
			return text, err
		}
		part := text
		if room := f.limits.MaxBytes - f.size; int64(len(text)) > room {
			// What fits stays in this file, cut after a line; an empty file
			// takes a line whatever its size.
			end := bytes.LastIndexByte(text[:max(room, 0)], '\n') + 1
			if end == 0 && f.size > 0 {
				if err := f.rotate(); err != nil {
					return text, err
				}
				continue
			}
			if end == 0 {
				end = bytes.IndexByte(text, '\n') + 1
			}
			part = text[:end]
		}
		if n, err := f.f.Write(part); err != nil {
			if n > 0 {
				// Half a line would be glued to the next one.
				_ = f.f.Truncate(f.size)
			}
			f.shut()
			return text, err
		}
		f.size += int64(len(part))
		text = text[len(part):]
	}
	return nil, nil
}

// ready makes sure that an open file with a name stands behind f.f: an
// operator may have removed it.
func (f *file) ready() error {
	if f.f != nil {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.f.Fd()), &st); err == nil && st.Nlink > 0 {
			return nil
		}
		f.shut()
	}
	name := path(f.dir, f.service, 0)
	file, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(f.dir, 0o755); err == nil {
			file, err = os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
		}
	}
	if err != nil {
		return err
	}
	size, err := endLine(file)
	if err != nil {
		_ = file.Close()
		return err
	}
	f.f, f.size = file, size
	return nil
}

// endLine makes the file end with a newline: after a power cut it may end in
// the middle of a line. It returns the size.
func endLine(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	size := info.Size()
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, size-1); err != nil {
		return 0, err
	}
	if last[0] != '\n' {
		if _, err := file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		size++
	}
	return size, nil
}

// rotate moves every file one number up, drops those over the limit and
// leaves no open file.
func (f *file) rotate() error {
	f.shut()
	for n := f.limits.Files - 1; ; n++ { // also those kept under a higher limit
		err := os.Remove(path(f.dir, f.service, n))
		if errors.Is(err, fs.ErrNotExist) {
			if n >= f.limits.Files {
				break
			}
			continue
		}
		if err != nil {
			return err
		}
	}
	for n := f.limits.Files - 2; n >= 0; n-- {
		err := os.Rename(path(f.dir, f.service, n), path(f.dir, f.service, n+1))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (f *file) shut() {
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
}

// rest closes the file until the next write and says whether every dropped
// line is noted.
func (f *file) rest() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shut()
	return f.dropped == 0
}

func (f *file) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.shut()
}

package servicelog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// pollInterval is how soon Follow sees a new line. A person cannot tell it
// from at once, and a read of nothing costs a microsecond.
const pollInterval = 200 * time.Millisecond

// Tail returns the last n lines of a service, the oldest first, across the
// rotated files; all of them when n is negative. A service that has not said
// anything yet has no lines; that is no error.
func Tail(dir, service string, n int) ([]Line, error) {
	files, err := openAll(dir, service)
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	lines, _, err := tail(files, n)
	if err != nil {
		return nil, fmt.Errorf("cannot read log of service %q: %w", service, err)
	}
	return lines, nil
}

// Follow calls emit for the last n lines as Tail returns them and then for
// every new line, none twice and none left out however the files are rotated,
// until the context ends (nil) or emit returns an error (that one). Only when
// more is written within a fifth of a second than all files together hold are
// lines missed; they are gone from the disk too.
func Follow(ctx context.Context, dir, service string, n int, emit func(Line) error) error {
	files, err := openAll(dir, service)
	if err != nil {
		return err
	}
	defer func() { closeAll(files) }()
	lines, end, err := tail(files, n)
	if err != nil {
		return fmt.Errorf("cannot read log of service %q: %w", service, err)
	}
	for _, l := range lines {
		if err := emit(l); err != nil {
			return err
		}
	}
	var current *follower
	if len(files) > 0 {
		// From the end of the last whole line: a torn one is read again.
		current = &follower{file: files[0], at: end}
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		now, err := openAll(dir, service)
		if err != nil {
			return err
		}
		// The files are listed before the current one is read to its end, so
		// a current file that the list shows as rotated is complete.
		later := newer(now, current)
		if current != nil {
			if err := current.emit(emit); err != nil {
				closeAll(now)
				return err
			}
		}
		for _, f := range slices.Backward(later) { // the oldest first
			current = &follower{file: f}
			if err := current.emit(emit); err != nil {
				closeAll(now)
				return err
			}
		}
		if len(later) > 0 {
			closeAll(files)
			files = now
		} else {
			closeAll(now)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// newer returns those of the files, newest first, that came after the current
// one: all of them when it is not among them any more.
func newer(files []*os.File, current *follower) []*os.File {
	if current == nil {
		return files
	}
	info, err := current.file.Stat()
	if err != nil {
		return files
	}
	for i, f := range files {
		if other, err := f.Stat(); err == nil && os.SameFile(info, other) {
			return files[:i]
		}
	}
	return files
}

// follower reads one file onwards from a place in it.
type follower struct {
	file *os.File
	at   int64  // of the first byte not read
	part []byte // of a line whose newline is not there yet
}

func (f *follower) emit(emit func(Line) error) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := f.file.ReadAt(buf, f.at)
		f.at += int64(n)
		text := append(f.part, buf[:n]...)
		for {
			line, after, ok := bytes.Cut(text, []byte{'\n'})
			if !ok {
				break
			}
			text = after
			if err := emit(Parse(string(line))); err != nil {
				return err
			}
		}
		f.part = bytes.Clone(text)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// openAll opens the files of a service, the newest first. A rotation between
// two opens shows the same file under two names; it is listed once.
func openAll(dir, service string) ([]*os.File, error) {
	if err := checkName(service); err != nil {
		return nil, fmt.Errorf("cannot read log: %w", err)
	}
	var files []*os.File
	var infos []os.FileInfo
	missing := 0
	for n := 0; missing < 2; n++ { // one may be missing for a moment: while it is renamed
		f, err := os.Open(path(dir, service, n))
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("cannot read log of service %q: %w", service, err)
		}
		info, err := f.Stat()
		if err != nil || slices.ContainsFunc(infos, func(o os.FileInfo) bool { return os.SameFile(o, info) }) {
			_ = f.Close()
			continue
		}
		files, infos = append(files, f), append(infos, info)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// tail returns the last n lines of the files, newest file first, and where
// the last whole line of the newest file ends.
func tail(files []*os.File, n int) (lines []Line, end int64, err error) {
	for i, f := range files {
		want := n
		if n >= 0 {
			want = n - len(lines)
		}
		text, stop, err := lastLines(f, want)
		if err != nil {
			return nil, 0, err
		}
		if i == 0 {
			end = stop
		}
		var some []Line
		for line := range bytes.Lines(text) {
			some = append(some, Parse(string(bytes.TrimSuffix(line, []byte{'\n'}))))
		}
		lines = append(some, lines...)
		if n >= 0 && len(lines) >= n {
			break
		}
	}
	return lines, end, nil
}

// lastLines returns the last n whole lines of a file, reading it from the
// back, and where they end.
func lastLines(f *os.File, n int) (text []byte, end int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	const block = 32 << 10
	at, whole := info.Size(), false
	for at > 0 {
		size := min(at, block)
		at -= size
		part := make([]byte, size, int(size)+len(text))
		if _, err := f.ReadAt(part, at); err != nil {
			return nil, 0, err
		}
		text = append(part, text...)
		if !whole {
			last := bytes.LastIndexByte(text, '\n')
			if last < 0 {
				continue
			}
			whole = true
			text = text[:last+1]
			end = at + int64(last) + 1
		}
		if n >= 0 {
			if cut, ok := cutLines(text, n); ok {
				return cut, end, nil
			}
		}
	}
	if !whole {
		return nil, 0, nil
	}
	return text, end, nil
}

// cutLines returns the last n lines of text, or false when it holds fewer
// line starts than that.
func cutLines(text []byte, n int) ([]byte, bool) {
	at := len(text)
	for range n + 1 {
		at = bytes.LastIndexByte(text[:at], '\n')
		if at < 0 {
			return nil, false
		}
	}
	return text[at+1:], true
}

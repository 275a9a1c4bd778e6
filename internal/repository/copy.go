package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Retry says how often a broken download goes on.
type Retry struct {
	Attempts int           // in a row without a byte; 0: five
	Wait     time.Duration // before the first of them, doubled for each further one; 0: a second
}

func (r Retry) orDefault() Retry {
	if r.Attempts == 0 {
		r.Attempts = 5
	}
	if r.Wait == 0 {
		r.Wait = time.Second
	}
	return r
}

// Again calls get, which fetches a whole file by Copy, until the file has come
// in one go: where a server has no ranges, what broke off begins anew.
func Again(ctx context.Context, retry Retry, get func() error) error {
	retry = retry.orDefault()
	for attempt := 1; ; attempt++ {
		err := get()
		if !errors.Is(err, ErrNoRanges) || attempt >= retry.Attempts {
			return err
		}
		if err := wait(ctx, retry.Wait<<(attempt-1)); err != nil {
			return err
		}
	}
}

// Copy writes length bytes of a blob from offset on to w; a negative length
// means to its end. When the connection breaks it goes on from where it was. It
// returns how many bytes it wrote; fewer than asked for come with an error. What
// it writes is not checked.
func Copy(ctx context.Context, w io.Writer, r Repository, d Descriptor, offset, length int64, retry Retry) (int64, error) {
	if length < 0 {
		length = d.Size - offset
	}
	retry = retry.orDefault()
	var done int64
	var broken error
	failures := 0
	for done < length {
		n, err := attempt(ctx, w, r, d, offset+done, length-done)
		done += n
		if err == nil {
			continue
		}
		if n > 0 {
			failures = 0
		}
		failures++
		var writing *writeError
		if errors.As(err, &writing) {
			return done, writing.err
		}
		if broken != nil && errors.Is(err, ErrNoRanges) {
			return done, fmt.Errorf("the download stopped at %d of %d bytes (%w), and %w", offset+done, d.Size, broken, err)
		}
		if permanent(err) || ctx.Err() != nil {
			return done, err
		}
		if failures >= retry.Attempts {
			return done, fmt.Errorf("the download stopped at %d of %d bytes, %d attempts to go on failed: %w", offset+done, d.Size, failures, err)
		}
		if err := wait(ctx, retry.Wait<<(failures-1)); err != nil {
			return done, err
		}
		broken = err
	}
	return done, nil
}

func attempt(ctx context.Context, w io.Writer, r Repository, d Descriptor, offset, length int64) (int64, error) {
	// A request for a whole file is one that every server understands.
	ask := length
	if offset+length == d.Size {
		ask = -1
	}
	body, err := r.Blob(ctx, d, offset, ask)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.Copy(failing{w}, io.LimitReader(body, length))
	if err == nil && n < length {
		err = fmt.Errorf("the connection ended too early: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// failing marks errors of the writer: no retry helps against a full disk.
type failing struct{ io.Writer }

type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

func (f failing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

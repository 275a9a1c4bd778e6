package repository

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/fetch"
)

// client makes requests over a network that may stop at any time.
type client struct {
	http *http.Client
	idle time.Duration
}

func newClient(o Options) client {
	c := client{o.Client, o.IdleTimeout}
	if c.http == nil {
		c.http = fetch.Way{}.Client()
	}
	if c.idle == 0 {
		c.idle = time.Minute
	}
	return c
}

// StatusError is an answer that is neither the content nor "not found".
type StatusError struct {
	Host   string
	Status int
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s answers %d %s", e.Host, e.Status, http.StatusText(e.Status))
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		text += ": a login is needed, or another one"
	}
	return text
}

// get reads a stretch of what is at a URL.
func (c client) get(ctx context.Context, at string, offset, length int64) (io.ReadCloser, error) {
	req, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	return c.stretch(ctx, req, offset, length, c.http.Do)
}

// stretch makes a request for length bytes from offset on and sees to it that
// these are what comes. do sends it.
func (c client) stretch(ctx context.Context, req *http.Request, offset, length int64, do func(*http.Request) (*http.Response, error)) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req = req.WithContext(ctx)
	whole := offset == 0 && length < 0
	if !whole {
		req.Header.Set("Range", byteRange(offset, length))
	}
	resp, err := do(req)
	if err != nil {
		cancel(nil)
		return nil, plain(err)
	}
	if err := c.acceptable(resp, whole, offset); err != nil {
		resp.Body.Close()
		cancel(nil)
		return nil, err
	}
	return limited(newAlive(ctx, cancel, resp.Body, c.idle), closeFunc(func() error {
		err := resp.Body.Close()
		cancel(nil)
		return err
	}), length), nil
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

func byteRange(offset, length int64) string {
	if length < 0 {
		return fmt.Sprintf("bytes=%d-", offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

func (c client) acceptable(resp *http.Response, whole bool, offset int64) error {
	switch {
	case whole && resp.StatusCode == http.StatusOK:
		return nil
	case resp.StatusCode == http.StatusPartialContent:
		if start, _, ok := contentRange(resp); !ok || start != offset {
			return fmt.Errorf("%s gives other bytes than it was asked for (%q)", resp.Request.URL.Host, resp.Header.Get("Content-Range"))
		}
		return nil
	case resp.StatusCode == http.StatusOK:
		return ErrNoRanges
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: %w", resp.Request.URL.Redacted(), ErrNotFound)
	}
	return &StatusError{resp.Request.URL.Host, resp.StatusCode}
}

// contentRange reads "bytes 0-499/1234".
func contentRange(resp *http.Response) (start, size int64, ok bool) {
	text, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, total, ok := strings.Cut(text, "/")
	if !ok {
		return 0, 0, false
	}
	first, _, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	size, err = strconv.ParseInt(total, 10, 64)
	if err != nil {
		size = -1 // "*": it does not say
	}
	return start, size, true
}

// size asks for the size of what is at a URL, and whether its server knows
// ranges, with a request for one byte. HEAD would tell less.
func (c client) size(ctx context.Context, at string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Range", byteRange(0, 1))
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, plain(err)
	}
	defer resp.Body.Close()
	if err := c.acceptable(resp, false, 0); err != nil {
		return 0, err
	}
	_, size, _ := contentRange(resp)
	if size < 0 {
		return 0, ErrNoRanges
	}
	return size, nil
}

// urlFiles is a layout as a folder on a server.
type urlFiles struct {
	client
	base *url.URL
}

func (u urlFiles) Close() error { return nil }

func (u urlFiles) open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	r, err := u.get(ctx, u.base.JoinPath(name).String(), offset, length)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w (%w)", err, fs.ErrNotExist)
	}
	return r, err
}

// alive ends a download from which nothing comes for a while: TCP alone waits
// for hours.
type alive struct {
	ctx   context.Context
	body  io.Reader
	timer *time.Timer
	idle  time.Duration
}

func newAlive(ctx context.Context, cancel context.CancelCauseFunc, body io.Reader, idle time.Duration) *alive {
	stop := func() { cancel(fmt.Errorf("nothing came for %v", idle)) }
	t := time.AfterFunc(idle, stop)
	t.Stop()
	return &alive{ctx, body, t, idle}
}

// Read runs the clock only while it waits: a caller may take its time.
func (a *alive) Read(p []byte) (int, error) {
	a.timer.Reset(a.idle)
	n, err := a.body.Read(p)
	a.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(a.ctx); cause != nil {
			return n, cause
		}
		return n, plain(err)
	}
	return n, err
}

// plain puts an error of the network into words that say what to do, and
// leaves out the URL that net/http puts in front.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && strings.Contains(invalid.Detail, " is before ") {
		// A machine without a battery wakes up in 1970, before every certificate.
		return fmt.Errorf("%w: is the clock of this machine right? %s", errClock, invalid.Detail)
	}
	return err
}

var errClock = errors.New("the server's certificate is not valid yet")

// permanent says whether asking again cannot help.
func permanent(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Status < 500 && status.Status != http.StatusTooManyRequests && status.Status != http.StatusRequestTimeout
	}
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate) || errors.Is(err, errClock) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoRanges) ||
		errors.Is(err, fs.ErrNotExist) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

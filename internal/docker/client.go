package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/rosteros/ros/internal/supervise"
)

// maxAnswer bounds an answer that is read whole.
const maxAnswer = 32 << 20

// Client speaks to the engine.
type Client struct {
	http *http.Client
}

// NewClient returns a client of the engine that listens at socket. It connects
// when it is used, and keeps no connection open that is not.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// StatusError is an answer with a status of 400 and up.
type StatusError struct {
	Status  int
	Message string
}

func (e *StatusError) Error() string { return e.Message }

// IsNotFound says whether the engine does not have what was asked for.
func IsNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

func hasStatus(err error, status int) bool {
	var answer *StatusError
	return errors.As(err, &answer) && answer.Status == status
}

// call makes a request and reads the answer into out, if it is not nil. An
// engine that does not answer is an error marked by supervise.Down.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := c.open(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return down(ctx, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the engine's answer to %s %s: %w", method, path, err)
	}
	return nil
}

// open makes a request and returns the body of the answer. in is sent as JSON,
// or as it is when it is a reader.
func (c *Client) open(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	return c.send(ctx, method, path, in, nil)
}

func (c *Client) send(ctx context.Context, method, path string, in any, header http.Header) (io.ReadCloser, error) {
	var payload io.Reader
	kind := "application/json"
	switch in := in.(type) {
	case nil:
	case io.Reader:
		payload, kind = in, "application/x-tar"
	default:
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, payload)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if payload != nil {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, down(ctx, err)
	}
	if resp.StatusCode < 400 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct{ Message string }
	if json.Unmarshal(text, &said) != nil || said.Message == "" {
		said.Message = fmt.Sprintf("the engine answered %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return nil, &StatusError{resp.StatusCode, strings.TrimPrefix(said.Message, "Error response from daemon: ")}
}

// down marks an error of the connection, unless it is the caller's own end.
func down(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the address in it means nothing to people
	}
	return supervise.Down(fmt.Errorf("the engine does not answer: %w", err))
}

// filters is the query that picks what a list or a stream has.
func filters(by map[string][]string) url.Values {
	text, _ := json.Marshal(by)
	return url.Values{"filters": {string(text)}}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"github.com/rosteros/ros/internal/control"
)

// client asks rosd.
//
// It speaks HTTP/1.0 itself: a request is one write, the answer a few header
// lines and then text until rosd closes the connection. That is all of HTTP
// that a unix socket needs, and it keeps net/http with its TLS out of a
// program that should be there at once.
type client struct{ socket string }

// refusal is an answer with a status of 400 and up.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

func (c client) status(ctx context.Context) (out control.Status, err error) {
	return out, c.ask(ctx, "GET", "/v1/status", nil, &out)
}

func (c client) services(ctx context.Context) (out []control.Service, err error) {
	return out, c.ask(ctx, "GET", "/v1/services", nil, &out)
}

func (c client) spec(ctx context.Context, name string) (out json.RawMessage, err error) {
	return out, c.ask(ctx, "GET", "/v1/services/"+url.PathEscape(name)+"/spec", nil, &out)
}

// act does one of the POST verbs to a service.
func (c client) act(ctx context.Context, verb, name string, opts control.Options) (out control.Service, err error) {
	return out, c.ask(ctx, "POST", "/v1/services/"+url.PathEscape(name)+"/"+verb, opts, &out)
}

func (c client) reload(ctx context.Context) (out control.Plan, err error) {
	return out, c.ask(ctx, "POST", "/v1/reload", struct{}{}, &out)
}

func (c client) plan(ctx context.Context) (out control.Plan, err error) {
	return out, c.ask(ctx, "GET", "/v1/plan", nil, &out)
}

func (c client) boot(ctx context.Context) (out control.Boot, err error) {
	return out, c.ask(ctx, "GET", "/v1/boot", nil, &out)
}

// events calls emit for every change until the context ends, rosd ends or
// emit returns an error; it never returns nil.
func (c client) events(ctx context.Context, emit func(control.Event) error) error {
	body, err := c.open(ctx, "GET", "/v1/events", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var e control.Event
		if err := dec.Decode(&e); err != nil {
			return err
		}
		if err := emit(e); err != nil {
			return err
		}
	}
}

func (c client) ask(ctx context.Context, method, path string, in, out any) error {
	body, err := c.open(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return io.ErrUnexpectedEOF
	}
	return json.Unmarshal(text, out)
}

// open sends a request and returns the body of the answer.
func (c client) open(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	return c.talk(ctx, method, path, in)
}

// talk is a connection after the headers of an answer: what follows is read
// from it, and what the other side then waits for is written to it.
type talk struct {
	*bufio.Reader
	conn net.Conn
	stop func() bool
}

func (t *talk) Write(p []byte) (int, error) { return t.conn.Write(p) }

// end tells the other side that nothing more will be written.
func (t *talk) end() error {
	if half, ok := t.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (t *talk) Close() error {
	t.stop()
	return t.conn.Close()
}

func (c client) talk(ctx context.Context, method, path string, in any) (*talk, error) {
	var payload []byte
	if in != nil {
		var err error
		if payload, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, err
	}
	// Closing is what ends a read when the context does.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	body, err := converse(conn, method, path, payload)
	if err != nil {
		stop()
		conn.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return &talk{body, conn, stop}, nil
}

func converse(conn net.Conn, method, path string, payload []byte) (*bufio.Reader, error) {
	var req bytes.Buffer
	fmt.Fprintf(&req, "%s %s HTTP/1.0\r\nHost: rosd\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, path, len(payload), payload)
	if _, err := conn.Write(req.Bytes()); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(line, " ")
	word, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(strings.TrimSpace(word))
	if err != nil {
		return nil, fmt.Errorf("answer begins %q, which is not HTTP", strings.TrimSpace(line))
	}
	for strings.TrimRight(line, "\r\n") != "" {
		if line, err = in.ReadString('\n'); err != nil {
			return nil, err
		}
	}
	if status >= 400 {
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		var e control.Error
		if json.Unmarshal(text, &e) != nil || e.Message == "" {
			e.Message = fmt.Sprintf("rosd answered %d: %s", status, bytes.TrimSpace(text))
		}
		return nil, &refusal{status, e.Message}
	}
	return in, nil
}

// gone says whether err means that the other end went away while we talked.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

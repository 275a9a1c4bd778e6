package docker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/servicelog"
)

// Log reads the last lines that a service wrote, and with follow those that it
// writes, until emit returns an error or ctx ends.
func (r *Runtime) Log(ctx context.Context, svc compose.Service, lines int, follow bool, emit func(servicelog.Line) error) error {
	if err := r.readLog(ctx, svc, lines, follow, emit); err != nil {
		return fmt.Errorf("cannot read the log of service %q: %w", svc.Name, err)
	}
	return nil
}

func (r *Runtime) readLog(ctx context.Context, svc compose.Service, lines int, follow bool, emit func(servicelog.Line) error) error {
	c, err := project.Of(svc)
	if err != nil {
		return err
	}
	have, err := r.inspect(ctx, c.Name)
	if IsNotFound(err) {
		return nil // it has not said a word
	}
	if err != nil {
		return err
	}
	query := fmt.Sprintf("stdout=1&stderr=1&timestamps=1&tail=%d&follow=%t", lines, follow)
	body, err := r.open(ctx, "GET", "/containers/"+have.ID+"/logs?"+query, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if have.Config.Tty {
		return split(body, "stdout", emit)
	}
	return demultiplex(body, emit)
}

// demultiplex reads frames of a stream: its number, three zeros, the length.
func demultiplex(r io.Reader, emit func(servicelog.Line) error) error {
	in := bufio.NewReader(r)
	for {
		var head [8]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return ended(err)
		}
		stream := "stdout"
		if head[0] == 2 {
			stream = "stderr"
		}
		frame := io.LimitReader(in, int64(binary.BigEndian.Uint32(head[4:])))
		if err := split(frame, stream, emit); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, frame); err != nil {
			return ended(err)
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// split reads lines that begin with their time.
func split(r io.Reader, stream string, emit func(servicelog.Line) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		stamp, text, _ := strings.Cut(lines.Text(), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			text = lines.Text()
		}
		if err := emit(servicelog.Line{Time: at, Stream: stream, Text: strings.TrimSuffix(text, "\r")}); err != nil {
			return err
		}
	}
	return ended(lines.Err())
}

// lastLineBound is for an engine that does not answer: who asks waits with it.
const lastLineBound = 2 * time.Second

// LastLine is the last line that a service wrote since then; "": none.
func (r *Runtime) LastLine(ctx context.Context, svc compose.Service, since time.Time) string {
	ctx, cancel := context.WithTimeout(ctx, lastLineBound)
	defer cancel()
	last := ""
	_ = r.Log(ctx, svc, 1, false, func(l servicelog.Line) error {
		if !l.Time.Before(since) {
			last = l.Text
		}
		return nil
	})
	return last
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/osupdate"
)

// shower shows the events of the worker: a bar on a terminal, plain lines
// elsewhere, the events themselves for --json.
type shower struct {
	out      io.Writer
	json     *json.Encoder
	terminal bool
	now      func() time.Time

	step   string
	began  time.Time // of the step
	drawn  int       // columns of the bar on the screen
	tenths int64     // of the step, that were said
	saidAt time.Time
}

func (a *app) shower(asJSON bool) *shower {
	s := &shower{out: a.stdout, terminal: a.terminal, now: a.now}
	if asJSON {
		s.json = json.NewEncoder(a.stdout)
		s.json.SetEscapeHTML(false)
	}
	return s
}

func (s *shower) event(e osupdate.Event) error {
	switch {
	case s.json != nil:
		return s.json.Encode(e)
	case e.Event == osupdate.Progress && s.terminal:
		return s.bar(e)
	case e.Event == osupdate.Progress:
		return s.line(e)
	}
	s.end()
	_, err := fmt.Fprintln(s.out, e.Text)
	return err
}

// last is the last event of the worker, for --json: its result, or its error.
func (s *shower) last(result json.RawMessage, err error) error {
	var failed *osupdate.Failure
	switch {
	case errors.As(err, &failed):
		return s.json.Encode(osupdate.Event{Event: osupdate.Error, Error: failed.Message})
	case err != nil:
		return nil // it never came
	}
	return s.json.Encode(osupdate.Event{Event: osupdate.Result, Result: result})
}

// end leaves the line of the bar.
func (s *shower) end() {
	if s.drawn > 0 {
		fmt.Fprintln(s.out)
		s.drawn = 0
	}
}

func (s *shower) begin(e osupdate.Event) {
	if e.Step == s.step {
		return
	}
	s.end()
	s.step, s.began, s.tenths, s.saidAt = e.Step, s.now(), -1, time.Time{}
}

const barWidth = 24

// bar draws over the line that it drew before.
func (s *shower) bar(e osupdate.Event) error {
	s.begin(e)
	line := fmt.Sprintf("%-16s ", e.Step)
	if e.Total > 0 {
		full := int(min(e.Done, e.Total) * barWidth / e.Total)
		line += fmt.Sprintf("[%s%s] %3d%%  ", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), percent(e))
	}
	line += s.amount(e)
	blank := max(0, s.drawn-len(line))
	s.drawn = len(line)
	_, err := fmt.Fprintf(s.out, "\r%s%s", line, strings.Repeat(" ", blank))
	return err
}

// lineInterval is between two plain lines about a step whose end is not known.
const lineInterval = 10 * time.Second

// line says where a step is: at its begin, at every tenth, at its end.
func (s *shower) line(e osupdate.Event) error {
	s.begin(e)
	now := s.now()
	tenths := percent(e) / 10
	if e.Total > 0 && tenths == s.tenths || e.Total <= 0 && now.Sub(s.saidAt) < lineInterval {
		return nil
	}
	s.tenths, s.saidAt = tenths, now
	text := e.Step + ": "
	if e.Total > 0 {
		text += fmt.Sprintf("%d%%  ", percent(e))
	}
	_, err := fmt.Fprintln(s.out, strings.TrimRight(text+s.amount(e), " "))
	return err
}

// amount is the bytes and how long the rest will take: "92.1 of 204.8 MiB, 1m 2s left".
func (s *shower) amount(e osupdate.Event) string {
	if e.Total <= 0 {
		if e.Done == 0 {
			return "..."
		}
		return size(e.Done)
	}
	text := fmt.Sprintf("%s of %s", orElse(strings.TrimPrefix(size(e.Done), "-"), "0"), size(e.Total))
	elapsed := s.now().Sub(s.began)
	switch {
	case e.Done >= e.Total:
		return text + ", " + span(elapsed)
	case e.Done == 0 || elapsed < time.Second:
		return text
	}
	left := time.Duration(float64(elapsed) * float64(e.Total-e.Done) / float64(e.Done))
	return text + ", " + span(left) + " left"
}

func percent(e osupdate.Event) int64 {
	if e.Total <= 0 {
		return 0
	}
	return min(e.Done, e.Total) * 100 / e.Total
}

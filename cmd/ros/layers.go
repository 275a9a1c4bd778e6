package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/images"
)

// layers shows the steps of a pull as docker does: on a terminal a line for
// each layer, which changes in its place; else a line for each change.
type layers struct {
	to              io.Writer
	terminal, quiet bool

	order []string // layers in the order in which they came
	last  map[string]control.ImageEvent
	lines int // on the screen
}

func (l *layers) show(e control.ImageEvent) {
	if l.quiet {
		return
	}
	if l.last == nil {
		l.last = map[string]control.ImageEvent{}
	}
	was, known := l.last[e.Layer]
	l.last[e.Layer] = e
	switch {
	case !l.terminal && (known && was.Status == e.Status || e.Status == images.Waiting):
		return // how far it is says nothing in a file
	case !l.terminal || e.Layer == "" && e.Status != images.Loading:
		fmt.Fprintln(l.to, line(e, false))
		l.lines, l.order = 0, nil
		return
	}
	if !slices.Contains(l.order, e.Layer) {
		l.order = append(l.order, e.Layer)
	}
	var b strings.Builder
	if l.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.lines)
	}
	for _, layer := range l.order {
		b.WriteString("\x1b[2K" + line(l.last[layer], true) + "\n")
	}
	l.lines = len(l.order)
	_, _ = io.WriteString(l.to, b.String())
}

// text prints a line that is of no layer.
func (l *layers) text(line string) {
	if !l.quiet {
		fmt.Fprintln(l.to, line)
	}
	l.lines, l.order = 0, nil // what comes next is drawn below it
}

// line is one layer: "a0b1c2d3e4f5: Downloading [===>   ]  1.2MB/3.4MB".
func line(e control.ImageEvent, bar bool) string {
	text := e.Status
	if bar && (e.Status == images.Downloading || e.Status == images.Loading) {
		text += " " + progressBar(e.Current, e.Total)
	}
	if e.Layer == "" {
		return text
	}
	return e.Layer + ": " + text
}

func progressBar(current, total int64) string {
	if total <= 0 {
		return units.HumanSizeWithPrecision(float64(current), 3)
	}
	const width = 50
	done := int(min(current, total) * width / total)
	head := ">"
	if done == width {
		head = ""
	}
	return fmt.Sprintf("[%s%s%s]  %s/%s", strings.Repeat("=", done), head, strings.Repeat(" ", max(width-done-len(head), 0)),
		units.HumanSizeWithPrecision(float64(current), 3), units.HumanSizeWithPrecision(float64(total), 3))
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
)

// inEngine notes which services have their log in the engine: the one of that
// name, or, without a name, all of them, which are shown too then.
func (l *logs) inEngine(services []control.Service, name *string) {
	for _, s := range services {
		if s.Scope != compose.ScopeUser || name != nil && s.Name != *name {
			continue
		}
		l.engine = append(l.engine, s.Name)
		if !slices.Contains(l.names, s.Name) {
			l.names = append(l.names, s.Name)
		}
	}
}

// fromEngine reads a log through rosd.
func (l *logs) fromEngine(ctx context.Context, name string, follow bool, emit func(logLine) error) error {
	path := fmt.Sprintf("/v1/services/%s/log?lines=%d", url.PathEscape(name), l.lines)
	if follow {
		path += "&follow=1"
	}
	body, err := l.daemon().open(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var line control.LogLine
		switch err := dec.Decode(&line); {
		case errors.Is(err, io.EOF), err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case line.Error != "":
			return &refusal{status: 409, message: line.Error}
		}
		if err := emit(logLine{name, line.Time, line.Stream, line.Text}); err != nil {
			return err
		}
	}
}

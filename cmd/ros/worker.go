package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/osupdate"
)

// work has the worker do a verb, through rosd or, where rosd does not run, by
// itself: the rescue shell has no rosd. It shows the events as they come (for
// --json as they are) and decodes the result into out, which may be nil.
// doing is the verb in the operator's words: "install on /dev/vda".
func (a *app) work(ctx context.Context, cmd *cli.Command, doing, verb string, options, out any) error {
	text, err := json.Marshal(options)
	if err != nil {
		return err
	}
	show := a.shower(cmd.Bool("json"))
	var result json.RawMessage
	err = osupdate.Collect(ctx, a.worker(), verb, text, &result, show.event)
	show.end()
	if cmd.Bool("json") {
		if sayErr := show.last(result, err); sayErr != nil {
			return sayErr
		}
	}
	if err != nil || out == nil {
		return a.explainWork(doing, err)
	}
	return json.Unmarshal(result, out)
}

// explainWork leaves what the worker says itself as it is.
func (a *app) explainWork(doing string, err error) error {
	var failed *osupdate.Failure
	if errors.As(err, &failed) {
		return err
	}
	return a.explain(doing, err)
}

// worker is rosd or, if nothing listens there and root asks, the program itself.
func (a *app) worker() osupdate.Worker {
	return fallback{first: a.daemon(), unreachable: a.unreachable, second: a.localWorker()}
}

// localWorker is nil where the program is not, as in the console, or is not for
// whoever asks.
func (a *app) localWorker() osupdate.Worker {
	if _, err := os.Stat(a.osupdate); err != nil || a.uid != 0 {
		return nil
	}
	return osupdate.Local{Program: a.osupdate, Stderr: a.stderr}
}

// fallback asks the second worker when the first is not there.
type fallback struct {
	first, second osupdate.Worker
	unreachable   func(error) bool
}

func (f fallback) Run(ctx context.Context, verb string, options []byte, emit func(osupdate.Event) error) error {
	err := f.first.Run(ctx, verb, options, emit)
	if f.second != nil && f.unreachable(err) {
		return f.second.Run(ctx, verb, options, emit)
	}
	return err
}

// Run asks rosd for a verb of the worker. An error of emit ends it.
func (c client) Run(ctx context.Context, verb string, options []byte, emit func(osupdate.Event) error) error {
	body, err := c.open(ctx, "POST", "/v1/os/"+verb, json.RawMessage(options))
	if err != nil {
		return err
	}
	defer body.Close()
	for in := json.NewDecoder(body); ; {
		var e osupdate.Event
		if err := in.Decode(&e); err != nil {
			return noEnd(err)
		}
		if err := emit(e); err != nil {
			return err
		}
		if e.Event == osupdate.Result || e.Event == osupdate.Error {
			return nil
		}
	}
}

// noEnd is the error of a stream that broke off before its last event.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// osStatus is what "osupdate status" says; everybody of group ros may ask.
func (a *app) osStatus(ctx context.Context, out any) error {
	err := a.daemon().ask(ctx, "GET", "/v1/os", nil, out)
	if local := a.localWorker(); local != nil && a.unreachable(err) {
		err = osupdate.Collect(ctx, local, "status", nil, out, nil)
	}
	return a.explainWork("tell the state of the OS", err)
}

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) eventsVerb() *cli.Command {
	return &cli.Command{
		Name:     "events",
		Usage:    "follow the changes of services as they happen",
		Category: "The machine",
		Description: `Prints a line per change until you press Ctrl-C or rosd ends. With --json a line
is one JSON object.`,
		Metadata: examples("ros events", `ssh rancher@edge-7 ros events --json | jq 'select(.to == "failed")'`),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.events(ctx, cmd.Bool("json"))
		},
	}
}

func (a *app) events(ctx context.Context, asJSON bool) error {
	lines := json.NewEncoder(a.stdout)
	lines.SetEscapeHTML(false)
	err := a.daemon().events(ctx, func(e control.Event) error {
		if asJSON {
			return lines.Encode(e)
		}
		_, err := fmt.Fprintln(a.stdout, a.eventLine(e))
		return err
	})
	return a.explain("follow the events", err)
}

func (a *app) eventLine(e control.Event) string {
	line := e.Time.In(a.loc).Format("15:04:05.000") + " "
	if e.Type != "state" {
		line += e.Type
	}
	if e.Service != "" {
		line += e.Service
	}
	if e.To != "" {
		line += fmt.Sprintf(" %s -> %s", orElse(string(e.From), "new"), a.word(e.To))
	}
	if e.Reason != "" {
		line += ": " + e.Reason
	}
	return line
}

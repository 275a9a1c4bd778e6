package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) statusVerb() *cli.Command {
	return &cli.Command{
		Name:     "status",
		Usage:    "the machine on one screen: what runs, what waits, what is wrong",
		Category: "The machine",
		Description: `The exit status is 1 when a required service is failed, unhealthy or in backoff,
so that a script can ask; a service that is still starting is not a fault.`,
		Metadata: examples("ros status", "ros status >/dev/null || echo not well", "ssh rancher@edge-7 ros status --json | jq -r .version"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.status(ctx, cmd.Bool("json"))
		},
	}
}

func (a *app) status(ctx context.Context, asJSON bool) error {
	st, err := a.daemon().status(ctx)
	if err != nil {
		return a.explain("show the status", err)
	}
	if asJSON {
		err = a.printJSON(st)
	} else {
		a.printStatus(st)
	}
	if err != nil {
		return err
	}
	if len(requiredIll(st.Services)) > 0 {
		return unwell()
	}
	return nil
}

func (a *app) printStatus(st control.Status) {
	w := a.stdout
	head := table{}
	head.add("Roster", fmt.Sprintf("%s %s on %s", st.Version, st.Arch, st.Hostname))
	head.add("Slot", st.Slot)
	head.add("State", st.State)
	head.add("Kernel", st.Kernel)
	head.add("Up", span(time.Duration(st.UptimeSeconds*float64(time.Second))))
	head.add("Memory", fmt.Sprintf("%s used of %s", size(st.MemTotal-st.MemAvailable), size(st.MemTotal)))
	head.write(w)
	for _, warning := range st.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	fmt.Fprintln(w)
	a.psTable(st.Services).write(w)
	fmt.Fprintln(w)
	fmt.Fprintln(w, verdict(st.Services))
}

// verdict is the last line: what a tired operator should read.
func verdict(services []control.Service) string {
	var on, wrong, busy []string
	for _, s := range services {
		switch s.State {
		case control.Waiting, control.Starting, control.Stopping:
			busy = append(busy, s.Name)
		case control.Failed, control.Unhealthy, control.Backoff:
			wrong = append(wrong, s.Name)
		case control.Running, control.Healthy:
			on = append(on, s.Name)
		}
	}
	required := requiredIll(services)
	switch {
	case len(required) > 0:
		return "NOT WELL: required " + strings.Join(required, ", ")
	case len(wrong) > 0:
		return "Well, but look at " + strings.Join(wrong, ", ")
	case len(busy) > 0:
		return "On the way: " + strings.Join(busy, ", ")
	}
	return fmt.Sprintf("All well: %d of %d services run, the others are done or stopped", len(on), len(services))
}

func requiredIll(services []control.Service) []string {
	var names []string
	for _, s := range services {
		if s.Required && ill(s.State) {
			names = append(names, fmt.Sprintf("%s is %s", s.Name, s.State))
		}
	}
	return names
}

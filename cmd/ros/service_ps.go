package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) psVerb() *cli.Command {
	return &cli.Command{
		Name:      "ps",
		Usage:     "every service with its state, and why when it is not well",
		Category:  lookAtServices,
		ArgsUsage: "[NAME…]",
		Description: `STATE is waiting, starting, running, backoff (ended, will be started again),
stopping, stopped (by you), done (a one-shot that succeeded) or failed. HEALTH
is what the healthcheck says. SINCE is when the state began. PORTS are those of
the machine that lead to it. --json has more: its process, the exit code, when
it starts again.`,
		Metadata: examples("ros service ps", "ros service ps -q", "ros service ps --json ntp"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print names only", Local: true},
			jsonFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return a.ps(ctx, cmd.Args().Slice(), cmd.Bool("quiet"), cmd.Bool("json"))
		},
	}
}

func (a *app) ps(ctx context.Context, names []string, quiet, asJSON bool) error {
	services, err := a.daemon().services(ctx)
	if err != nil {
		return a.explain("show the services", err)
	}
	if services, err = pick("show", services, names); err != nil {
		return err
	}
	switch {
	case asJSON:
		return a.printJSON(services)
	case quiet:
		for _, s := range services {
			fmt.Fprintln(a.stdout, s.Name)
		}
	default:
		a.psTable(services).write(a.stdout)
	}
	return nil
}

// psTable has a line per service and one more below those that are not where
// they should be.
func (a *app) psTable(services []control.Service) *table {
	t := &table{color: a.color}
	// What can be long stands last, where it moves nothing.
	t.add("NAME", "STATE", "HEALTH", "RESTARTS", "SINCE", "MEMORY", "IMAGE", "PORTS")
	for _, s := range services {
		state, health := stateAndHealth(s.State)
		image, _, _ := strings.Cut(s.Image, "@") // as docker ps: no digest
		t.add(s.Name, state, health, strconv.Itoa(s.Restarts), a.since(s), size(s.Memory), orDash(image), orDash(strings.Join(s.Ports, ", ")))
		if why := a.why(s); why != "" {
			t.note("%s", why)
		}
	}
	return t
}

// stateAndHealth says in two words for people what control says in one: up,
// and what the healthcheck thinks of it.
func stateAndHealth(s control.State) (state, health string) {
	switch s {
	case control.Healthy, control.Unhealthy:
		return string(control.Running), string(s)
	}
	return string(s), "-"
}

func (a *app) since(s control.Service) string {
	if s.Since.IsZero() {
		return "-"
	}
	return span(a.now().Sub(s.Since)) + " ago"
}

// why is the line below a service that is not where it should be.
func (a *app) why(s control.Service) string {
	switch s.State {
	case control.Failed, control.Unhealthy:
		return orElse(s.Reason, "no reason is known; see ros service logs "+s.Name)
	case control.Backoff:
		next := "starts again soon"
		if !s.NextStart.IsZero() {
			next = "starts again in " + span(s.NextStart.Sub(a.now()))
		}
		if s.Reason != "" {
			return s.Reason + "; " + next
		}
		return next
	case control.Waiting:
		if len(s.WaitingFor) > 0 {
			return "waits for " + strings.Join(s.WaitingFor, ", ")
		}
	}
	return ""
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

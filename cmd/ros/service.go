package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

// serviceVerb is the group of verbs about services.
func (a *app) serviceVerb() *cli.Command {
	return &cli.Command{
		Name:     "service",
		Aliases:  []string{"s"},
		Usage:    "run and watch services (ps, logs, restart and more)",
		Category: "Services",
		Description: `A service is a container that rosd keeps running, described in a Compose file.
"ros s" is short for "ros service".`,
		Metadata: examples(
			"ros service ps",
			"ros service logs -f ntp",
			"ros service restart -t 3 ntp syslog",
		),
		Commands: []*cli.Command{
			a.psVerb(),
			a.listVerb(),
			a.logsVerb(),
			a.planVerb(),
			a.specVerb(),
			a.inspectVerb(),
			a.statsVerb(),
			a.execVerb(),
			a.upVerb(),
			a.startVerb(),
			a.stopVerb(),
			a.restartVerb(),
			a.killVerb(),
			a.downVerb(),
			a.rmVerb(),
			a.createVerb(),
			a.enableVerb(),
			a.disableVerb(),
			a.deleteVerb(),
			a.updateVerb(),
			a.pullVerb(),
			a.buildVerb(),
		},
	}
}

const (
	lookAtServices   = "Look at services"
	changeServices   = "Change what runs"
	changeNamesUsage = "NAME…"
)

// noWaitFlag is on the verbs whose answer takes as long as the service does.
func noWaitFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-wait", Usage: "return at once, not when the service has settled", Local: true}
}

// stopTimeoutFlag is on the verbs that stop a service.
func stopTimeoutFlag() cli.Flag {
	return &cli.IntFlag{
		Name: "timeout", Aliases: []string{"t"}, Local: true,
		Usage: "kill after so many `SECONDS`, not stop_grace_period",
		Validator: func(n int) error {
			if n < 0 {
				return errors.New("less than nothing")
			}
			return nil
		},
	}
}

// options gathers the flags that the changing verbs share.
func options(cmd *cli.Command) control.Options {
	opts := control.Options{Wait: !cmd.Bool("no-wait")}
	if cmd.IsSet("timeout") {
		seconds := cmd.Int("timeout")
		opts.TimeoutSeconds = &seconds
	}
	return opts
}

// change does a verb to each of the names, in their order, and prints what tell
// says about each. One that fails does not keep the others from their turn.
func (a *app) change(ctx context.Context, verb string, names []string, opts control.Options, tell func(control.Service) (string, error)) error {
	var faults []error
	for _, name := range names {
		s, err := a.daemon().act(ctx, verb, name, opts)
		if err != nil {
			err = a.explainNamed(ctx, inWords(verb), name, err)
			faults = append(faults, err)
			if f := new(fault); errors.As(err, &f) && f.code == exitUnreachable {
				break // nor will the others be heard
			}
			continue
		}
		word, err := tell(s)
		fmt.Fprintf(a.stdout, "%s %s\n", name, word)
		if err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// inWords is what a verb does to a service: one cannot "up" it.
func inWords(verb string) string {
	if verb == "up" {
		return "bring up"
	}
	return verb
}

// settled tells the state that a service was brought to; when that is a bad
// one, the verb has failed.
func (a *app) settled(s control.Service) (string, error) {
	if !ill(s.State) {
		return a.word(s.State), nil
	}
	return a.word(s.State), &fault{
		err:  fmt.Errorf("service %q is %s: %s", s.Name, s.State, orElse(s.Reason, "no reason is known")),
		try:  "ros service logs " + s.Name,
		code: exitFailed,
	}
}

// word is a state, coloured on a terminal.
func (a *app) word(s control.State) string {
	if a.color {
		return paint(string(s))
	}
	return string(s)
}

// ill says whether a state wants an operator.
func ill(s control.State) bool {
	return s == control.Failed || s == control.Unhealthy || s == control.Backoff
}

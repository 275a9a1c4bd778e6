package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"
)

func (a *app) planVerb() *cli.Command {
	return &cli.Command{
		Name:     "plan",
		Usage:    "what would be started, in which order, and what cannot be",
		Category: lookAtServices,
		Description: `Every service stands below those it waits for. A service or a file that cannot
be part of the plan is named with the reason, and the exit status is 1.`,
		Metadata: examples("ros service plan"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.plan(ctx, cmd.Bool("json"))
		},
	}
}

func (a *app) plan(ctx context.Context, asJSON bool) error {
	plan, err := a.daemon().plan(ctx)
	if err != nil {
		return a.explain("show the plan", err)
	}
	if asJSON {
		if err := a.printJSON(plan); err != nil {
			return err
		}
	} else {
		t := table{}
		t.add("#", "NAME", "WAITS FOR", "FILE")
		for i, s := range plan.Steps {
			t.add(strconv.Itoa(i+1), s.Service, orDash(strings.Join(s.WaitsFor, ", ")), s.File)
		}
		t.write(a.stdout)
	}
	return planFaults(plan)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) upVerb() *cli.Command {
	return &cli.Command{
		Name:      "up",
		Usage:     "read the service files again and make services run as they say",
		Category:  changeServices,
		ArgsUsage: "[NAME…]",
		Description: `Creates and starts what does not run and recreates what runs with an older
definition than its file has now; the rest is left alone. Without a name: every
service of the plan, in its order ("ros service plan" shows it).`,
		Metadata: examples("ros service up", "ros service up --force-recreate ntp"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force-recreate", Usage: "recreate the container though nothing changed", Local: true},
			noWaitFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			opts := options(cmd)
			opts.ForceRecreate = cmd.Bool("force-recreate")
			return a.up(ctx, cmd.Args().Slice(), opts)
		},
	}
}

func (a *app) up(ctx context.Context, names []string, opts control.Options) error {
	plan, err := a.daemon().reload(ctx)
	if err != nil {
		return a.explain("read the service files", err)
	}
	all := len(names) == 0
	for _, step := range plan.Steps {
		if all {
			names = append(names, step.Service)
		}
	}
	err = a.change(ctx, "up", names, opts, a.settled)
	if all {
		err = errors.Join(planFaults(plan), err)
	}
	return err
}

// planFaults is what keeps services out of a plan, as one error.
func planFaults(plan control.Plan) error {
	var faults []error
	for _, f := range plan.Faults {
		faults = append(faults, errors.New(f.Error))
	}
	return errors.Join(faults...)
}

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
service of the plan, in its order ("ros service plan" shows it). Images that
are not on the machine are pulled first, or as pull_policy says.`,
		Metadata: examples("ros service up", "ros service up --force-recreate ntp"),
		Flags:    append(recreateFlags(), foregroundFlag(), noWaitFlag()),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			opts := options(cmd)
			opts.ForceRecreate = cmd.Bool("force-recreate")
			verb := "up"
			if cmd.Bool("no-recreate") {
				verb = "start"
			}
			names := cmd.Args().Slice()
			return a.foreground(ctx, cmd, names, a.up(ctx, verb, names, opts))
		},
	}
}

// foregroundFlag is RancherOS's: what services write is shown until Ctrl-C.
func foregroundFlag() cli.Flag {
	return &cli.BoolFlag{Name: "foreground", Usage: "then show what they write until Ctrl-C", Local: true}
}

func (a *app) foreground(ctx context.Context, cmd *cli.Command, names []string, err error) error {
	if err != nil || !cmd.Bool("foreground") {
		return err
	}
	l := logs{app: a, names: names, lines: 0}
	if err := l.findNames(ctx); err != nil {
		return err
	}
	return l.follow(ctx)
}

func (a *app) up(ctx context.Context, verb string, names []string, opts control.Options) error {
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
	missing := a.fetchImages(ctx, names)
	err = errors.Join(missing, a.change(ctx, verb, names, opts, a.settled))
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

package main

import (
	"context"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) downVerb() *cli.Command {
	return &cli.Command{
		Name:      "down",
		Usage:     "stop services and remove their containers",
		Category:  changeServices,
		ArgsUsage: changeNamesUsage,
		Description: `The last named stops first. Networks of a project go with its last container;
volumes and images stay.`,
		Metadata: examples("ros service down web db"),
		Flags:    []cli.Flag{stopTimeoutFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			names, err := needNames(cmd)
			if err != nil {
				return err
			}
			slices.Reverse(names)
			opts := options(cmd)
			opts.Wait = true
			err = a.change(ctx, "stop", names, opts, a.settled)
			if err != nil {
				return err
			}
			return a.change(ctx, "rm", names, control.Options{}, func(control.Service) (string, error) { return "removed", nil })
		},
	}
}

func (a *app) createVerb() *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "read service files again and get the images",
		Category:  changeServices,
		ArgsUsage: changeNamesUsage,
		Description: `A container is made when its service starts; "create" makes sure that it can be:
the file is sound and the image is there.`,
		Metadata: examples("ros service create web"),
		Flags:    recreateFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			names, err := needNames(cmd)
			if err != nil {
				return err
			}
			if err := a.needRoot("pull images"); err != nil {
				return err
			}
			plan, err := a.daemon().reload(ctx)
			if err != nil {
				return a.explain("read the service files", err)
			}
			for _, f := range plan.Faults {
				if slices.Contains(names, f.Service) {
					return planFaults(plan)
				}
			}
			return a.explain("create services", a.inSteps(ctx, "/v1/catalog/pull", control.CatalogNames{Names: names}))
		},
	}
}

// recreateFlags are RancherOS's; what has no meaning here changes nothing.
func recreateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "no-recreate", Usage: "leave alone what runs, also when it changed", Local: true},
		&cli.BoolFlag{Name: "force-recreate", Usage: "recreate the container though nothing changed", Local: true},
		&cli.BoolFlag{Name: "no-build", Usage: "no effect: nothing is built here", Local: true},
		&cli.BoolFlag{Name: "d", Usage: "no effect: services never hold the terminal", Local: true},
	}
}

package main

import (
	"context"

	"github.com/urfave/cli/v3"
)

func (a *app) listVerb() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Aliases:   []string{"ls"},
		Usage:     "every service with its image and its file",
		Category:  lookAtServices,
		ArgsUsage: "[NAME…]",
		Description: `SCOPE says who runs it: the system's containerd or the user's engine.
REQUIRED: the machine is not well without it.`,
		Metadata: examples("ros service list", "ros service list --json | jq -r '.[].file'"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return a.list(ctx, cmd.Args().Slice(), cmd.Bool("json"))
		},
	}
}

func (a *app) list(ctx context.Context, names []string, asJSON bool) error {
	services, err := a.daemon().services(ctx)
	if err != nil {
		return a.explain("list the services", err)
	}
	if services, err = pick("list", services, names); err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(services)
	}
	t := table{}
	t.add("NAME", "SCOPE", "REQUIRED", "IMAGE", "FILE")
	for _, s := range services {
		required := "no"
		if s.Required {
			required = "yes"
		}
		t.add(s.Name, string(s.Scope), required, orDash(s.Image), orDash(s.File))
	}
	t.write(a.stdout)
	return nil
}

package main

import (
	"context"

	"github.com/urfave/cli/v3"
)

func (a *app) startVerb() *cli.Command {
	return &cli.Command{
		Name:      "start",
		Usage:     "start stopped, failed or finished services",
		Category:  changeServices,
		ArgsUsage: changeNamesUsage,
		Description: `Starts each service as rosd knows it ("up" reads its file again first) and
returns when it runs, is healthy, is done or has failed. It waits for the
services that it depends on, as at boot.`,
		Metadata: examples("ros service start ntp", "ros service start --no-wait docker"),
		Flags:    []cli.Flag{foregroundFlag(), noWaitFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			names, err := needNames(cmd)
			if err != nil {
				return err
			}
			return a.foreground(ctx, cmd, names, a.change(ctx, "start", names, options(cmd), a.settled))
		},
	}
}

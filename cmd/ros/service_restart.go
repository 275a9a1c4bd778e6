package main

import (
	"context"

	"github.com/urfave/cli/v3"
)

func (a *app) restartVerb() *cli.Command {
	return &cli.Command{
		Name:      "restart",
		Usage:     "stop services and start them again",
		Category:  changeServices,
		ArgsUsage: changeNamesUsage,
		Description: `Services that depend on one of them with "restart: true" are restarted too.
To use a changed service file, say "up".`,
		Metadata: examples("ros service restart network", "ros service restart -t 3 ntp syslog"),
		Flags:    []cli.Flag{stopTimeoutFlag(), noWaitFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			names, err := needNames(cmd)
			if err != nil {
				return err
			}
			return a.change(ctx, "restart", names, options(cmd), a.settled)
		},
	}
}

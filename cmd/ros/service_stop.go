package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) stopVerb() *cli.Command {
	return &cli.Command{
		Name:      "stop",
		Usage:     "stop services until they are started or the machine boots",
		Category:  changeServices,
		ArgsUsage: changeNamesUsage,
		Description: `Sends each service its stop signal, and SIGKILL when it has not ended in time.
What depends on it goes on running.`,
		Metadata: examples("ros service stop ntp", "ros service stop -t 1 cron syslog"),
		Flags:    []cli.Flag{stopTimeoutFlag(), noWaitFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			names, err := needNames(cmd)
			if err != nil {
				return err
			}
			return a.change(ctx, "stop", names, options(cmd), func(s control.Service) (string, error) {
				return a.word(s.State), nil
			})
		},
	}
}

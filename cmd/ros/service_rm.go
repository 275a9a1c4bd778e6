package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) rmVerb() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove the containers of stopped services",
		Category:  changeServices,
		ArgsUsage: changeNamesUsage,
		Description: `What the service wrote outside its volumes is lost; its volumes and its log
stay. "start" or "up" makes a new container.`,
		Metadata: examples("ros service rm -f ntp"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "stop those that run", Local: true},
			&cli.BoolFlag{Name: "v", Usage: "no effect: volumes without a name go with their container", Local: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			names, err := needNames(cmd)
			if err != nil {
				return err
			}
			if cmd.Bool("force") {
				opts := control.Options{Wait: true}
				if err := a.change(ctx, "stop", names, opts, a.settled); err != nil {
					return err
				}
			}
			return a.change(ctx, "rm", names, control.Options{}, func(control.Service) (string, error) {
				return "removed", nil
			})
		},
	}
}

package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func noPullFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-pull", Usage: "take no image that is not on the machine", Local: true}
}

func (a *app) engineSwitchVerb() *cli.Command {
	return &cli.Command{
		Name:      "switch",
		Usage:     "change the engine, now",
		ArgsUsage: engineUsage,
		Description: `ENGINE is docker, none, a name of "ros engine list", an image, or an archive of
one (/path or ./path). It is fetched and looked into first. Then the engine's
containers are stopped, the other engine starts, and those with a restart policy
come back in it; images, volumes and networks stay. If it does not come up, the
engine before it is back.

A terminal is asked first, unless there is -f.`,
		Metadata: examples(
			"sudo ros engine switch docker-debian",
			"sudo ros engine switch -f registry.example.com/engine:28",
			"sudo ros engine switch ./engine.tar",
			"sudo ros engine switch none",
		),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "ask nothing", Local: true},
			noPullFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			name, err := oneEngine(cmd, "switch")
			if err == nil {
				err = a.needRoot("switch engines")
			}
			if err != nil {
				return err
			}
			if goOn, err := a.goOn(cmd, "Containers stop, and come back in "+name+" if they have a restart policy. Go on?"); !goOn {
				return err
			}
			return a.engineDo(ctx, "switch", control.EngineAsk{Name: name, NoPull: cmd.Bool("no-pull")})
		},
	}
}

func (a *app) engineEnableVerb() *cli.Command {
	return &cli.Command{
		Name:      "enable",
		Usage:     "change the engine, at the next boot",
		ArgsUsage: engineUsage,
		Description: `It is fetched and looked into now, so that the boot needs no network. If it does
not start then, that of the OS does and "ros status" says why.`,
		Metadata: examples("sudo ros engine enable docker-debian"),
		Flags:    []cli.Flag{noPullFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			name, err := oneEngine(cmd, "enable")
			if err == nil {
				err = a.needRoot("enable engines")
			}
			if err != nil {
				return err
			}
			return a.engineDo(ctx, "enable", control.EngineAsk{Name: name, NoPull: cmd.Bool("no-pull")})
		},
	}
}

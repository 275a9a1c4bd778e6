package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) engineCreateVerb() *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "make an extra engine, with data of its own",
		ArgsUsage: "NAME",
		Description: `A Docker in a container of the engine, from what is on the machine already. It
listens on /run/ros/engines/NAME/docker.sock; use it with
"docker -H unix:///run/ros/engines/NAME/docker.sock". It starts with every boot.`,
		Metadata: examples(
			"sudo ros engine create builds",
			"sudo ros engine create builds --network lab --fixed-ip 10.9.0.7",
		),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "network", Usage: "a `NETWORK` of the engine that it is in", Local: true},
			&cli.StringFlag{Name: "fixed-ip", Usage: "its `ADDRESS` in that network", Local: true},
			&cli.StringFlag{Name: "version", Aliases: []string{"v"}, Usage: "not here: it is the Docker of the OS", Local: true},
			&cli.StringFlag{Name: "ssh-port", Usage: "not here: there is no sshd in it", Local: true},
			&cli.StringFlag{Name: "authorized-keys", Usage: "not here: there is no sshd in it", Local: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 || cmd.Args().First() == "" {
				return usage(cmd.FullName()+" --help", "cannot create: name one engine")
			}
			if err := goneEngineFlags(cmd); err != nil {
				return err
			}
			if err := a.needRoot("create engines"); err != nil {
				return err
			}
			return a.engineDo(ctx, "create", control.EngineAsk{
				Name: cmd.Args().First(), Network: cmd.String("network"), FixedIP: cmd.String("fixed-ip"),
			})
		},
	}
}

// goneEngineFlags says why flags of RancherOS are not here, and what is.
func goneEngineFlags(cmd *cli.Command) error {
	name := cmd.Args().First()
	switch {
	case cmd.IsSet("version"):
		return usage("docker run -d --privileged docker:"+cmd.String("version")+"-dind",
			"cannot create engine %s: an extra engine is the Docker of the OS, which needs no download; --version cannot choose another", name)
	case cmd.IsSet("ssh-port"), cmd.IsSet("authorized-keys"):
		return usage("docker -H unix:///run/ros/engines/"+name+"/docker.sock ps",
			"cannot create engine %s: there is no sshd in it (--ssh-port, --authorized-keys); it is used by its socket", name)
	}
	return nil
}

func (a *app) engineRmVerb() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove an extra engine and its data",
		ArgsUsage: "NAME",
		Description: `Its containers, images and volumes are lost. A terminal is asked first, unless
there is -f.`,
		Metadata: examples("sudo ros engine rm builds", "sudo ros engine rm -f -t 3 builds"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "ask nothing", Local: true},
			stopTimeoutFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 || cmd.Args().First() == "" {
				return usage("ros engine list", "cannot remove: name one engine")
			}
			if err := a.needRoot("remove engines"); err != nil {
				return err
			}
			name := cmd.Args().First()
			if goOn, err := a.goOn(cmd, fmt.Sprintf("All containers, images and volumes of %s are lost. Go on?", name)); !goOn {
				return err
			}
			return a.engineDo(ctx, "rm", control.EngineAsk{Name: name, TimeoutSeconds: options(cmd).TimeoutSeconds})
		},
	}
}

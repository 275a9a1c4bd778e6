package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/initctl"
)

// powerVerb is one of the verbs that end the run of the machine, or nil. They
// are also programs of their own by these names.
func (a *app) powerVerb(name string) *cli.Command {
	switch name {
	case "poweroff":
		return a.simplePower(initctl.OpPoweroff, "stop everything and turn the power off")
	case "reboot":
		return a.simplePower(initctl.OpReboot, "stop everything and boot again")
	case "halt":
		return a.simplePower(initctl.OpHalt, "stop everything and leave the power on")
	case "shutdown":
		return a.shutdownVerb()
	}
	return nil
}

func (a *app) simplePower(op, use string) *cli.Command {
	return &cli.Command{
		Name:     op,
		Usage:    use,
		Category: "Power",
		Description: `PID 1 has the services stopped in reverse order of their dependencies, each
within its stop_grace_period and all within rancher.shutdown_timeout, then
unmounts the file systems. When this returns, that has only begun.`,
		Metadata: examples("ros "+op, "sudo "+op),
		Flags:    []cli.Flag{forceFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.power(ctx, op, cmd.Bool("force"), "")
		},
	}
}

func (a *app) shutdownVerb() *cli.Command {
	return &cli.Command{
		Name:      "shutdown",
		Usage:     "power off, reboot or halt, as on other systems",
		Category:  "Power",
		ArgsUsage: "now [MESSAGE…]",
		Description: `Does what poweroff, reboot and halt do; without a flag it powers off. The only
time it knows is now, also written +0.`,
		Metadata: examples("shutdown -h now", "shutdown -r now new kernel"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "poweroff", Aliases: []string{"P", "h"}, Usage: "turn the power off", Local: true},
			&cli.BoolFlag{Name: "reboot", Aliases: []string{"r"}, Usage: "boot again", Local: true},
			&cli.BoolFlag{Name: "halt", Aliases: []string{"H"}, Usage: "leave the power on", Local: true},
			forceFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			when := cmd.Args().First()
			if when != "now" && when != "+0" {
				if when == "" {
					return usage(cmd.FullName()+" now", "cannot shut down: say when")
				}
				return usage(cmd.FullName()+" now", "cannot shut down at %q: the only time is now", when)
			}
			op := initctl.OpPoweroff
			switch reboot, halt := cmd.Bool("reboot"), cmd.Bool("halt"); {
			case reboot && (halt || cmd.Bool("poweroff")):
				return usage(cmd.FullName()+" --help", "cannot both reboot and stay down: choose one")
			case reboot:
				op = initctl.OpReboot
			case halt: // "-h -H" is an old way to say halt
				op = initctl.OpHalt
			}
			return a.power(ctx, op, cmd.Bool("force"), strings.Join(cmd.Args().Tail(), " "))
		},
	}
}

func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Local: true,
		Usage: "stop nothing, unmount nothing, only sync"}
}

func (a *app) power(ctx context.Context, op string, force bool, message string) error {
	pid1 := peer{"PID 1", a.initSocket, "only root may", "the power button, or Ctrl-Alt-Del on the machine's keyboard"}
	doing := map[string]string{initctl.OpPoweroff: "power off", initctl.OpReboot: "reboot", initctl.OpKexec: "reboot", initctl.OpHalt: "halt"}[op]
	if err := initctl.Power(ctx, a.initSocket, op, force); err != nil {
		return a.explainSocket(pid1, doing, err)
	}
	if message != "" {
		message = " (" + message + ")"
	}
	fmt.Fprintf(a.stdout, "The machine will %s now%s.\n", doing, message)
	return nil
}

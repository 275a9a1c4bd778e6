package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
)

func (a *app) osRollbackVerb() *cli.Command {
	return &cli.Command{
		Name:  "rollback",
		Usage: "go back to the release before",
		Description: `A release on trial is given up; else the previous release becomes the committed
one, and the machine restarts into it. The two change places: a second rollback
goes forward again. A release that was left like this is not tried again by
itself. Works in the rescue shell too. For scripts: -f asks nothing.`,
		Metadata: examples("sudo ros os rollback", "sudo ros os rollback --no-reboot"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-reboot", Usage: "go back at the next restart", Local: true},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "ask nothing", Local: true},
			jsonFlag(),
		},
		Action: a.osRollback,
	}
}

func (a *app) osRollback(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	stays := cmd.Bool("no-reboot")
	asks := !cmd.Bool("force") && !stays
	if asks && (!a.terminal || cmd.Bool("json")) {
		return usage(a.forced(), "cannot ask before the restart: this is not a terminal, or for a program")
	}
	if asks && !a.confirm("Go back to the release before and restart?") {
		return nil
	}
	var done osupdate.Changed
	if err := a.work(ctx, cmd, "roll back", "rollback", struct{}{}, &done); err != nil {
		return err
	}
	if !cmd.Bool("json") {
		fmt.Fprintf(a.stdout, "%s in slot %s starts next.\n", done.Version, done.Slot)
	}
	if stays || !done.Restart {
		return nil
	}
	return a.power(ctx, initctl.OpReboot, false, "")
}

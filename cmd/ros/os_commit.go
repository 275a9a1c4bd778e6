package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/osupdate"
)

func (a *app) osCommitVerb() *cli.Command {
	return &cli.Command{
		Name:  "commit",
		Usage: "keep the release on trial now",
		Description: `A release on trial is committed by itself when all required services have been
healthy for rancher.upgrade.commit_window seconds. This does it now, whatever
the services say.`,
		Metadata: examples("sudo ros os commit"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			var done osupdate.Changed
			if err := a.work(ctx, cmd, "commit", "commit", struct{}{}, &done); err != nil || cmd.Bool("json") {
				return err
			}
			if done.Nothing != "" {
				_, err := fmt.Fprintf(a.stdout, "Nothing to do: %s.\n", done.Nothing)
				return err
			}
			_, err := fmt.Fprintf(a.stdout, "%s in slot %s is committed.\n", done.Version, done.Slot)
			return err
		},
	}
}

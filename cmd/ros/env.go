package main

import (
	"context"

	"github.com/urfave/cli/v3"
)

// withEnvironment runs its arguments with the variables of a file, if it is
// there.
const withEnvironment = `file=$1; shift; [ ! -r "$file" ] || . "$file"; exec "$@"`

func (a *app) envVerb() *cli.Command {
	return &cli.Command{
		Name:      "env",
		Usage:     "run a command with the variables of the config",
		ArgsUsage: "[COMMAND...]",
		Description: `The variables are those of rancher.environment and the proxies of
rancher.network, as login shells have them: scripts and cron jobs do not.
Without a command it prints all that a command would have.`,
		Metadata:     examples("ros env", "ros env wget http://example.com/file"),
		StopOnNthArg: nth(1),
		Action: func(_ context.Context, cmd *cli.Command) error {
			words := cmd.Args().Slice()
			if len(words) == 0 {
				words = []string{"env"}
			}
			args := append([]string{"sh", "-c", withEnvironment, "sh", a.variables}, words...)
			return a.turnInto("/bin/sh", args, a.environ())
		},
	}
}

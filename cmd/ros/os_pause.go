package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

func (a *app) osPauseVerb() *cli.Command {
	return &cli.Command{
		Name:      "pause",
		Usage:     "no automatic upgrades for a while",
		ArgsUsage: "[TIME]",
		Description: `TIME is a Go duration (12h, 90m) or a number of days (7d); without it, until
"ros os resume". Upgrades by hand go on working. Which upgrades are automatic
says rancher.upgrade.policy.`,
		Metadata: examples("sudo ros os pause", "sudo ros os pause 7d"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() > 1 {
				return usage(cmd.FullName()+" 7d", "cannot pause: there is one time")
			}
			until := time.Time{}
			if text := cmd.Args().First(); text != "" {
				d, err := pauseTime(text)
				if err != nil {
					return usage(cmd.FullName()+" 7d", "cannot pause for %q: want 12h, 90m or 7d", text)
				}
				until = a.now().Add(d)
			}
			if err := a.work(ctx, cmd, "pause automatic upgrades", "pause", map[string]time.Time{"until": until}, nil); err != nil {
				return err
			}
			if until.IsZero() {
				fmt.Fprintln(a.stdout, `Automatic upgrades are paused until "ros os resume".`)
				return nil
			}
			fmt.Fprintf(a.stdout, "Automatic upgrades are paused until %s.\n", until.In(a.loc).Format(time.DateTime))
			return nil
		},
	}
}

func (a *app) osResumeVerb() *cli.Command {
	return &cli.Command{
		Name:     "resume",
		Usage:    "automatic upgrades again, after pause",
		Metadata: examples("sudo ros os resume"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			if err := a.work(ctx, cmd, "resume automatic upgrades", "resume", struct{}{}, nil); err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, "Automatic upgrades go on as rancher.upgrade.policy says.")
			return nil
		},
	}
}

// pauseTime reads a duration, or a number of days.
func pauseTime(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 10000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%s is over already", text)
	}
	return d, err
}

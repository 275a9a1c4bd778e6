package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/osupdate"
)

func (a *app) osListVerb() *cli.Command {
	return &cli.Command{
		Name:        "list",
		Usage:       "the releases that this machine could run",
		Description: `The list is at rancher.upgrade.url; it is read anew every time.`,
		Metadata:    examples("sudo ros os list", "ssh rancher@edge-7 sudo ros os list --json | jq -r '.[].version'"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "update", Aliases: []string{"u"}, Usage: "accepted for scripts of RancherOS: the list is always read anew", Local: true},
			jsonFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			var releases []osupdate.Listed
			if err := osupdate.Collect(ctx, a.worker(), "list", nil, &releases, nil); err != nil {
				return a.explainWork("list the releases", err)
			}
			if cmd.Bool("json") {
				return a.printJSON(releases)
			}
			a.listTable(releases).write(a.stdout)
			return nil
		},
	}
}

func (a *app) listTable(releases []osupdate.Listed) *table {
	t := &table{}
	t.add("VERSION", "RELEASE", "")
	for _, r := range releases {
		var notes []string
		if r.Running {
			notes = append(notes, "running")
		}
		if r.Current {
			notes = append(notes, "current")
		}
		t.add(r.Version, r.Release, strings.Join(notes, ", "))
	}
	return t
}

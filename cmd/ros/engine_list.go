package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) engineListVerb() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "the engines that this machine has or could have",
		Description: `STATE: current runs now, enabled runs from the next boot on, available is on the
machine, disabled would have to be fetched. An extra engine ("create") has the
state of its service.`,
		Metadata: examples("ros engine list", "ros engine list -u", "ros engine list --json"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "update", Aliases: []string{"u"}, Usage: "ask the catalogs, not what is cached", Local: true},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing but the names", Local: true},
			jsonFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			list, err := a.daemon().engines(ctx, cmd.Bool("update"))
			if err != nil {
				return a.explain("list the engines", err)
			}
			switch {
			case cmd.Bool("json"):
				return a.printJSON(list)
			case cmd.Bool("quiet"):
				for _, e := range list {
					if e.Name != "" {
						fmt.Fprintln(a.stdout, e.Name)
					}
				}
				return nil
			}
			return a.engineTable(list)
		},
	}
}

func (a *app) engineTable(list []control.EngineEntry) error {
	t := &table{}
	t.add("STATE", "ENGINE", "VERSION", "FROM")
	var errs []error
	for _, e := range list {
		if e.Name == "" {
			errs = append(errs, errors.New(e.Error))
			continue
		}
		t.add(e.State, e.Name, orElse(e.Version, "-"), orElse(cmp.Or(e.Socket, e.Image, e.Repository), "-"))
		if e.Error != "" {
			t.note("%s", e.Error)
		}
	}
	t.write(a.stdout)
	return errors.Join(errs...)
}

func (a *app) engineCurrentVerb() *cli.Command {
	return &cli.Command{
		Name:     "current",
		Usage:    "print the name of the engine",
		Metadata: examples("ros engine current"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			list, err := a.daemon().engines(ctx, false)
			if err != nil {
				return a.explain("find out the engine", err)
			}
			for _, e := range list {
				if e.State == control.EngineCurrent {
					_, err := fmt.Fprintln(a.stdout, e.Name)
					return err
				}
			}
			return errors.New("cannot find out the engine: rosd has not started one yet")
		},
	}
}

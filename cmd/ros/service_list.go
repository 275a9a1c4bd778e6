package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) listVerb() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Aliases:   []string{"ls"},
		Usage:     "every service with its image and its file",
		Category:  lookAtServices,
		ArgsUsage: "[NAME…]",
		Description: `SCOPE says who runs it: the system's containerd or the user's engine.
REQUIRED: the machine is not well without it.`,
		Metadata: examples("ros service list", "ros service list -a", "ssh rancher@edge-7 ros service list --json | jq -r '.[].file'"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "what is enabled, and what catalogs have", Local: true},
			&cli.BoolFlag{Name: "update", Aliases: []string{"u"}, Usage: "ask the catalogs, not what was kept of them", Local: true},
			jsonFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Bool("all") || cmd.Bool("update") {
				return a.listAll(ctx, cmd.Bool("update"), cmd.Bool("json"))
			}
			return a.list(ctx, cmd.Args().Slice(), cmd.Bool("json"))
		},
	}
}

// listAll begins its lines as RancherOS did, for those who read them by program.
func (a *app) listAll(ctx context.Context, refresh, asJSON bool) error {
	path := "/v1/catalog"
	if refresh {
		path += "?refresh=1"
	}
	var all []control.CatalogEntry
	if err := a.daemon().ask(ctx, "GET", path, nil, &all); err != nil {
		return a.explain("list the catalogs", err)
	}
	if asJSON {
		return a.printJSON(all)
	}
	t := table{}
	var faults []error
	t.add("STATE", "NAME", "REPOSITORY", "SIGNED BY", "FROM")
	for _, e := range all {
		if e.Error != "" {
			faults = append(faults, errors.New(e.Error))
			continue
		}
		t.add(orElse(e.State, control.Disabled), e.Name, orDash(e.Repository), orDash(e.SignedBy), orDash(e.Origin))
	}
	t.write(a.stdout)
	return errors.Join(faults...)
}

func (a *app) list(ctx context.Context, names []string, asJSON bool) error {
	services, err := a.daemon().services(ctx)
	if err != nil {
		return a.explain("list the services", err)
	}
	if services, err = pick("list", services, names); err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(services)
	}
	t := table{}
	t.add("NAME", "SCOPE", "REQUIRED", "IMAGE", "FILE")
	for _, s := range services {
		required := "no"
		if s.Required {
			required = "yes"
		}
		t.add(s.Name, string(s.Scope), required, orDash(s.Image), orDash(s.File))
	}
	t.write(a.stdout)
	return nil
}

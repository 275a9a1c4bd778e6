package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

const (
	catalogCategory = "Catalogs"
	catalogNames    = "WHAT…"
)

func (a *app) enableVerb() *cli.Command {
	return a.catalogVerb("enable", &cli.Command{
		Usage: "take services in",
		Description: `By their name in a catalog, by an address or by a file. The file is fetched and
checked, its images are pulled and pinned by their digest, and all of it is
kept, so that a boot needs no network. Then the services start. If anything goes
wrong on the way, the machine is as it was.`,
		Metadata: examples("ros service enable open-iscsi", "ros service enable https://example.com/shop.yml", "ros service enable ./shop.yml"),
	})
}

func (a *app) disableVerb() *cli.Command {
	return a.catalogVerb("disable", &cli.Command{
		Usage: "stop services and do not start them at boot",
		Description: `What was kept when they were enabled stays: enabling them again needs no
network.`,
		Metadata: examples("ros service disable open-iscsi"),
	})
}

func (a *app) deleteVerb() *cli.Command {
	return a.catalogVerb("delete", &cli.Command{
		Usage: "undo enable",
		Description: `Stops the services, removes their containers and forgets the file. Volumes and
images stay. What a cloud or a file of cloud-config.d names, too, would come
back: that can be disabled.`,
		Metadata: examples("ros service delete open-iscsi"),
	})
}

func (a *app) updateVerb() *cli.Command {
	return a.catalogVerb("update", &cli.Command{
		Usage: "fetch enabled services anew",
		Description: `Fetches the file and its images again. What is different is shown line by line;
then the services are made anew. If they do not come up, what was there before
is back.`,
		Metadata: examples("ros service update --dry-run shop", "ros service update shop"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "only show what would change", Local: true},
		},
	})
}

func (a *app) pullVerb() *cli.Command {
	return a.catalogVerb("pull", &cli.Command{
		Usage:     "pull the images of services",
		ArgsUsage: changeNamesUsage,
		Description: `A service that was enabled keeps the image it is pinned to; "update" gets a
newer one.`,
		Metadata: examples("ros service pull web"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "ignore-pull-failures", Usage: "go on with the others, and succeed", Local: true},
		},
	})
}

// catalogVerb is a verb that rosd carries out step by step.
func (a *app) catalogVerb(name string, verb *cli.Command) *cli.Command {
	verb.Name, verb.Category = name, catalogCategory
	if verb.ArgsUsage == "" {
		verb.ArgsUsage = catalogNames
	}
	verb.Action = func(ctx context.Context, cmd *cli.Command) error {
		names, err := needNames(cmd)
		if err != nil {
			return err
		}
		if err := a.needRoot(name + " services"); err != nil {
			return err
		}
		for i, what := range names {
			if names[i], err = fileOrName(what); err != nil {
				return err
			}
		}
		ask := control.CatalogNames{Names: names, DryRun: cmd.Bool("dry-run")}
		err = a.inSteps(ctx, "/v1/catalog/"+name, ask)
		if cmd.Bool("ignore-pull-failures") && err != nil && !a.unreachable(err) {
			fmt.Fprintf(a.stderr, "ros: %v\n", err)
			return nil
		}
		return a.explain(name+" "+strings.Join(names, " "), err)
	}
	return verb
}

// inSteps asks for something that rosd tells step by step, and shows the steps.
func (a *app) inSteps(ctx context.Context, path string, ask any) error {
	body, err := a.daemon().open(ctx, "POST", path, ask)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = a.follow(body, false)
	return err
}

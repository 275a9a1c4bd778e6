package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
)

func (a *app) configImagesVerb() *cli.Command {
	return &cli.Command{
		Name:        "images",
		Usage:       "the images that services of the config need",
		Category:    lookAtConfig,
		Description: `Those of rancher.services, here or in the file of -i, each once.`,
		Metadata:    examples("ros config images", "ros config images -i edge.yml"),
		Flags:       []cli.Flag{inputFlag("look into `FILE`, - for standard input"), jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.configImages(ctx, cmd.String("input"), cmd.Bool("json"))
		},
	}
}

func (a *app) configImages(ctx context.Context, file string, json bool) error {
	entries, err := a.entriesOf(ctx, file)
	if err != nil {
		return err
	}
	images := []string{}
	for _, e := range below(entries, []string{"rancher", "services"}) {
		if len(e.Path) != 1 {
			continue
		}
		image, err := within(e.Value, []string{"image"})
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", e.Key, err)
		}
		if image != "" {
			images = append(images, image)
		}
	}
	slices.Sort(images)
	images = slices.Compact(images)
	if json {
		return a.printJSON(images)
	}
	for _, image := range images {
		fmt.Fprintln(a.stdout, image)
	}
	return nil
}

// entriesOf are the entries that count, or those of a file.
func (a *app) entriesOf(ctx context.Context, file string) ([]config.Entry, error) {
	if file == "" {
		entries, _, err := a.configNow(ctx, false)
		return entries, err
	}
	name, text, err := a.input(file)
	if err != nil {
		return nil, err
	}
	if err := a.refuse("use "+name, name, nil, text); err != nil {
		return nil, err
	}
	cfg, _ := config.Load(config.Layer{Name: name, Data: text})
	return cfg.Entries(false), nil
}

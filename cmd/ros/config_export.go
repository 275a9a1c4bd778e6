package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/atomicfile"
)

func (a *app) configExportVerb() *cli.Command {
	return &cli.Command{
		Name:     "export",
		Usage:    "print the whole config as one cloud-config",
		Category: lookAtConfig,
		Description: `Keys that are secret, or have a secret in them, are left out unless root asks
with -p; a comment at the end names them.`,
		Metadata: examples("ros config export", "sudo ros config export -p -o /home/rancher/machine.yml"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write `FILE`, for its owner only, instead of printing", Local: true},
			privateFlag(),
			&cli.BoolFlag{Name: "full", Aliases: []string{"f"}, Usage: "with the defaults", Local: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.configExport(ctx, cmd.String("output"), cmd.Bool("private"), cmd.Bool("full"))
		},
	}
}

func (a *app) configExport(ctx context.Context, file string, private, full bool) error {
	if private {
		if err := a.needRoot("export secrets"); err != nil {
			return err
		}
	}
	entries, _, err := a.configNow(ctx, private)
	if err != nil {
		return err
	}
	standard, _ := config.Load()
	var kept []config.Entry
	var secret []string
	for _, e := range entries {
		switch {
		case !full && e.From.Layer == standard.Origin(e.Key).Layer:
		case e.Secret && !private:
			secret = append(secret, e.Key)
		default:
			kept = append(kept, e)
		}
	}
	text, err := config.Document(kept)
	if err != nil {
		return fmt.Errorf("cannot export the config: %w", err)
	}
	if len(secret) > 0 {
		text = fmt.Appendf(text, "# left out because of secrets in it: %s\n", strings.Join(secret, ", "))
	}
	if file != "" {
		return atomicfile.WriteFile(file, text, 0o600)
	}
	_, err = a.stdout.Write(text)
	return err
}

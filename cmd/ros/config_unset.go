package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/yamledit"
)

func (a *app) configUnsetVerb() *cli.Command {
	return &cli.Command{
		Name:      "unset",
		Usage:     "take keys out of cloud-config.yml and apply that",
		Category:  changeConfig,
		ArgsUsage: "KEY…",
		Description: `What lower layers say about a key, or its default, counts again. Comments above
a key stay in the file.`,
		Metadata: examples("sudo ros config unset timezone", "sudo ros config unset --dry-run rancher.docker"),
		Flags:    writeFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if !cmd.Args().Present() {
				return usage(cmd.FullName()+" --help", "cannot unset: name at least one key")
			}
			return a.configUnset(ctx, writeOptions(cmd), cmd.Args().Slice())
		},
	}
}

func (a *app) configUnset(ctx context.Context, how writing, names []string) error {
	return a.rewrite(ctx, how, func(text []byte) ([]byte, error) {
		for _, name := range names {
			out, err := yamledit.Unset(text, config.Split(name))
			if err != nil {
				return nil, err
			}
			if bytes.Equal(out, text) {
				if !findKey(name).known {
					return nil, unknownKey("unset", name)
				}
				if err := a.tellElsewhere(name); err != nil {
					return nil, err
				}
			}
			text = out
		}
		return text, nil
	})
}

// tellElsewhere says where a key is set that the file does not set.
func (a *app) tellElsewhere(name string) error {
	layers, _ := a.layers()
	cfg, _ := config.Load(layers...)
	for _, e := range around(cfg.Entries(false), findKey(name).path) {
		if _, err := fmt.Fprintf(a.stdout, "%s: its value comes from elsewhere (%s)\n", e.Key, originText(e.From)); err != nil {
			return err
		}
	}
	return nil
}

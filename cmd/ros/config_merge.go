package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/yamledit"
)

func (a *app) configMergeVerb() *cli.Command {
	return &cli.Command{
		Name:     "merge",
		Usage:    "add a cloud-config to cloud-config.yml and apply it",
		Category: changeConfig,
		Description: `Mappings merge; a list or a single value replaces the one that is there. Reads
standard input without -i. A file with a fault is refused as a whole.`,
		Metadata: examples("sudo ros config merge -i edge.yml", "wget -qO- http://10.0.0.1/edge.yml | sudo ros config merge"),
		Flags:    writeFlags(inputFlag("read `FILE` instead of standard input")),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.configMerge(ctx, writeOptions(cmd), cmd.String("input"))
		},
	}
}

func (a *app) configMerge(ctx context.Context, how writing, input string) error {
	if err := a.needRoot("change the config"); err != nil {
		return err
	}
	name, more, err := a.input(input)
	if err != nil {
		return err
	}
	if err := a.refuse("merge "+name, name, nil, more); err != nil {
		return err
	}
	return a.rewrite(ctx, how, func(text []byte) ([]byte, error) { return yamledit.Merge(text, more) })
}

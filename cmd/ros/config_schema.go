package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
)

func (a *app) configSchemaVerb() *cli.Command {
	return &cli.Command{
		Name:        "schema",
		Usage:       "print the JSON Schema of a cloud-config, for editors",
		Category:    configFiles,
		Description: `JSON Schema 2020-12. docs/config.md has the same keys for people.`,
		Metadata:    examples("ros config schema > cloud-config.schema.json"),
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			_, err := a.stdout.Write(config.Schema())
			return err
		},
	}
}

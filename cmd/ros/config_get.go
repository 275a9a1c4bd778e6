package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"
)

func (a *app) configGetVerb() *cli.Command {
	return &cli.Command{
		Name:      "get",
		Usage:     "print the value of a key, as YAML",
		Category:  lookAtConfig,
		ArgsUsage: "KEY",
		Description: `A single value is printed without quotes, a list with a line "- …" for each
entry, a key with keys below it as a mapping. A key that is not set prints
nothing. Secrets are shown to root only.`,
		Metadata: examples("ros config get hostname", "ros config get rancher.network.dns", "ros config get --json users"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			name, err := oneKey(cmd)
			if err != nil {
				return err
			}
			return a.configGet(ctx, name, cmd.Bool("json"))
		},
	}
}

func (a *app) configGet(ctx context.Context, name string, json bool) error {
	key := findKey(name)
	if !key.known {
		return unknownKey("get", name)
	}
	entries, _, err := a.configNow(ctx, true)
	if err != nil {
		return err
	}
	value, err := valueOf(entries, key.path)
	if err != nil {
		return fmt.Errorf("cannot get %q: %w", name, err)
	}
	if value == "" && key.is.Type == "true or false" {
		value = "false"
	}
	if json {
		v, err := asJSON(value)
		if err != nil {
			return fmt.Errorf("cannot get %q: %w", name, err)
		}
		return a.printJSON(v)
	}
	if value != "" {
		_, err = fmt.Fprintln(a.stdout, bare(value))
	}
	return err
}

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
)

func (a *app) configValidateVerb() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "say what is wrong or without effect in a cloud-config",
		Category:  configFiles,
		ArgsUsage: "[FILE]",
		Description: `Prints FILE:LINE:COLUMN: KEY: what it is. The exit status is 1 when something is
wrong. Reads standard input when no file is named.`,
		Metadata: examples("ros config validate edge.yml", "ros config validate < edge.yml", "ros config validate -i edge.yml --json"),
		Flags:    []cli.Flag{inputFlag("read `FILE`"), jsonFlag()},
		Action: func(_ context.Context, cmd *cli.Command) error {
			file := cmd.String("input")
			if cmd.Args().Len() > 1 || cmd.Args().Present() && file != "" {
				return usage(cmd.FullName()+" --help", "cannot validate: name one file")
			}
			return a.configValidate(orElse(file, cmd.Args().First()), cmd.Bool("json"))
		},
	}
}

func (a *app) configValidate(file string, json bool) error {
	name, text, err := a.input(file)
	if err != nil {
		return err
	}
	warnings := config.Validate(name, text)
	wrong := false
	for _, w := range warnings {
		wrong = wrong || w.Severity == config.Wrong
		if !json {
			fmt.Fprintf(a.stdout, "%s: %s\n", w.Severity, w)
		}
	}
	if json {
		if err := a.printJSON(append([]config.Warning{}, warnings...)); err != nil {
			return err
		}
	} else if !wrong {
		fmt.Fprintf(a.stdout, "%s is valid\n", name)
	}
	if wrong {
		return unwell()
	}
	return nil
}

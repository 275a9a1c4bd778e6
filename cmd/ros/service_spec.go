package main

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/urfave/cli/v3"
)

func (a *app) specVerb() *cli.Command {
	return &cli.Command{
		Name:      "spec",
		Usage:     "the OCI runtime spec of a service: all it may do and touch",
		Category:  lookAtServices,
		ArgsUsage: "NAME",
		Description: `Prints the JSON that the container runtime is given (OCI runtime-spec
config.json), with every default filled in. It is JSON with or without --json.`,
		Metadata: examples("ros service spec ntp", "ssh rancher@edge-7 ros service spec ntp | jq .process.capabilities"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usage("ros service list", "cannot show a spec: name one service")
			}
			return a.spec(ctx, cmd.Args().First())
		},
	}
}

func (a *app) spec(ctx context.Context, name string) error {
	text, err := a.daemon().spec(ctx, name)
	if err != nil {
		return a.explainNamed(ctx, "show the spec of", name, err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = out.WriteTo(a.stdout)
	return err
}

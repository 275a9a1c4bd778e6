package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/yamledit"
)

func (a *app) configSetVerb() *cli.Command {
	return &cli.Command{
		Name:      "set",
		Usage:     "give a key a value and apply it",
		Category:  changeConfig,
		ArgsUsage: "KEY VALUE",
		Description: `VALUE is YAML: a word, true, [a, b], {a: b}. Before anything is written you read
what it will change and how that takes effect; a value that cannot be right is
refused. Only the lines of that key change in cloud-config.yml.`,
		Metadata: examples(
			"sudo ros config set hostname edge-7",
			"sudo ros config set rancher.network.dns.nameservers '[9.9.9.9, 1.1.1.1]'",
			"sudo ros config set --try 2m rancher.network.interfaces.eth0.mtu 1400",
		),
		Flags: writeFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 2 || cmd.Args().First() == "" {
				return usage(cmd.FullName()+" --help", "cannot set: give a key and a value (in quotes if it has spaces)")
			}
			value := cmd.Args().Get(1)
			if value == "" {
				value = `""`
			}
			key := findKey(cmd.Args().First())
			if !key.known {
				return unknownKey("set", cmd.Args().First())
			}
			return a.rewrite(ctx, writeOptions(cmd), func(text []byte) ([]byte, error) {
				return yamledit.Set(text, key.path, []byte(value))
			})
		},
	}
}

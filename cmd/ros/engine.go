package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

// engineVerb is the group of verbs about engines.
func (a *app) engineVerb() *cli.Command {
	return &cli.Command{
		Name:     "engine",
		Usage:    "choose what runs your containers (docker, another, none)",
		Category: "Services",
		Description: `The engine is the Docker behind the docker command. "docker" is part of the OS;
others are images, of a catalog or your own; "none" saves the memory of one.
docs/engines.md says what a switch keeps.`,
		Metadata: examples(
			"ros engine list",
			"sudo ros engine switch docker-debian",
			"sudo ros engine switch -f none",
		),
		Commands: []*cli.Command{
			a.engineListVerb(),
			a.engineCurrentVerb(),
			a.engineSwitchVerb(),
			a.engineEnableVerb(),
			a.engineCreateVerb(),
			a.engineRmVerb(),
		},
	}
}

func (c client) engines(ctx context.Context, refresh bool) (out []control.EngineEntry, err error) {
	path := "/v1/engines"
	if refresh {
		path += "?refresh=1"
	}
	return out, c.ask(ctx, "GET", path, nil, &out)
}

// engineDo asks for a verb and shows its steps.
func (a *app) engineDo(ctx context.Context, verb string, ask control.EngineAsk) error {
	err := a.inSteps(ctx, "/v1/engines/"+verb, ask)
	return a.explain(verb+" engine "+ask.Name, err)
}

// goOn asks at a terminal, unless there is --force.
func (a *app) goOn(cmd *cli.Command, question string) (bool, error) {
	if cmd.Bool("force") || !a.terminal {
		return true, nil
	}
	return a.answer(question)
}

const engineUsage = "ENGINE"

// oneEngine is the argument of a verb: a name, an image or an archive.
func oneEngine(cmd *cli.Command, doing string) (string, error) {
	if cmd.Args().Len() != 1 || cmd.Args().First() == "" {
		return "", usage("ros engine list", "cannot %s: name one engine", doing)
	}
	return fileOrName(cmd.Args().First())
}

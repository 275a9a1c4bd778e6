package main

import "github.com/urfave/cli/v3"

// osVerb is the group of verbs about the OS image.
func (a *app) osVerb() *cli.Command {
	return &cli.Command{
		Name:     "os",
		Usage:    "the OS image that runs, and the one after it",
		Category: "The machine",
		Metadata: examples("ros os status", "sudo ros os upgrade", "sudo ros os rollback"),
		Commands: []*cli.Command{
			a.osVersionVerb(),
			a.osStatusVerb(),
			a.osListVerb(),
			a.osUpgradeVerb(),
			a.osCommitVerb(),
			a.osRollbackVerb(),
			a.osVerifyVerb(),
			a.osPauseVerb(),
			a.osResumeVerb(),
		},
	}
}

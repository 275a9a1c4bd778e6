package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"
)

// releaseFile is what the OS image says about itself.
const releaseFile = "/usr/lib/ros/release.json"

// release is the content of releaseFile.
type release struct {
	Version string `json:"version"` // "v0.1.0"
	Arch    string `json:"arch"`    // "amd64" or "arm64"
	Flavour string `json:"flavour"` // "vm" or "metal"
	Kernel  string `json:"kernel"`  // that it was built with
}

func (a *app) osVersionVerb() *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "the version of the running OS",
		Description: `Needs no daemon. --json adds the architecture, the flavour and the kernel.`,
		Metadata:    examples("ros os version", "ssh rancher@edge-7 ros os version --json | jq -r .kernel"),
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.printVersion(cmd.Bool("json"))
		},
	}
}

func (a *app) printVersion(asJSON bool) error {
	var r release
	text, err := os.ReadFile(a.release)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return fmt.Errorf("cannot tell the version: %w", err)
	}
	if asJSON {
		return a.printJSON(r)
	}
	_, err = fmt.Fprintln(a.stdout, r.Version)
	return err
}

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"
)

func (a *app) devVerb() *cli.Command {
	return &cli.Command{
		Name:      "dev",
		Usage:     "the block device that has a label or a UUID",
		ArgsUsage: "SPEC",
		Description: `SPEC is LABEL=, UUID=, PARTLABEL=, PARTUUID= or a path below /dev. Prints the
path of the device; prints nothing and ends with 1 when there is none.`,
		Metadata: examples("sudo ros dev LABEL=RANCHER_STATE", "sudo mount $(sudo ros dev LABEL=data) /mnt"),
		Action: func(_ context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usage("lsblk -f", "cannot find a device: give one label, UUID or path")
			}
			return a.dev(cmd.Args().First())
		},
	}
}

func (a *app) dev(spec string) error {
	d, err := a.devices.Find(spec)
	switch {
	case err == nil:
		_, err = fmt.Fprintln(a.stdout, d.Path)
		return err
	case a.uid != 0 && strings.Contains(spec, "="):
		return &fault{err: err, try: "sudo " + typed(a.argv), code: exitFailed}
	}
	return &fault{err: err, try: "lsblk -f", code: exitFailed}
}

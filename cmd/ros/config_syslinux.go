package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"
)

func (a *app) configSyslinuxVerb() *cli.Command {
	return &cli.Command{
		Name:        "syslinux",
		Usage:       "edit the kernel's arguments for the next boot",
		Category:    configFiles,
		Description: `Only an installed machine has a boot menu that can be edited.`,
		Metadata:    examples("sudo ros config syslinux"),
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := a.aloneAsRoot(cmd, "edit the kernel's arguments"); err != nil {
				return err
			}
			return &fault{
				err:  errors.New("cannot edit the kernel's arguments: this machine was started from an ISO, whose boot menu cannot be written"),
				try:  "e in the boot menu, for one boot",
				code: exitFailed,
			}
		},
	}
}

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/configstore"
)

func (a *app) configApplyVerb() *cli.Command {
	return &cli.Command{
		Name:        "apply",
		Usage:       "read all files again and make the machine what they say",
		Category:    changeConfig,
		Description: `For files that were changed by other means. A second time it changes nothing.`,
		Metadata:    examples("sudo ros config apply"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := a.aloneAsRoot(cmd, "apply the config"); err != nil {
				return err
			}
			applied, err := a.daemon().changeConfig(ctx, "apply")
			if err != nil {
				return a.explain("apply the config", err)
			}
			return a.tellApplied("read and applied", applied)
		},
	}
}

func (a *app) configConfirmVerb() *cli.Command {
	return &cli.Command{
		Name:        "confirm",
		Usage:       "keep the change that is on trial",
		Category:    changeConfig,
		Description: `A change made with --try is taken back unless this comes in time.`,
		Metadata:    examples("sudo ros config confirm"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := a.aloneAsRoot(cmd, "confirm a change"); err != nil {
				return err
			}
			if _, err := a.daemon().changeConfig(ctx, "confirm"); err != nil {
				return a.explain("confirm a change", err)
			}
			_, err := fmt.Fprintln(a.stdout, "the change stays")
			return err
		},
	}
}

func (a *app) configRollbackVerb() *cli.Command {
	return &cli.Command{
		Name:     "rollback",
		Usage:    "go back to the last config with which all was well",
		Category: changeConfig,
		Description: `A change on trial is taken back instead. What is replaced stays beside
cloud-config.yml, as *.before-rollback. Also works while rosd does not run.`,
		Metadata: examples("sudo ros config rollback"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := a.aloneAsRoot(cmd, "roll back the config"); err != nil {
				return err
			}
			return a.configRollback(ctx)
		},
	}
}

func (a *app) configRollback(ctx context.Context) error {
	applied, err := a.daemon().changeConfig(ctx, "rollback")
	switch {
	case err == nil:
		return a.tellApplied("rolled back", applied)
	case !a.unreachable(err):
		return a.explain("roll back the config", err)
	}
	if err := configstore.New(a.conf).GoBack(); err != nil {
		return fmt.Errorf("cannot roll back the config: %w", err)
	}
	_, err = fmt.Fprintln(a.stdout, "rolled back; rosd does not run, so it takes effect when rosd starts")
	return err
}

// aloneAsRoot is for verbs without arguments that change the machine.
func (a *app) aloneAsRoot(cmd *cli.Command, doing string) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	return a.needRoot(doing)
}

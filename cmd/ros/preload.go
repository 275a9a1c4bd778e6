package main

import (
	"context"

	"github.com/urfave/cli/v3"
)

func (a *app) preloadVerb() *cli.Command {
	return &cli.Command{
		Name:  "preload-images",
		Usage: "load the archives of images in /var/lib/rancher/preload",
		Description: `Archives (docker save or OCI; .tar, .tar.gz, .tar.xz, .tar.zst) in system-docker
are for services of the system, those in docker for the user's engine. Each is
loaded once, at boot or by this verb; one that has changed is loaded again.`,
		Metadata: examples("sudo ros preload-images"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			t, err := a.daemon().talk(ctx, "POST", "/v1/preload", struct{}{})
			if err == nil {
				defer t.Close()
				_, err = a.follow(t, false)
			}
			return a.explain("load images", err)
		},
	}
}

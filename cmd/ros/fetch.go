package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rosteros/ros/internal/control"
)

// fetchImages pulls what services need and is not there, and shows how far it is.
// One that cannot be pulled does not keep the others.
func (a *app) fetchImages(ctx context.Context, services []string) error {
	var missing []string
	if err := a.daemon().ask(ctx, "POST", "/v1/catalog/missing", control.CatalogNames{Names: services}, &missing); err != nil {
		return a.explain("find out which images are missing", err)
	}
	if len(missing) == 0 {
		return nil
	}
	err := a.inSteps(ctx, "/v1/catalog/pull", control.CatalogNames{Names: missing})
	return a.explain("pull the images of "+strings.Join(missing, " "), err)
}

// fetch pulls an image that is not there, or as the policy says.
func (a *app) fetch(ctx context.Context, name, policy string) error {
	if policy != "always" {
		_, err := a.daemon().image(ctx, name)
		var refused *refusal
		if err == nil || policy == "never" {
			return nil
		}
		if !errors.As(err, &refused) || refused.status != 404 {
			return a.explain("look up "+name, err)
		}
		fmt.Fprintf(a.stderr, "Unable to find image '%s' locally\n", name)
	}
	quiet := *a
	quiet.stdout, quiet.terminal = a.stderr, false
	return quiet.pull(ctx, name, false)
}

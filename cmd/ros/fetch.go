package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// fetchImages pulls what services of the system need and is not there. One that
// cannot be pulled does not keep the others.
func (a *app) fetchImages(ctx context.Context, services []string) error {
	var faults []error
	for _, name := range services {
		var made struct {
			Scope, Image string
			PullPolicy   string `json:"pull_policy"`
		}
		err := a.daemon().ask(ctx, "GET", "/v1/services/"+url.PathEscape(name)+"/definition", nil, &made)
		if err != nil || made.Scope != "system" || made.Image == "" || strings.HasPrefix(made.Image, "ros/") {
			continue // what is wrong with it is said when it is started
		}
		faults = append(faults, a.fetch(ctx, made.Image, made.PullPolicy))
	}
	return errors.Join(faults...)
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

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/fetch"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/preload"
	"github.com/rosteros/ros/internal/repository"
)

// bring gets an image for a service of the OS: from a repository that has it
// itself, that of the file before others, else from its registry. One that is
// here already is not fetched again if a repository says what it is.
func (e *enabler) bring(ctx context.Context, repo, name string, say sayer) (imagestore.Image, error) {
	steps := func(step imagestore.Event) { say(control.ImageStep{Step: &step}) }
	a, ok := e.archive(ctx, repo, name, registries(e.configs.config()).Domain)
	if !ok {
		image, err := e.images.Pull(ctx, name, steps)
		return image, advise(err, repo, preloadDir+"/system-docker")
	}
	if image, err := e.images.Get(ctx, name); err == nil && image.Digest == a.Digest {
		return image, nil
	}
	text(say, "%s: from repository %s, %s", name, a.Repo, a.File)
	r, size, err := a.Open(ctx)
	if err != nil {
		return imagestore.Image{}, err
	}
	defer r.Close()
	return e.images.LoadAs(ctx, r, size, name, a.Digest, steps)
}

// intoEngine gets an image for the user's engine from a repository; not ok: none
// has it.
func (e *enabler) intoEngine(ctx context.Context, repo, name string, say sayer) (pin string, ok bool, err error) {
	a, ok := e.archive(ctx, repo, name, "")
	if !ok {
		return "", false, nil
	}
	if pin, err := e.engine.Image(ctx, name); err == nil && strings.HasSuffix(pin, "@"+a.Digest) {
		return pin, true, nil
	}
	text(say, "%s: from repository %s, %s", name, a.Repo, a.File)
	r, size, err := a.Open(ctx)
	if err != nil {
		return "", true, err
	}
	defer r.Close()
	watched := preload.Watched(r, "", size, func(step images.Event) { say(control.ImageStep{Step: &step}) })
	if _, err := e.loadIntoEngine(ctx, watched, size); err != nil {
		return "", true, fmt.Errorf("cannot load image %q: %w", name, err)
	}
	pin, err = e.engine.Image(ctx, name)
	if _, digest, byDigest := strings.Cut(pin, "@"); err == nil && byDigest && digest != a.Digest {
		err = fmt.Errorf("cannot load image %q: the archive of repository %q has another one than its index says", name, a.Repo)
	}
	return pin, true, err
}

// archive looks for an image in the repositories. With a digest in its name no
// other content will do.
func (e *enabler) archive(ctx context.Context, repo, name, domain string) (catalog.Archive, bool) {
	plain, digest, _ := strings.Cut(name, "@")
	want, err := imagestore.FullName(plain, domain)
	if err != nil {
		return catalog.Archive{}, false
	}
	return e.catalog().Archive(ctx, repo, func(name string, i catalog.Image) bool {
		full, err := imagestore.FullName(name, domain)
		return err == nil && full == want && (digest == "" || digest == i.Digest)
	})
}

// advise says how else the image of a catalog can be had.
func advise(err error, repo, folder string) error {
	if err == nil || repo == "" {
		return err
	}
	return fmt.Errorf("%w; no repository of this machine has it either: name one that does (rancher.repositories.NAME.url), "+
		"or put an archive of it into %s", err, folder)
}

// way is how servers are reached, by the config of now.
func (e *enabler) way() fetch.Way {
	way := registries(e.configs.config()).Way()
	way.Certificates = e.certificates
	return way
}

// openArtifact opens a repository that is an OCI artifact, with the logins of
// the config. What registries may do without is the same as for images.
func (e *enabler) openArtifact(ctx context.Context, ref string) (repository.Repository, string, error) {
	known, way := registries(e.configs.config()), e.way()
	way.Insecure = known.IsInsecure
	return repository.Open(ctx, ref, repository.Options{
		Client: way.Client(),
		Credentials: func(host string) (name, password string) {
			l := known.Logins[host]
			return l.Username, l.Password
		},
	})
}

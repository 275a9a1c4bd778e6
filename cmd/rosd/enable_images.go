package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/project"
)

// pullAll gets the images of a service file and pins them.
// Those that are on the machine will do, unless somebody asked to refresh or the
// file says pull_policy: always.
func (e *enabler) pullAll(ctx context.Context, p *prepared, refresh bool, say sayer) error {
	p.kept.Images = map[string]string{}
	for _, s := range p.services {
		if _, done := p.kept.Images[s.Image]; done || strings.HasPrefix(s.Image, "ros/") {
			continue
		}
		pin, err := e.here(ctx, s)
		if refresh || err != nil {
			if pin, err = e.pullOne(ctx, p.repo, s, say); err != nil {
				return err
			}
		}
		p.kept.Images[s.Image] = pin
		text(say, "image %s is %s", s.Image, pin)
	}
	return nil
}

// here says what the image of a service is, if it is on the machine and will do.
func (e *enabler) here(ctx context.Context, s compose.Service) (pin string, err error) {
	if s.Scope == compose.ScopeUser {
		c, err := project.Of(s)
		if err == nil && c.PullPolicy == "always" {
			err = errors.New("it is to be pulled")
		}
		if err != nil {
			return "", err
		}
	}
	return e.present(ctx, s)
}

// present says what the image of a service is, if it is on the machine.
func (e *enabler) present(ctx context.Context, s compose.Service) (pin string, err error) {
	if s.Scope == compose.ScopeSystem {
		image, err := e.images.Get(ctx, s.Image)
		return pinned(s.Image, image.Digest), err
	}
	return e.engine.Image(ctx, pinOf(s))
}

// pinOf is the image that a service of scope user was enabled with, or else the
// one of its file.
func pinOf(s compose.Service) string {
	if c, err := project.Of(s); err == nil && c.Pin != "" {
		return c.Pin
	}
	return s.Image
}

// pullOne gets the image of a service where it runs and says what it is. repo is
// the repository of its file; "": none.
func (e *enabler) pullOne(ctx context.Context, repo string, s compose.Service, say sayer) (pin string, err error) {
	if s.Scope == compose.ScopeSystem {
		image, err := e.bring(ctx, repo, s.Image, say)
		if err != nil {
			return "", err
		}
		return pinned(s.Image, image.Digest), nil
	}
	c, err := project.Of(s)
	if err != nil {
		return "", err
	}
	if c.PullPolicy == "never" {
		return e.engine.Image(ctx, s.Image)
	}
	if pin, ok, err := e.intoEngine(ctx, repo, s.Image, say); ok {
		return pin, err
	}
	pin, err = e.engine.Pull(ctx, s.Image, c.Platform, e.login(s.Image), func(step docker.Step) { say(control.ImageStep{Step: &step}) })
	return pin, advise(err, repo, preloadDir+"/docker")
}

// pinned is an image by its content; the tag stays, for people.
func pinned(name, digest string) string {
	name, _, _ = strings.Cut(name, "@")
	return name + "@" + digest
}

// login is what the config has for the registry of an image.
func (e *enabler) login(image string) docker.Login {
	full, err := imagestore.FullName(image, "")
	if err != nil {
		return docker.Login{}
	}
	host, _, _ := strings.Cut(full, "/")
	l := registries(e.configs.config()).Logins[host]
	return docker.Login{Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken, ServerAddress: host}
}

// Missing implements server.Catalog. A service that is not known, or whose engine
// does not answer, is not missing an image: what is wrong with it is said when it
// is started.
func (e *enabler) Missing(ctx context.Context, services []string) []string {
	return slices.DeleteFunc(slices.Clone(services), func(name string) bool { return !e.missing(ctx, e.files.service(name)) })
}

func (e *enabler) missing(ctx context.Context, s compose.Service) bool {
	if s.Image == "" || strings.HasPrefix(s.Image, "ros/") {
		return false
	}
	policy := string(s.PullPolicy)
	if c, err := project.Of(s); err == nil {
		policy = c.PullPolicy
	}
	switch policy {
	case "always":
		return true
	case "never":
		return false
	}
	_, err := e.present(ctx, s)
	var missing *imagestore.MissingError
	return errors.As(err, &missing) || docker.IsNotFound(err)
}

// pull gets the image of a service again, as its definition names it.
func (e *enabler) pull(ctx context.Context, name string, _ control.CatalogNames, say sayer) error {
	s := e.files.service(name)
	if s.Name == "" {
		_, err := e.supervisor.Service(name)
		if err == nil {
			err = errors.New("its service file is gone")
		}
		return fmt.Errorf("cannot pull the image of service %q: %w", name, err)
	}
	if strings.HasPrefix(s.Image, "ros/") {
		text(say, "%s is part of the OS", s.Image)
		return nil
	}
	pin, err := e.pullPinned(ctx, s, say)
	if err != nil {
		return fmt.Errorf("cannot pull the image of service %q: %w", name, err)
	}
	text(say, "image %s is %s", pinOf(s), pin)
	return nil
}

// pullPinned gets the image that a service was enabled with. A registry knows it
// by its digest; one that was loaded has only an id, and what has its name by now
// may be something else.
func (e *enabler) pullPinned(ctx context.Context, s compose.Service, say sayer) (pin string, err error) {
	wanted := pinOf(s)
	if wanted == s.Image {
		return e.pullOne(ctx, "", s, say)
	}
	byDigest := strings.Contains(wanted, "@")
	name := s.Image
	if byDigest {
		s.Image = wanted
	}
	pin, err = e.pullOne(ctx, "", s, say)
	if err != nil || byDigest {
		return pin, err
	}
	if _, err := e.engine.Image(ctx, wanted); err != nil {
		return "", fmt.Errorf("%s is %s by now, and the service was enabled with %s; take the new one with: ros service update", name, pin, wanted)
	}
	return pin, nil
}

// update fetches a service file anew, and its images, and says what has
// changed. What cannot be used leaves the machine as it was.
func (e *enabler) update(ctx context.Context, key string, how control.CatalogNames, say sayer) error {
	if err := e.tryUpdate(ctx, key, how.DryRun, say); err != nil {
		return fmt.Errorf("cannot update %s: %w", key, err)
	}
	return nil
}

func (e *enabler) tryUpdate(ctx context.Context, key string, dryRun bool, say sayer) error {
	kept, err := e.store.Get(key)
	if err != nil {
		return e.notKept(key)
	}
	fresh, err := e.prepare(ctx, key, true, say)
	if err != nil {
		return err
	}
	if err := errors.Join(e.clash(fresh.kept.Services, e.store.File(kept)), e.sole(fresh)); err != nil {
		return err
	}
	old, err := e.store.Content(kept)
	if err != nil {
		return err
	}
	changed := 0
	show := func(lines []string) {
		changed += len(lines)
		for _, line := range lines {
			text(say, "%s", line)
		}
	}
	show(diff(strings.Split(string(old.File), "\n"), strings.Split(string(fresh.text), "\n")))
	if err := e.pullAll(ctx, fresh, true, say); err != nil {
		return err
	}
	show(newImages(kept, fresh))
	if changed == 0 {
		lines, err := newProject(old.Project, fresh.project)
		if err != nil {
			return err
		}
		show(lines)
		if lines, err = e.newFiles(kept, old, fresh); err != nil {
			return err
		}
		show(lines)
	}
	if changed == 0 {
		text(say, "%s has not changed", key)
		if dryRun || !e.behind(kept.Services) {
			return nil
		}
		return e.again(ctx, kept.Services, say)
	}
	if e.configs.config().Rancher.ServicesInclude[key] {
		if err := e.portsFree(fresh.services, e.store.File(kept)); err != nil {
			return err
		}
	}
	if dryRun {
		return nil
	}
	if err := e.keep(fresh); err != nil {
		return err
	}
	if !e.configs.config().Rancher.ServicesInclude[key] {
		return nil
	}
	err = e.again(ctx, fresh.kept.Services, say)
	if err != nil {
		back := e.store.Put(kept, old)
		return errors.Join(err, back, e.again(context.WithoutCancel(ctx), kept.Services, func(control.ImageStep) {}))
	}
	return nil
}

// behind says whether services run as they were before their file changed, as
// after an update that was cut off.
func (e *enabler) behind(services []string) bool {
	return slices.ContainsFunc(services, func(name string) bool {
		now, err := e.supervisor.Service(name)
		return err == nil && now.Changed
	})
}

// notKept says why there is nothing to update under a key.
func (e *enabler) notKept(key string) error {
	unknown := e.known(key)
	switch {
	case unknown != nil:
		return unknown
	case e.builtIn(key):
		return errors.New("it is part of the OS, and new with a new one (ros os upgrade)")
	case filepath.IsAbs(key):
		return errors.New("it was not enabled: its file is read where it lies, by ros service up")
	default:
		return errors.New("it is not on the machine yet")
	}
}

// again makes what runs what the files say now.
func (e *enabler) again(ctx context.Context, services []string, say sayer) error {
	if err := e.reread(ctx); err != nil {
		return err
	}
	return e.await(ctx, services, say)
}

// reread reads the files anew, from where they are now.
func (e *enabler) reread(ctx context.Context) error {
	e.files.seek(e.configs.config())
	w := servicesWork{files: e.files, supervisor: e.supervisor}
	w.reread(ctx)
	return errors.Join(w.errs...)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/imagestore"
)

// trialEnd is what the name of a console that is tried out ends with.
const trialEnd = "-trial"

// takenIn is a console that was just taken in, and what it has taken the place
// of.
type takenIn struct {
	name    string
	changed bool // there was none of its name, or another one
	before  *catalog.Enabled
	file    []byte // of before
}

// found is what an operator means by a word.
type found struct {
	name, origin string
	repo         string // that origin is in; "": none
	image        string
	from         compose.Service
	archive      bool // origin is one, and the image is in it
}

// take finds a console, gets its image and keeps its file, with the image by its
// digest. Nothing that runs changes.
func (c *consoles) take(ctx context.Context, q control.ConsoleName, say sayer) (takenIn, error) {
	f, err := c.find(ctx, q.Name)
	var unknown *catalog.NotFoundError
	if errors.As(err, &unknown) {
		if c.has(q.Name) {
			return takenIn{name: q.Name}, nil // it was an image, or no catalog has it any more
		}
		unknown.Known = append(unknown.Known, console.Default)
		for _, kept := range c.kept.All() {
			unknown.Known = append(unknown.Known, kept.Key)
		}
		slices.Sort(unknown.Known)
		unknown.Known = slices.Compact(unknown.Known)
		return takenIn{}, fmt.Errorf("%w; an image has a tag: %s:latest", unknown, q.Name)
	}
	if err != nil {
		return takenIn{}, err
	}
	if f.name == console.Default || f.name == "" {
		return takenIn{}, fmt.Errorf("%q cannot be the name of a console", f.name)
	}
	if have := c.files.service(console.Service(f.name)); have.Name != "" && have.File != c.file(f.name) {
		return takenIn{}, fmt.Errorf("there is a service %q already, from %s:%d", have.Name, have.File, have.Line)
	}
	pin, err := c.get(ctx, &f, q.NoPull, say)
	if err != nil {
		return takenIn{}, err
	}
	t := takenIn{name: f.name, changed: true}
	if was, err := c.kept.Get(f.name); err == nil {
		if content, err := c.kept.Content(was); err == nil {
			t.file, t.before = content.File, &was
		}
	}
	file := console.File(f.name, f.origin, pin, f.from)
	t.changed = !bytes.Equal(file, t.file)
	return t, c.keep(f, pin, file)
}

func (c *consoles) keep(f found, pin string, file []byte) error {
	return c.kept.Put(catalog.Enabled{
		Key: f.name, Name: console.Service(f.name), Origin: f.origin, Services: []string{console.Service(f.name)},
		Images: map[string]string{f.image: pin}, Time: time.Now().UTC().Truncate(time.Second),
	}, catalog.Content{File: file})
}

// tryOut starts a console beside the one that is in use, in a container that is
// gone again afterwards, and looks whether it gives a shell. What somebody has
// written into a container of its name before is not touched.
func (c *consoles) tryOut(ctx context.Context, t takenIn) error {
	kept, err := c.kept.Get(t.name)
	if err != nil {
		return err
	}
	trial := t.name + trialEnd
	for name, pin := range kept.Images {
		f := found{name: trial, origin: kept.Origin, image: name}
		err = c.keep(f, pin, console.File(trial, kept.Origin, pin, f.from))
	}
	defer func() {
		if err := c.kept.Remove(trial); err != nil {
			c.log.Warn("what a console was tried out with is left", "error", err)
		}
	}()
	now, _ := c.current()
	defer func() { c.reread(context.WithoutCancel(ctx), now) }()
	c.reread(ctx, now, trial)
	if err == nil {
		err = c.starts(ctx, trial)
	}
	if err == nil {
		err = c.works(ctx, trial)
	}
	return err
}

// undo forgets what was taken in; what was there before is there again.
func (c *consoles) undo(t takenIn) error {
	if !t.changed {
		return nil
	}
	if t.before == nil {
		return c.kept.Remove(t.name)
	}
	return c.kept.Put(*t.before, catalog.Content{File: t.file})
}

// find tells a name from a file, an address, an archive and an image.
func (c *consoles) find(ctx context.Context, what string) (found, error) {
	ext := filepath.Ext(what)
	aFile := ext == ".yml" || ext == ".yaml"
	switch {
	case catalog.IsAddress(what), filepath.IsAbs(what) && aFile, !strings.ContainsAny(what, "/:@"):
		return c.described(ctx, what)
	case filepath.IsAbs(what):
		return found{name: console.NameOf(what), origin: what, archive: true, from: compose.Service{Persistent: true}}, nil
	}
	full, err := imagestore.FullName(what, "")
	if err != nil {
		return found{}, err
	}
	return found{name: console.NameOf(what), origin: full, image: what, from: compose.Service{Persistent: true}}, nil
}

// described is a console that has a file: in a catalog, at an address, on the
// machine.
func (c *consoles) described(ctx context.Context, what string) (found, error) {
	file, err := c.catalog().OpenKind(ctx, catalog.Consoles, what, false)
	if err != nil {
		return found{}, err
	}
	services, faults := compose.Parse(file.Origin, file.Text, c.files.environment())
	if err := sound(services, faults); err != nil {
		return found{}, err
	}
	if len(services) != 1 {
		return found{}, fmt.Errorf("%s has %d services, and a console is one", file.Origin, len(services))
	}
	services[0].Persistent = !console.Ephemeral(file.Text)
	return found{name: console.NameOf(file.Name), origin: file.Origin, repo: file.Repo, image: services[0].Image, from: services[0]}, nil
}

// get gets the image and says what it is. One that is on the machine will do.
func (c *consoles) get(ctx context.Context, f *found, noPull bool, say sayer) (pin string, err error) {
	if f.archive {
		return c.load(ctx, f, func(step imagestore.Event) { say(control.ImageStep{Step: &step}) })
	}
	image, err := c.images.Get(ctx, f.image)
	var missing *imagestore.MissingError
	switch {
	case errors.As(err, &missing) && noPull:
		return "", fmt.Errorf("%w, and --no-pull keeps it from being fetched", err)
	case errors.As(err, &missing):
		image, err = c.bring(ctx, f.repo, f.image, say)
	}
	if err != nil {
		return "", err
	}
	text(say, "image %s is %s", f.image, pinned(f.image, image.Digest))
	return pinned(f.image, image.Digest), nil
}

// load takes the first image of an archive.
func (c *consoles) load(ctx context.Context, f *found, event func(imagestore.Event)) (pin string, err error) {
	archive, err := os.Open(f.origin)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	info, err := archive.Stat()
	if err != nil {
		return "", err
	}
	list, err := c.images.Load(ctx, archive, info.Size(), event)
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.origin, err)
	}
	for _, image := range list {
		if image.Name != "" {
			f.image = image.Name
			f.name = strings.TrimPrefix(console.NameOf(image.Name), "console-")
			return pinned(image.Name, image.Digest), nil
		}
	}
	return "", fmt.Errorf("%s has no image with a name", f.origin)
}

// recover ends what a power cut has left half done. A trial is known by being
// of the same origin as the console it was for: its name may be somebody's own.
func (c *consoles) recover() error {
	errs := []error{c.kept.Recover()}
	for _, kept := range c.kept.All() {
		name, ok := strings.CutSuffix(kept.Key, trialEnd)
		of, err := c.kept.Get(name)
		if ok && err == nil && of.Origin == kept.Origin {
			errs = append(errs, c.kept.Remove(kept.Key))
		}
	}
	return errors.Join(errs...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/supervise"
)

// Do implements server.Consoles.
func (c *consoles) Do(ctx context.Context, verb string, q control.ConsoleName, say func(control.ImageStep)) error {
	end, err := c.turns.take(ctx)
	if err != nil {
		return err
	}
	defer end()
	switch verb {
	case "switch":
		if err := c.switchTo(ctx, q, say); err != nil {
			return fmt.Errorf("cannot switch to console %s: %w", q.Name, err)
		}
	case "enable":
		if err := c.enable(ctx, q, say); err != nil {
			return fmt.Errorf("cannot enable console %s: %w", q.Name, err)
		}
	case "reset":
		if err := c.reset(ctx, say); err != nil {
			return fmt.Errorf("cannot reset the console: %w", err)
		}
	}
	return nil
}

// switchTo lets logins go on in another console. Until that one has given a
// shell nothing is different, and afterwards nothing can fail but the writing
// of the config, which is undone.
func (c *consoles) switchTo(ctx context.Context, q control.ConsoleName, say sayer) error {
	was, next := c.current()
	t, err := c.prepare(ctx, q, say)
	if err != nil {
		return err
	}
	_, err = c.naming(t.name)
	if err == nil && t.changed && t.before != nil {
		err = c.tryOut(ctx, t)
	}
	if err == nil {
		err = c.swap(ctx, t.name)
	}
	back := func(err error) error {
		c.set(consoleState{Current: was, Next: next})
		err = errors.Join(err, c.undo(t))
		c.reread(context.WithoutCancel(ctx), was)
		return err
	}
	if err != nil {
		return back(err)
	}
	// Whoever asks may be in the console that ends.
	ctx = context.WithoutCancel(ctx)
	if err := c.name(ctx, t.name); err != nil {
		return back(err)
	}
	if t.name == was && !t.changed {
		text(say, "logins are in console %s already", was)
		return nil
	}
	text(say, "logins are in console %s now", t.name)
	c.retire(ctx, was)
	return nil
}

// prepare takes a console in; the default one is always there.
func (c *consoles) prepare(ctx context.Context, q control.ConsoleName, say sayer) (takenIn, error) {
	if q.Name == console.Default {
		return takenIn{name: console.Default}, nil
	}
	return c.take(ctx, q, say)
}

// swap starts a console beside the one that is in use, looks whether it gives a
// shell, and makes it the one that is in use. If it does not, it is stopped.
func (c *consoles) swap(ctx context.Context, name string) error {
	was, _ := c.current()
	if name != console.Default {
		c.reread(ctx, was, name)
		err := c.starts(ctx, name)
		if err == nil {
			err = c.works(ctx, name)
		}
		if err != nil {
			c.reread(context.WithoutCancel(ctx), was)
			return err
		}
	}
	c.set(consoleState{Current: name})
	return nil
}

// starts waits until a console runs.
func (c *consoles) starts(ctx context.Context, name string) error {
	bounded, cancel := toComeUp(ctx)
	defer cancel()
	s, err := c.supervisor.Do(bounded, console.Service(name), supervise.Up, supervise.Options{Wait: true})
	if err == nil && !s.Up() {
		err = fmt.Errorf("it is %s: %s", s.State, s.Reason)
	}
	return err
}

// retire stops the consoles that are not in use.
func (c *consoles) retire(ctx context.Context, was string) {
	if now, _ := c.current(); now != was {
		c.reread(ctx, now)
	}
}

// reread is remake where nobody waits for the answer.
func (c *consoles) reread(ctx context.Context, names ...string) {
	if _, err := c.remake(ctx, names...); err != nil {
		c.log.Warn("services that consoles are", "error", err)
	}
}

// name writes rancher.console, which the machine is by now.
func (c *consoles) name(ctx context.Context, name string) error {
	s, err := c.naming(name)
	if err != nil {
		return err
	}
	applied, err := c.configs.edit(ctx, s)
	if err != nil {
		return err
	}
	return fault(applied, "console")
}

// naming is what lets the config name a console, or why nothing does.
func (c *consoles) naming(name string) (setting, error) {
	s := setting{[]string{"rancher", "console"}, []byte(name)}
	cfg, err := c.configs.with(s)
	if err != nil {
		return s, err
	}
	if now := cfg.Rancher.Console; now != name {
		return s, fmt.Errorf("a layer of the config that counts more says rancher.console is %s", now)
	}
	return s, nil
}

// enable is a switch at the next boot. That the console gives a shell is seen
// to now.
func (c *consoles) enable(ctx context.Context, q control.ConsoleName, say sayer) error {
	now, next := c.current()
	t, err := c.prepare(ctx, q, say)
	if err != nil {
		return err
	}
	_, err = c.naming(t.name)
	if err == nil && t.name != console.Default {
		err = c.tryOut(ctx, t)
	}
	if err == nil {
		c.set(consoleState{Current: now, Next: t.name})
		err = c.name(context.WithoutCancel(ctx), t.name)
	}
	if err != nil {
		c.set(consoleState{Current: now, Next: next})
		return errors.Join(err, c.undo(t))
	}
	text(say, "logins are in console %s from the next boot on", t.name)
	return nil
}

// reset makes the console that is in use anew, from its image.
func (c *consoles) reset(ctx context.Context, say sayer) error {
	now, _ := c.current()
	ctx = context.WithoutCancel(ctx) // whoever asks may be in it
	if now == console.Default {
		text(say, "console default is made anew; sessions in it end")
		return errors.Join(c.again(ctx, "ssh"), c.again(ctx, "console"))
	}
	service := console.Service(now)
	text(say, "console %s is made anew; sessions in it end", now)
	if _, err := c.supervisor.Do(ctx, service, supervise.Stop, supervise.Options{Wait: true}); err != nil {
		return err
	}
	if _, err := c.supervisor.Do(ctx, service, supervise.Remove, supervise.Options{}); err != nil {
		return err
	}
	if err := c.starts(ctx, now); err != nil {
		return err
	}
	return c.works(ctx, now)
}

// again makes a service anew that runs; one that does not stays as it is.
func (c *consoles) again(ctx context.Context, service string) error {
	s, err := c.supervisor.Service(service)
	if err != nil || !s.Up() {
		return err
	}
	_, err = c.supervisor.Do(ctx, service, supervise.Up, supervise.Options{ForceRecreate: true})
	return err
}

// List implements server.Consoles.
func (c *consoles) List(ctx context.Context, refresh bool) []control.Console {
	now, next := c.current()
	state := func(name, otherwise string) string {
		switch name {
		case now:
			return control.ConsoleCurrent
		case next:
			return control.ConsoleEnabled
		}
		return otherwise
	}
	list := []control.Console{{Name: console.Default, State: state(console.Default, control.ConsoleDisabled), Image: "ros/console", Origin: "the OS image"}}
	for _, kept := range c.kept.All() {
		entry := control.Console{Name: kept.Key, State: state(kept.Key, control.ConsoleDisabled), Origin: kept.Origin, Time: kept.Time}
		for name := range kept.Images {
			entry.Image = name
		}
		entry.Persistent = c.persistent(kept.Key)
		list = append(list, entry)
	}
	all := c.catalog()
	for _, r := range all.Repositories {
		index, err := all.Index(ctx, r, refresh)
		if err != nil {
			list = append(list, control.Console{Repository: r.Name, Error: err.Error()})
		}
		for _, name := range index.Consoles {
			if i := slices.IndexFunc(list, func(have control.Console) bool { return have.Name == name }); i >= 0 {
				list[i].Repository, list[i].SignedBy = r.Name, index.SignedBy
				continue
			}
			list = append(list, control.Console{Name: name, State: control.ConsoleAvailable, Repository: r.Name, SignedBy: index.SignedBy})
		}
	}
	return list
}

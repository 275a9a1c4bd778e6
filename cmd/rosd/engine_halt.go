package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	dockerOptions = "/run/ros/config/docker/daemon.json"
	reloadPause   = 100 * time.Millisecond
	reloadTries   = 100
)

// engineInfo is what an engine says about itself; a *docker.Runtime.
type engineInfo interface {
	About(ctx context.Context) (docker.About, error)
}

// engineHalt stops an engine with its containers. With live-restore they would
// go on under their shims, and the next engine may not know them; so dockerd is
// told first that it is off. The containers are not stopped one by one: dockerd
// would take that for a wish, and not start them again.
type engineHalt struct {
	supervisor *supervise.Supervisor
	info       engineInfo
	options    string // daemon.json that dockerd reads
}

func (h engineHalt) halt(ctx context.Context) error {
	s, err := h.supervisor.Service(engine.Service)
	if err != nil {
		return nil // there is none
	}
	if s.Up() && s.Pid != 0 {
		err = h.endLiveRestore(ctx)
	}
	if s.State == supervise.Stopped {
		return nil
	}
	_, stopped := h.supervisor.Do(ctx, engine.Service, supervise.Stop, supervise.Options{Wait: true})
	return errors.Join(err, stopped)
}

// endLiveRestore tells dockerd to take its containers along.
func (h engineHalt) endLiveRestore(ctx context.Context) error {
	about, err := h.info.About(ctx)
	if err != nil || !about.LiveRestoreEnabled {
		return err
	}
	text, err := os.ReadFile(h.options)
	if err != nil {
		return err
	}
	var options map[string]any
	if err := json.Unmarshal(text, &options); err != nil {
		return err
	}
	options["live-restore"] = false
	if text, err = json.Marshal(options); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(h.options, text, 0o600); err != nil {
		return err
	}
	if _, err := h.supervisor.Do(ctx, engine.Service, supervise.Kill, supervise.Options{Signal: "SIGHUP"}); err != nil {
		return err
	}
	for range reloadTries {
		if about, err = h.info.About(ctx); err == nil && !about.LiveRestoreEnabled {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(reloadPause):
		}
	}
	return fmt.Errorf("dockerd does not take its containers along (%w)", err)
}

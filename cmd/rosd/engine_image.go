package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/imagestore"
)

// checkedEngine is the container that an engine is looked into with.
const checkedEngine = "engine-check"

// archive loads the image of an engine from a file.
func (e *engines) archive(ctx context.Context, path string, say sayer) (imagestore.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return imagestore.Image{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return imagestore.Image{}, err
	}
	list, err := e.images.Load(ctx, f, info.Size(), func(step imagestore.Event) { say(control.ImageStep{Step: &step}) })
	switch {
	case err != nil:
		return imagestore.Image{}, fmt.Errorf("%s: %w", path, err)
	case len(list) != 1:
		return imagestore.Image{}, fmt.Errorf("%s has %d images, an engine is one", path, len(list))
	case list[0].Name == "":
		return imagestore.Image{}, fmt.Errorf("%s: its image has no name, which is what an engine is known by", path)
	}
	return list[0], nil
}

// engineVersion asks the dockerd of an image which it is: by that it is known
// that the image can run here at all.
func engineVersion(in programs) func(ctx context.Context, found engine.Engine) (string, error) {
	return func(ctx context.Context, found engine.Engine) (string, error) { return askVersion(ctx, in, found) }
}

func askVersion(ctx context.Context, in programs, found engine.Engine) (string, error) {
	entry, err := json.Marshal([]string{found.Dockerd, "--version"})
	if err != nil {
		return "", err
	}
	list, faults := compose.Parse("engine.yml", fmt.Appendf(nil, "services: {%s: {image: %q, entrypoint: %s, network_mode: none, x-ros: {scope: system}}}", checkedEngine, found.Pin, entry), nil)
	if len(faults) > 0 {
		return "", faults[0]
	}
	svc := list[0]
	svc.Over, svc.User, svc.WorkingDir = engine.Base, "0:0", "/"
	_ = in.RemoveRun(ctx, checkedEngine, true) // what an earlier rosd left
	session, err := in.Run(ctx, svc, true, false, true)
	if err != nil {
		return "", fmt.Errorf("cannot run its %s: %w", found.Dockerd, err)
	}
	defer session.Close()
	said := make(chan struct{})
	var out, complaint strings.Builder
	go func() {
		defer close(said)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(&complaint, io.LimitReader(session.Errors, 4<<10))
		}()
		_, _ = io.Copy(&out, io.LimitReader(session.Output, 4<<10))
		<-done
	}()
	code, err := session.Wait(ctx)
	session.Drained(said)
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(complaint.String()))
	}
	if err != nil {
		return "", fmt.Errorf("its %s ends with %d: %w", found.Dockerd, code, err)
	}
	return engine.ReadVersion(out.String())
}

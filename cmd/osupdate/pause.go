package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/osupdate"
)

// always is how long automatic upgrades are paused when nobody says: until
// somebody resumes them.
var always = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// pause is "ros os pause": rosd reads the file.
func pause(file string) func(context.Context, call) (any, error) {
	return func(_ context.Context, c call) (any, error) {
		var o struct {
			Until time.Time `json:"until"` // zero: until resume
		}
		if err := c.decode(&o); err != nil {
			return nil, err
		}
		if o.Until.IsZero() {
			o.Until = always
		}
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = atomicfile.WriteFile(file, []byte(o.Until.UTC().Format(time.RFC3339)+"\n"), 0o644)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot pause automatic upgrades: %w", err)
		}
		return struct{}{}, nil
	}
}

// resume is "ros os resume".
func resume(file string) func(context.Context, call) (any, error) {
	return func(context.Context, call) (any, error) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot resume automatic upgrades: %w", err)
		}
		return struct{}{}, nil
	}
}

// pauseVerbs are the verbs about osupdate.PauseFile.
func pauseVerbs() []verb {
	return []verb{
		{name: "pause", run: pause(osupdate.PauseFile)},
		{name: "resume", run: resume(osupdate.PauseFile)},
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
)

// listWorker is a worker to which the list of releases offers one.
type listWorker struct {
	nothing string // why that one is not wanted
	asked   []string
	err     error
	version func() int        // of what the list offers; nil: 2
	during  map[string]func() // what happens while it is at a step
}

func (w *listWorker) Run(_ context.Context, verb string, options []byte, emit func(osupdate.Event) error) error {
	var o osupdate.Upgrade
	if options != nil {
		if err := json.Unmarshal(options, &o); err != nil {
			return err
		}
	}
	step := stepOf(verb, o)
	w.asked = append(w.asked, step)
	if w.err != nil {
		return emit(osupdate.Event{Event: osupdate.Error, Error: w.err.Error()})
	}
	release := w.offered()
	res := osupdate.Upgraded{Release: release, Nothing: w.nothing, Armed: step == "arm" && w.nothing == ""}
	if o.Digest != "" && o.Digest != release.Digest {
		res.Nothing, res.Armed = "another one is wanted", false
	}
	if during := w.during[step]; during != nil {
		during()
	}
	text, err := json.Marshal(res)
	if err != nil {
		return err
	}
	return emit(osupdate.Event{Event: osupdate.Result, Result: text})
}

func stepOf(verb string, o osupdate.Upgrade) string {
	switch {
	case verb != "upgrade":
		return verb
	case o.Check:
		return "check"
	case o.Stage:
		return "stage"
	}
	return "arm"
}

func (w *listWorker) offered() slots.Release {
	version := 2
	if w.version != nil {
		version = w.version()
	}
	return slots.Release{Version: fmt.Sprintf("v%d", version), Digest: fmt.Sprintf("sha256:%d", version)}
}

func TestUpgrades(t *testing.T) {
	every := config.Upgrade{URL: "https://example.com/releases.yml", IntervalSeconds: 3600, JitterSeconds: 60}
	with := func(policy, window string) config.Upgrade {
		cfg := every
		cfg.Policy, cfg.Window = policy, window
		return cfg
	}
	// The clock of synctest begins at midnight of a Saturday, UTC.
	for _, tt := range []struct {
		name      string
		cfg       config.Upgrade
		worker    listWorker
		paused    string
		hours     int
		want      []string
		restarted bool
	}{
		{name: "none", cfg: with("none", ""), hours: 3},
		{name: "no list", cfg: config.Upgrade{Policy: "auto"}, hours: 3},
		{name: "download", cfg: with("download", ""), hours: 1, want: []string{"check", "stage"}},
		{name: "auto", cfg: with("auto", ""), hours: 1, want: []string{"check", "stage", "arm"}, restarted: true},
		{name: "auto, the window opens later", cfg: with("auto", "05:00-06:00"), hours: 4, want: []string{"check", "stage"}},
		{name: "auto, the window opens", cfg: with("auto", "05:00-06:00"), hours: 6, restarted: true,
			want: []string{"check", "stage", "arm"}},
		{name: "nothing new", cfg: with("auto", ""), worker: listWorker{nothing: "it is what runs already"}, hours: 3,
			want: []string{"check", "check", "check"}},
		{name: "no network", cfg: with("auto", ""), worker: listWorker{err: errors.New("no route")}, hours: 2,
			want: []string{"check", "check"}},
		{name: "paused", cfg: with("auto", ""), paused: "2000-01-01T02:30:00Z", hours: 2},
		{name: "no longer paused", cfg: with("download", ""), paused: "2000-01-01T02:30:00Z", hours: 3, want: []string{"check", "stage"}},
		{name: "paused by a word", cfg: with("auto", ""), paused: "for ever", hours: 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pausedAt := filepath.Join(t.TempDir(), "paused")
			if tt.paused != "" {
				if err := os.WriteFile(pausedAt, []byte(tt.paused+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(tt.hours)*time.Hour)
				defer cancel()
				restarted := false
				u := upgrades{
					config: func() config.Upgrade { return tt.cfg }, worker: &tt.worker,
					reboot:   func(context.Context) error { restarted = true; cancel(); return nil },
					pausedAt: pausedAt, machineID: "0123", log: slog.New(slog.DiscardHandler),
					now: func() time.Time { return time.Now().UTC() }, zone: func() *time.Location { return time.UTC },
				}
				u.run(ctx)
				if !slices.Equal(tt.worker.asked, tt.want) {
					t.Errorf("asked the worker: %s; want %s", strings.Join(tt.worker.asked, ", "), strings.Join(tt.want, ", "))
				}
				if restarted != tt.restarted {
					t.Errorf("restarted = %v, want %v", restarted, tt.restarted)
				}
			})
		})
	}
}

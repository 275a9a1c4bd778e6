package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/config"
)

// fleet is a machine of a fleet with the policy auto, for as long as it waits
// to restart. It begins at midnight of a Saturday, UTC.
type fleet struct {
	mu      sync.Mutex // guards what changes meanwhile
	cfg     config.Upgrade
	worker  listWorker
	machine string // its ID
	leap    time.Duration
	zone    *time.Location
	paused  string // the file

	stuck     error     // why PID 1 does not restart the machine
	restarted time.Time // by the clock of the machine; zero: never
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	return &fleet{
		cfg: config.Upgrade{
			URL: "https://example.com/releases.yml", Policy: "auto", Window: "05:00-06:00", IntervalSeconds: 3600,
		},
		machine: "0123", zone: time.UTC, paused: filepath.Join(t.TempDir(), "paused"),
	}
}

func (f *fleet) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().UTC().Add(f.leap)
}

// after changes something while the machine waits.
func (f *fleet) after(d time.Duration, change func()) {
	time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		change()
	})
}

func (f *fleet) pause(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(f.paused, []byte("9999-12-31T00:00:00Z\n"), 0o644); err != nil {
		t.Error(err)
	}
}

// run obeys the policy until the machine restarts, for so many hours at most.
func (f *fleet) run(t *testing.T, hours int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(hours)*time.Hour)
	defer cancel()
	u := upgrades{
		config: func() config.Upgrade {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.cfg
		},
		worker: &f.worker,
		reboot: func(context.Context) error {
			if f.stuck == nil {
				f.restarted = f.now()
				cancel()
			}
			return f.stuck
		},
		pausedAt: f.paused, machineID: f.machine, log: slog.New(slog.DiscardHandler),
		now: f.now,
		zone: func() *time.Location {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.zone
		},
	}
	u.run(ctx)
}

func (f *fleet) check(t *testing.T, restarted string, asked ...string) {
	t.Helper()
	got := "never"
	if !f.restarted.IsZero() {
		got = f.restarted.Format("2006-01-02 15:04")
	}
	if got != restarted {
		t.Errorf("the machine restarted %s, want %s", got, restarted)
	}
	if !slices.Equal(f.worker.asked, asked) {
		t.Errorf("asked the worker: %s; want %s", strings.Join(f.worker.asked, ", "), strings.Join(asked, ", "))
	}
}

// TestOperatorDuringADownload: what is said while a release is written, or
// while it is put on trial, counts.
func TestOperatorDuringADownload(t *testing.T) {
	none := func(f *fleet, _ *testing.T) { f.cfg.Policy = "none" }
	for _, tt := range []struct {
		name, window, step string
		does               func(*fleet, *testing.T)
		asked              []string
	}{
		{"pause", "", "stage", (*fleet).pause, []string{"check", "stage"}},
		{"pause, in the window", "00:00-06:00", "stage", (*fleet).pause, []string{"check", "stage"}},
		{"policy none", "", "stage", none, []string{"check", "stage"}},
		{"pause, at the last moment", "", "arm", (*fleet).pause, []string{"check", "stage", "arm", "disarm"}},
		{"policy none, at the last moment", "00:00-06:00", "arm", none, []string{"check", "stage", "arm", "disarm"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t)
			f.cfg.Window = tt.window
			f.worker.during = map[string]func(){tt.step: func() { tt.does(f, t) }}
			synctest.Test(t, func(t *testing.T) { f.run(t, 3) })
			f.check(t, "never", tt.asked...)
		})
	}
}

// TestNoRestart: a trial that no restart begins would begin with anybody's, at
// any hour.
func TestNoRestart(t *testing.T) {
	f := newFleet(t)
	f.stuck = errors.New("PID 1 does not answer")
	f.cfg.IntervalSeconds = 24 * 3600
	synctest.Test(t, func(t *testing.T) { f.run(t, 6) })
	f.check(t, "never", "check", "stage", "arm", "disarm")
}

// TestChangedMindIsObeyed: another window counts at once, not when the list is
// read again for other reasons.
func TestChangedMindIsObeyed(t *testing.T) {
	f := newFleet(t)
	f.cfg.IntervalSeconds = 86400
	synctest.Test(t, func(t *testing.T) {
		f.after(4*time.Hour, func() { f.cfg.Window = "04:30-06:00" })
		f.run(t, 8)
	})
	f.check(t, "2000-01-01 04:30", "check", "stage", "check", "stage", "arm")
}

// TestJitterInTheWindow: not all machines of a fleet restart at its opening.
func TestJitterInTheWindow(t *testing.T) {
	moments := map[time.Time]bool{}
	for _, id := range []string{"a", "b", "c", "d"} {
		var moment time.Time
		for range 2 {
			f := newFleet(t)
			f.machine, f.cfg.JitterSeconds = id, 7200
			synctest.Test(t, func(t *testing.T) { f.run(t, 30) })
			if f.restarted.Hour() != 5 || f.restarted.Day() != 1 || !moment.IsZero() && !moment.Equal(f.restarted) {
				t.Errorf("machine %s restarted at %v, and before that at %v", id, f.restarted, moment)
			}
			moment = f.restarted
		}
		moments[moment] = true
	}
	if len(moments) < 4 {
		t.Errorf("four machines restarted at %d moments: %v", len(moments), moments)
	}
}

// TestClockLeaps: a machine without a battery learns what time it is while it
// waits for the window.
func TestClockLeaps(t *testing.T) {
	f := newFleet(t)
	synctest.Test(t, func(t *testing.T) {
		f.after(time.Hour, func() { f.leap = 9*366*24*time.Hour + 11*time.Hour }) // it is noon
		f.run(t, 48)
	})
	f.check(t, "2009-01-08 05:00", "check", "stage", "arm")
}

// TestWindowShutsMeanwhile: a slot that has to be read for hours before it can
// be put on trial is not tried outside the window.
func TestWindowShutsMeanwhile(t *testing.T) {
	f := newFleet(t)
	slow := 2 * time.Hour
	f.worker.during = map[string]func(){"arm": func() { time.Sleep(slow); slow = 0 }}
	synctest.Test(t, func(t *testing.T) { f.run(t, 30) })
	f.check(t, "2000-01-02 05:00", "check", "stage", "arm", "disarm", "check", "stage", "arm")
}

// TestListChangesMeanwhile: what restarts is what was written before the
// window, and nothing is written in it.
func TestListChangesMeanwhile(t *testing.T) {
	f := newFleet(t)
	f.cfg.IntervalSeconds = 86400
	synctest.Test(t, func(t *testing.T) {
		version := 2
		f.worker.version = func() int {
			f.mu.Lock()
			defer f.mu.Unlock()
			return version
		}
		f.after(4*time.Hour, func() { version = 3 })
		f.run(t, 30)
	})
	f.check(t, "2000-01-01 05:01", "check", "stage", "arm", "check", "stage", "arm")
}

// TestZoneOfTheWindow: it is that of the machine, also when that changes.
func TestZoneOfTheWindow(t *testing.T) {
	f := newFleet(t)
	f.zone = time.FixedZone("west", -5*3600)
	synctest.Test(t, func(t *testing.T) {
		f.after(3*time.Hour, func() { f.zone = time.FixedZone("further", -8*3600) })
		f.run(t, 30)
	})
	f.check(t, "2000-01-01 13:00", "check", "stage", "arm")
}

func TestMachineZone(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), "localtime")
	for _, tt := range []struct{ rules, want string }{
		{"", "12:00 +0000"},
		{"no rules", "12:00 +0000"},
		{zoneRules("CET-1CEST,M3.5.0,M10.5.0/3"), "14:00 +0200"},
		{zoneRules("EST5"), "07:00 -0500"},
	} {
		if tt.rules != "" {
			if err := os.WriteFile(file, []byte(tt.rules), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := at.In(machineZone(file)).Format("15:04 -0700"); got != tt.want {
			t.Errorf("with %.20q it is %s, want %s", tt.rules, got, tt.want)
		}
	}
}

// zoneRules are those of a time zone of tzfile(5) that has nothing but the rule
// at its end: two empty blocks, of version 1 and of 2, with one zone, UTC.
func zoneRules(rule string) string {
	block := "TZif2" + strings.Repeat("\x00", 15+4*4) + "\x00\x00\x00\x01\x00\x00\x00\x04" + strings.Repeat("\x00", 6) + "UTC\x00"
	return block + block + "\n" + rule + "\n"
}

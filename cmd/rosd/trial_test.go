package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/supervise"
)

// stage is a machine on trial: its services, and what became of it.
type stage struct {
	mu       sync.Mutex
	services []supervise.Service
	refuse   error // of commit
	full     error // of the state disk
	over     bool  // PID 1 has heard of the end from somebody else
	said     []string
	began    time.Time
}

func (s *stage) set(name string, state supervise.State, restarts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services = slices.DeleteFunc(s.services, func(x supervise.Service) bool { return x.Name == name })
	s.services = append(s.services, supervise.Service{Name: name, Required: true, State: state, Restarts: restarts, Reason: "it\nsays so"})
}

func (s *stage) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, fmt.Sprintf("%v ", time.Since(s.began).Round(time.Second))+fmt.Sprintf(format, args...))
}

// Run is the worker.
func (s *stage) Run(_ context.Context, verb string, _ []byte, emit func(osupdate.Event) error) error {
	if s.refuse != nil {
		return emit(osupdate.Event{Event: osupdate.Error, Error: s.refuse.Error()})
	}
	s.say("%s", verb)
	text, err := json.Marshal(osupdate.Changed{Slot: slots.B, Version: "v2"})
	if err != nil {
		return err
	}
	return emit(osupdate.Event{Event: osupdate.Result, Result: text})
}

func (s *stage) trial(told *[]time.Duration) *trial {
	return &trial{
		limits: func() trialLimits { return trialLimits{window: 2 * time.Minute, deadline: 10 * time.Minute} },
		services: func() []supervise.Service {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Clone(s.services)
		},
		worker: s,
		settings: func(_ context.Context, d time.Duration) error {
			*told = append(*told, d)
			return nil
		},
		end: func(_ context.Context, t initctl.Trial) error {
			s.say("%s: %s: %s %q", t.Outcome, t.Check, t.Reason, t.Lines)
			return nil
		},
		over: func(context.Context) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.over
		},
		storage: func() error { return s.full },
		lines:   func(service string) []string { return []string{service + ": last words"} },
		uptime:  func() float64 { return time.Since(s.began).Seconds() },
		log:     slog.New(slog.DiscardHandler),
	}
}

// half a tick: no change is at the moment of a look.
const half = trialTick / 2

func TestTrial(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*stage) // beside the trial
		want string
	}{
		{"all well at once", func(s *stage) { s.set("net", supervise.Healthy, 0); s.set("udev", supervise.Done, 0) }, "2m1s commit"},
		{"well after a while", func(s *stage) {
			s.set("net", supervise.Starting, 0)
			time.Sleep(30*time.Second + half)
			s.set("net", supervise.Healthy, 0)
		}, "2m31s commit"},
		{"restarted within the window", func(s *stage) {
			s.set("net", supervise.Healthy, 0)
			time.Sleep(time.Minute + half)
			s.set("net", supervise.Healthy, 1)
		}, "3m1s commit"},
		{"one that is not required does not count", func(s *stage) {
			s.set("net", supervise.Healthy, 0)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.services = append(s.services, supervise.Service{Name: "cron", State: supervise.Failed})
		}, "2m1s commit"},
		{"unhealthy at the deadline", func(s *stage) {
			s.set("net", supervise.Unhealthy, 3)
			s.set("api", supervise.Healthy, 0)
		}, `10m0s failed: service net: required service net is unhealthy: it says so, after 3 restarts ["net: last words"]`},
		{"two of them", func(s *stage) {
			s.set("net", supervise.Backoff, 0)
			s.set("api", supervise.Starting, 0)
		}, `10m0s failed: service net: required service net is backoff: it says so (not well: net, api) ["net: last words"]`},
		{"one is broken, another only late", func(s *stage) {
			s.set("api", supervise.Starting, 0)
			s.set("web", supervise.Waiting, 0)
			s.set("net", supervise.Starting, 7)
		}, `10m0s failed: service net: required service net is starting: it says so, after 7 restarts (not well: api, web, net) ["net: last words"]`},
		{"cannot become well", func(s *stage) {
			s.set("api", supervise.Waiting, 0)
			s.set("net", supervise.Failed, 0)
		}, `2m1s failed: service net: required service net is failed: it says so (not well: api, net) ["net: last words"]`},
		{"nobody to ask", func(*stage) {}, `10m0s failed: services: there is no required service, so nobody can say that this release works []`},
		{"well too late", func(s *stage) {
			s.set("net", supervise.Starting, 0)
			time.Sleep(9*time.Minute + half)
			s.set("net", supervise.Healthy, 0)
		}, `10m0s failed: deadline: all required services are well, but only since 59s []`},
		{"state disk full for a while", func(s *stage) {
			s.set("net", supervise.Healthy, 0)
			s.full = errors.New("the state disk cannot be written: no space left on device")
			time.Sleep(3*time.Minute + half)
			s.full = nil
		}, "3m1s commit"},
		{"state disk full", func(s *stage) {
			s.set("net", supervise.Healthy, 0)
			s.full = errors.New("the state disk cannot be written: no space left on device")
		}, `10m0s failed: state disk: the state disk cannot be written: no space left on device []`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stage{began: time.Now()}
				var told []time.Duration
				go tt.do(s)
				synctest.Wait()
				s.trial(&told).run(t.Context())
				if got := strings.Join(s.said, "\n"); got != tt.want {
					t.Errorf("it came to\n%s\nwant\n%s", got, tt.want)
				}
				if len(told) != 1 || told[0] != 10*time.Minute {
					t.Errorf("PID 1 was told the deadlines %v", told)
				}
			})
		})
	}
}

// TestDecidedByOthers: after "ros os commit" or "ros os rollback --no-reboot" by
// hand rosd has nothing to decide, also when it was started anew since.
func TestDecidedByOthers(t *testing.T) {
	for _, after := range []time.Duration{0, 3*time.Minute + half} {
		for _, state := range []supervise.State{supervise.Healthy, supervise.Unhealthy} {
			synctest.Test(t, func(t *testing.T) {
				s := &stage{began: time.Now()}
				s.set("net", state, 0)
				if state == supervise.Healthy && after > 0 {
					s.refuse = errors.New("slot B is running, but it is not on trial")
				}
				var told []time.Duration
				tr := s.trial(&told)
				end := tr.end
				tr.end = func(ctx context.Context, t initctl.Trial) error {
					_ = end(ctx, t)
					return errors.New("this trial is over: committed")
				}
				go func() {
					time.Sleep(after)
					s.mu.Lock()
					defer s.mu.Unlock()
					s.over = true
				}()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				tr.run(ctx)
				if len(s.said) > 0 || ctx.Err() != nil {
					t.Errorf("decided after %s, service %s: rosd said %q, and ended because of: %v", after, state, s.said[:min(len(s.said), 3)], ctx.Err())
				}
			})
		}
	}
}

// TestSettleAfterStart: at once when the boot loader says that a trial failed,
// and otherwise when nobody waits for anything any more.
func TestSettleAfterStart(t *testing.T) {
	for _, tt := range []struct {
		running slots.Running
		want    string
	}{
		{slots.Running{Slot: slots.A, Failed: slots.B}, "0s settle"},
		{slots.Running{Slot: slots.A}, "2m0s settle"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &stage{began: time.Now()}
			var told []time.Duration
			var tells []slots.Running
			tell := func(r slots.Running) { tells = append(tells, r) }
			watchSlots(t.Context(), tt.running, s.trial(&told), tell, slog.New(slog.DiscardHandler))
			if want := []slots.Running{tt.running, tt.running}; !slices.Equal(tells, want) {
				t.Errorf("logins were told of %+v, want %+v", tells, want)
			}
			if got := strings.Join(s.said, "\n"); got != tt.want {
				t.Errorf("%+v: %s, want %s", tt.running, got, tt.want)
			}
		})
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	if err := writable(filepath.Join(dir, "os/x"))(); err != nil {
		t.Error(err)
	}
	if err := writable(filepath.Join(dir, "os/x/y"))(); err == nil || !strings.HasPrefix(err.Error(), "the state disk cannot be written: ") {
		t.Errorf("writable below a file = %v", err)
	}
}

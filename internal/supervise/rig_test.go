package supervise_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// service is a service that is kept running, changed by how.
func service(name string, how ...func(*compose.Service)) supervise.Definition {
	svc := compose.Service{
		Name: name, Scope: compose.ScopeSystem, Image: "ros/" + name, File: name + ".yml", Line: 2,
		Restart: compose.Restart{Mode: compose.RestartAlways}, StopSignal: "SIGTERM", StopGracePeriod: 10 * time.Second,
	}
	for _, change := range how {
		change(&svc)
	}
	return supervise.Definition{Service: svc}
}

func once(s *compose.Service) { s.Restart = compose.Restart{Mode: compose.RestartNo} }

func onFailure(retries int) func(*compose.Service) {
	return func(s *compose.Service) {
		s.Restart = compose.Restart{Mode: compose.RestartOnFailure, MaxRetries: retries}
	}
}

func after(name string, condition compose.Condition) func(*compose.Service) {
	return func(s *compose.Service) {
		s.DependsOn = append(s.DependsOn, compose.Dependency{Service: name, Condition: condition, Required: true})
	}
}

func ifPossible(s *compose.Service) { s.DependsOn[len(s.DependsOn)-1].Required = false }

func restartWith(s *compose.Service) { s.DependsOn[len(s.DependsOn)-1].Restart = true }

func inItsNetwork(s *compose.Service) { s.DependsOn[len(s.DependsOn)-1].Network = true }

func command(words ...string) func(*compose.Service) {
	return func(s *compose.Service) { s.Command = words }
}

func grace(d time.Duration) func(*compose.Service) {
	return func(s *compose.Service) { s.StopGracePeriod = d }
}

// checked has a healthcheck every 10 s, three failures of which are too many.
func checked(s *compose.Service) {
	s.Healthcheck = &compose.Healthcheck{Test: []string{"check"}, Interval: 10 * time.Second, Timeout: time.Second, Retries: 3}
}

// rig is a Supervisor over a machineRoom, in a synctest bubble.
type rig struct {
	t      *testing.T
	room   *machineRoom
	sup    *supervise.Supervisor
	begin  time.Time
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	lines []line
}

type line struct {
	at      time.Duration
	service string
	text    string
}

// start runs a Supervisor; its folder of records is dir.
func start(t *testing.T, dir string, room *machineRoom, defs ...supervise.Definition) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &rig{t: t, room: room, begin: time.Now(), cancel: cancel, ended: make(chan struct{})}
	r.sup = supervise.New(supervise.Config{
		Runtime: room, Dir: dir,
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
		Uptime:   func() float64 { return time.Since(r.begin).Seconds() + 1 },
		LastLine: func(name string, _ time.Time) string { return "last words of " + name },
	})
	events, stop := r.sup.Events()
	go func() {
		defer close(r.ended)
		defer stop()
		if err := r.sup.Run(ctx, defs); err != nil {
			t.Errorf("Run() error = %v", err)
		}
	}()
	go func() {
		for e := range events {
			r.note(e)
		}
	}()
	synctest.Wait()
	return r
}

func (r *rig) note(e supervise.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Type != "state" {
		return
	}
	text := string(e.To)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	r.lines = append(r.lines, line{e.Time.Sub(r.begin), e.Service, text})
}

// end lets rosd die.
func (r *rig) end() {
	r.cancel()
	<-r.ended
	synctest.Wait()
}

// story is every change so far, one a line: "1.2s  ntp: healthy".
func (r *rig) story() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.lines, func(a, b line) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return strings.Compare(a.service, b.service)
	})
	var b strings.Builder
	for _, l := range r.lines {
		fmt.Fprintf(&b, "%s %s %s\n", l.at, l.service, l.text)
	}
	return b.String()
}

// do is an operator at work.
func (r *rig) do(verb supervise.Verb, name string, o supervise.Options) {
	r.t.Helper()
	if _, err := r.sup.Do(r.t.Context(), name, verb, o); err != nil {
		r.t.Errorf("Do(%q, %q) error = %v", verb, name, err)
	}
	synctest.Wait()
}

func (r *rig) service(name string) supervise.Service {
	r.t.Helper()
	synctest.Wait()
	s, err := r.sup.Service(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// step is what happens to the machine at a time after its start.
type step struct {
	at   time.Duration
	what func(*rig)
}

func does(verb supervise.Verb, name string) func(*rig) {
	return func(r *rig) { r.do(verb, name, supervise.Options{}) }
}

func containerd(up bool) func(*rig) { return func(r *rig) { r.room.setDown(!up) } }

func unindent(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "\n"), "\t", "") + "\n"
}

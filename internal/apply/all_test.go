package apply_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

// short is a result with its error as text.
type short struct {
	Applier string
	Outcome apply.Outcome
	Err     string
}

func shorten(results []apply.Result) []short {
	var list []short
	for _, r := range results {
		s := short{Applier: r.Applier, Outcome: r.Outcome}
		if r.Err != nil {
			s.Err = r.Err.Error()
		}
		list = append(list, s)
	}
	return list
}

func TestDriverGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		did := func(name string, err error) apply.Applier {
			return func(context.Context, *apply.Host, *config.Config) (apply.Outcome, error) {
				order = append(order, name)
				return apply.Outcome{Did: []string{name}}, err
			}
		}
		release := make(chan struct{})
		var log strings.Builder
		d := &apply.Driver{
			Host:   &apply.Host{Log: slog.New(slog.NewTextHandler(&log, nil))},
			Bound:  30 * time.Second,
			Longer: map[string]time.Duration{"services": time.Minute},
			Appliers: map[string]apply.Applier{
				"hostname": did("hostname", nil),
				"services": func(context.Context, *apply.Host, *config.Config) (apply.Outcome, error) {
					time.Sleep(59 * time.Second)
					return apply.Outcome{Did: []string{"stopped"}}, nil
				},
				"logins": did("logins", errors.New("no space left")),
				"mounts": func(context.Context, *apply.Host, *config.Config) (apply.Outcome, error) {
					<-release // the kernel hears no context
					return apply.Outcome{Did: []string{"mounted"}}, nil
				},
				"swap": func(ctx context.Context, _ *apply.Host, _ *config.Config) (apply.Outcome, error) {
					<-ctx.Done()
					return apply.Outcome{}, errors.New("mkswap: killed")
				},
				"sysctl":  func(context.Context, *apply.Host, *config.Config) (apply.Outcome, error) { panic("boo") },
				"modules": did("modules", nil),
			},
		}
		want := []short{
			{"hostname", apply.Outcome{Did: []string{"hostname"}}, ""},
			{"logins", apply.Outcome{Did: []string{"logins"}}, "no space left"},
			{"mounts", apply.Outcome{}, "mounts: not done after 30s; going on without it"},
			{"swap", apply.Outcome{}, "mkswap: killed"},
			{"sysctl", apply.Outcome{}, "sysctl: internal error: see the log of rosd"},
			{"modules", apply.Outcome{Did: []string{"modules"}}, ""},
			{"services", apply.Outcome{Did: []string{"stopped"}}, ""},
		}
		sortAsTable(want)
		if diff := cmp.Diff(want, shorten(d.Apply(t.Context(), &config.Config{}))); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		if !strings.Contains(log.String(), "applier=sysctl panic=boo") {
			t.Errorf("log is %q", log.String())
		}
		for i, w := range want {
			if w.Applier == "mounts" {
				want[i].Err = "mounts: the last change is still being applied"
			}
		}
		if diff := cmp.Diff(want, shorten(d.Apply(t.Context(), &config.Config{}))); diff != "" {
			t.Errorf("results while one of them hangs (-want +got):\n%s", diff)
		}
		close(release)
		synctest.Wait()
		for i, w := range want {
			if w.Applier == "mounts" {
				want[i].Outcome.Did, want[i].Err = []string{"mounted"}, ""
			}
		}
		if diff := cmp.Diff(want, shorten(d.Apply(t.Context(), &config.Config{}))); diff != "" {
			t.Errorf("results when it hangs no more (-want +got):\n%s", diff)
		}
	})
}

// sortAsTable puts results in the order of config.Appliers.
func sortAsTable(list []short) {
	place := map[string]int{}
	for i, a := range config.Appliers {
		place[a.Name] = i
	}
	for i := range list {
		for j := i; j > 0 && place[list[j].Applier] < place[list[j-1].Applier]; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

// restarts records what is done to services; those named in down are not up.
type restarts struct {
	said []string
	down string
}

func (r *restarts) Restart(_ context.Context, service string) error {
	return r.say("restart " + service)
}

func (r *restarts) Signal(_ context.Context, service, signal string) error {
	return r.say(signal + " " + service)
}

func (r *restarts) say(text string) error {
	r.said = append(r.said, text)
	switch {
	case strings.HasSuffix(text, " broken"):
		return errors.New("cannot restart service \"broken\": bad file")
	case r.down != "" && strings.HasSuffix(text, " "+r.down):
		return apply.ErrNotUp
	}
	return nil
}

func (*restarts) Files(string) (string, []apply.Bind) { return "", nil }

func TestCarryOut(t *testing.T) {
	services := &restarts{down: "cron"}
	d := &apply.Driver{Host: &apply.Host{Services: services}}
	results := []apply.Result{
		{Applier: "logins", Outcome: apply.Outcome{Reload: []string{"ssh", "docker"}}},
		{Applier: "ntp", Outcome: apply.Outcome{Did: []string{"wrote it"}, Restart: []string{"ntp", "broken"}}, Err: errors.New("no pool")},
		{Applier: "trust", Outcome: apply.Outcome{Restart: []string{"docker", "ntp", "cron", "new"}, Reload: []string{"ssh"}}},
	}
	d.CarryOut(t.Context(), results, []string{"new"})
	want := []short{
		{"logins", apply.Outcome{Did: []string{"reloaded ssh"}, Reload: []string{"ssh", "docker"}}, ""},
		{"ntp", apply.Outcome{Did: []string{"wrote it", "restarted ntp"}, Restart: []string{"ntp", "broken"}}, "no pool\ncannot restart service \"broken\": bad file"},
		{"trust", apply.Outcome{Did: []string{"restarted docker"}, Restart: []string{"docker", "ntp", "cron", "new"}, Reload: []string{"ssh"}}, ""},
	}
	if diff := cmp.Diff(want, shorten(results)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"restart ntp", "restart broken", "restart docker", "restart cron", "SIGHUP ssh"}, services.said); diff != "" {
		t.Errorf("what was done to services (-want +got):\n%s", diff)
	}
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/supervise"
)

// files are service files with these services: name, and what stands below it.
func files(t *testing.T, services ...string) *serviceFiles {
	t.Helper()
	dir := t.TempDir()
	for _, s := range services {
		name, rest, _ := strings.Cut(s, ": ")
		text := "services:\n  " + name + ":\n    image: ros/" + name + "\n    network_mode: host\n" + rest
		if !strings.Contains(rest, "x-ros:") {
			text += "    x-ros: {scope: system}\n"
		}
		if !strings.Contains(rest, "restart:") {
			text += "    restart: always\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name+".yml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := newServiceFiles(dir, "", slog.New(slog.DiscardHandler))
	f.read(false)
	if faults := f.plan().Faults; len(faults) > 0 {
		t.Fatal(faults)
	}
	return f
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, warnings := config.Load(config.Layer{Name: "test", Data: []byte(text)})
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	return cfg
}

func states(sup *supervise.Supervisor) map[string]supervise.State {
	synctest.Wait()
	states := map[string]supervise.State{}
	for _, s := range sup.Services() {
		states[s.Name] = s.State
	}
	return states
}

func TestServicesThatTheConfigSwitchesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := files(t, "cron", "ntp", "ssh", "console")
		sup := supervise.New(supervise.Config{}) // not running yet
		if outcome, err := f.applier(sup)(t.Context(), nil, parse(t, "rancher: {services_include: {cron: false, nothing: false, console: false}}")); err != nil {
			t.Fatal(err)
		} else if diff := cmp.Diff(apply.Outcome{Notes: []string{"the console cannot be switched off"}}, outcome); diff != "" {
			t.Errorf("at boot (-want +got):\n%s", diff)
		}
		sup = supervisor(t, &room{}, f)
		const up, down = supervise.Running, supervise.Stopped
		want := map[string]supervise.State{"cron": down, "ntp": up, "ssh": up, "console": up}
		if diff := cmp.Diff(want, states(sup)); diff != "" {
			t.Errorf("after the boot (-want +got):\n%s", diff)
		}
		cfg := parse(t, "ntp: {enabled: false}\nrancher: {ssh: {daemon: false}}")
		for _, outcome := range []apply.Outcome{{Did: []string{"stopped ntp", "stopped ssh", "started cron"}}, {}} {
			got, err := f.applier(sup)(t.Context(), nil, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(outcome, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if got := strings.Join(f.takeFresh(), " "); (got == "cron") != (outcome.Did != nil) {
				t.Errorf("started with the new config: %q", got)
			}
			want := map[string]supervise.State{"cron": up, "ntp": down, "ssh": down, "console": up}
			if diff := cmp.Diff(want, states(sup)); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
		}
	})
}

func TestServiceControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{once: map[string]bool{"once": true}}
		f := files(t, "ntp: "+`    volumes: ["/run/ros/net:/run/ros/net:ro", "drift:/var/lib/chrony"]
    restart: always
    x-ros: {scope: system}
volumes: {drift: {}}
`, "once: "+`    restart: "no"
`, "off")
		f.off = map[string]bool{"off": true}
		c := serviceControl{supervisor(t, r, f), f, "/volumes"}
		time.Sleep(2 * time.Second)
		before := r.tasks["ntp"]
		for service, want := range map[string]error{"ntp": nil, "once": apply.ErrNotUp, "off": apply.ErrNotUp, "nothing": apply.ErrNotUp} {
			if err := c.Signal(t.Context(), service, "SIGHUP"); !errors.Is(err, want) {
				t.Errorf("Signal(%s) error = %v, want %v", service, err, want)
			}
			if err := c.Restart(t.Context(), service); !errors.Is(err, want) {
				t.Errorf("Restart(%s) error = %v, want %v", service, err, want)
			}
		}
		synctest.Wait()
		if r.tasks["ntp"] == before {
			t.Error("ntp was not restarted")
		}
		if diff := cmp.Diff([]string{"SIGHUP ntp"}, r.said); diff != "" {
			t.Errorf("signals (-want +got):\n%s", diff)
		}
		root, binds := c.Files("ntp")
		want := []apply.Bind{{Source: "/run/ros/net", Target: "/run/ros/net", ReadOnly: true}, {Source: "/volumes/drift", Target: "/var/lib/chrony"}}
		if diff := cmp.Diff(want, binds); diff != "" || root != "/proc/77/root" {
			t.Errorf("Files(ntp) = %q, binds (-want +got):\n%s", root, diff)
		}
		if root, binds := c.Files("off"); root != "" || binds != nil {
			t.Errorf("Files(off) = %q, %v", root, binds)
		}
	})
}

func TestServiceControlBeforeItIsKnownWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serviceControl{supervise.New(supervise.Config{}), files(t), ""}
		err := c.Restart(t.Context(), "ntp")
		if want := "cannot restart ntp: containerd has not said yet what runs"; err == nil || err.Error() != want {
			t.Errorf("Restart() error = %v, want %s", err, want)
		}
	})
}

func TestLogLevel(t *testing.T) {
	level := new(slog.LevelVar)
	do := logLevel(level)
	for _, tt := range []struct {
		config string
		want   slog.Level
		did    []string
	}{
		{"{}", slog.LevelInfo, nil},
		{"rancher: {debug: true}", slog.LevelDebug, []string{"rosd logs from level DEBUG on"}},
		{"rancher: {debug: true}", slog.LevelDebug, nil},
		{"{}", slog.LevelInfo, []string{"rosd logs from level INFO on"}},
	} {
		outcome, err := do(t.Context(), nil, parse(t, tt.config))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(apply.Outcome{Did: tt.did}, outcome); diff != "" || level.Level() != tt.want {
			t.Errorf("%s: level %v, outcome (-want +got):\n%s", tt.config, level.Level(), diff)
		}
	}
}

func TestShutdownTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		var refusal error
		do := shutdownTimeout(func(_ context.Context, timeout time.Duration) error {
			told = append(told, timeout)
			return refusal
		})
		h := &apply.Host{Log: slog.New(slog.DiscardHandler)}
		for _, tt := range []struct {
			config  string
			refusal error
			did     []string
			err     string
		}{
			{config: "{}"},
			{config: "{}"},
			{config: "rancher: {shutdown_timeout: 90}", did: []string{"services have 1m30s to stop at shutdown"}},
			{config: "rancher: {shutdown_timeout: 30}", refusal: errors.New("gone"), err: "cannot set the shutdown timeout: gone"},
		} {
			refusal = tt.refusal
			outcome, err := do(t.Context(), h, parse(t, tt.config))
			synctest.Wait()
			text := ""
			if err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff(apply.Outcome{Did: tt.did}, outcome); diff != "" || text != tt.err {
				t.Errorf("%s: error %q, outcome (-want +got):\n%s", tt.config, text, diff)
			}
		}
		if diff := cmp.Diff([]time.Duration{time.Minute, 90 * time.Second, 30 * time.Second}, told); diff != "" {
			t.Errorf("PID 1 was told (-want +got):\n%s", diff)
		}
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/supervise"
)

// appliers are those of package apply and those that are about rosd and what it
// supervises.
func appliers(services *serviceFiles, supervisor *supervise.Supervisor, engine apply.Applier, logins *consoles, level *slog.LevelVar, tell func(context.Context, time.Duration) error) map[string]apply.Applier {
	table := apply.Appliers()
	table["engine"] = engine
	table["services"] = services.applier(supervisor)
	table["console"] = logins.applier()
	table["logins"] = logins.after(table["logins"])
	table["log"] = logLevel(level)
	table["power"] = shutdownTimeout(tell)
	return table
}

// logLevel obeys rancher.debug.
func logLevel(level *slog.LevelVar) apply.Applier {
	return func(_ context.Context, _ *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		want := slog.LevelInfo
		if cfg.Rancher.Debug {
			want = slog.LevelDebug
		}
		if level.Level() == want {
			return apply.Outcome{}, nil
		}
		level.Set(want)
		return apply.Outcome{Did: []string{fmt.Sprintf("rosd logs from level %s on", want)}}, nil
	}
}

// shutdownTimeout hands PID 1 what the config says about it. PID 1 may be busy
// with the boot, which does not wait for it.
func shutdownTimeout(tell func(context.Context, time.Duration) error) apply.Applier {
	var told time.Duration
	return func(ctx context.Context, h *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		timeout := cfg.Rancher.ShutdownTimeout()
		if timeout == told {
			return apply.Outcome{}, nil
		}
		first := told == 0
		told = timeout
		if first {
			go func() {
				if err := tell(context.WithoutCancel(ctx), timeout); err != nil {
					h.Log.Warn("PID 1 keeps its default shutdown timeout", "error", err)
				}
			}()
			return apply.Outcome{}, nil
		}
		if err := tell(ctx, timeout); err != nil {
			told = 0
			return apply.Outcome{}, fmt.Errorf("cannot set the shutdown timeout: %w", err)
		}
		return apply.Outcome{Did: []string{fmt.Sprintf("services have %s to stop at shutdown", timeout)}}, nil
	}
}

// switchedOff are the services that the config does not want, and what it
// wants and cannot have.
func switchedOff(cfg *config.Config) (off map[string]bool, notes []string) {
	off = map[string]bool{}
	for name, wanted := range cfg.Rancher.ServicesInclude {
		if !wanted {
			off[name] = true
		}
	}
	if enabled := cfg.NTP.Enabled; enabled != nil && !*enabled {
		off["ntp"] = true
	}
	if daemon := cfg.Rancher.SSH.Daemon; daemon != nil && !*daemon {
		off["ssh"] = true
	}
	// A machine must let somebody in, whatever its config says.
	if off["console"] {
		delete(off, "console")
		notes = []string{"the console cannot be switched off"}
	}
	return off, notes
}

// serviceControl is what appliers may do to services.
type serviceControl struct {
	supervisor *supervise.Supervisor
	files      *serviceFiles
	volumes    string // folder of the named volumes
}

var _ apply.Services = serviceControl{}

// adoptWait is how long a request waits until it is known what runs.
const adoptWait = 10 * time.Second

func (s serviceControl) known() error {
	select {
	case <-s.supervisor.Adopted():
		return nil
	case <-time.After(adoptWait):
		return errors.New("containerd has not said yet what runs")
	}
}

// Restart implements apply.Services.
func (s serviceControl) Restart(ctx context.Context, name string) error {
	if err := s.known(); err != nil {
		return fmt.Errorf("cannot restart %s: %w", name, err)
	}
	service, err := s.supervisor.Service(name)
	if err != nil {
		return apply.ErrNotUp
	}
	switch service.State {
	case supervise.Stopped, supervise.Stopping, supervise.Done, supervise.Waiting:
		return apply.ErrNotUp
	}
	_, err = s.supervisor.Do(ctx, name, supervise.Restart, supervise.Options{})
	return err
}

// Signal implements apply.Services.
func (s serviceControl) Signal(ctx context.Context, name, signal string) error {
	if err := s.known(); err != nil {
		return fmt.Errorf("cannot reload %s: %w", name, err)
	}
	service, err := s.supervisor.Service(name)
	if err != nil || service.Pid == 0 {
		return apply.ErrNotUp
	}
	_, err = s.supervisor.Do(ctx, name, supervise.Kill, supervise.Options{Signal: signal})
	return err
}

// Files implements apply.Services. The binds are those of the service file, so
// they are known before the service runs.
func (s serviceControl) Files(name string) (root string, binds []apply.Bind) {
	if service, err := s.supervisor.Service(name); err == nil && service.Pid != 0 {
		root = rootOf(service.Pid)
	}
	for _, m := range s.files.service(name).Mounts {
		switch m.Type {
		case "bind":
			binds = append(binds, apply.Bind{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
		case "volume":
			binds = append(binds, apply.Bind{Source: filepath.Join(s.volumes, m.Source), Target: m.Target, ReadOnly: m.ReadOnly})
		}
	}
	return root, binds
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/osupdate"
)

// fakeInstaller is the worker; it installs, or says why not.
type fakeInstaller struct {
	options []string
	refuses string
}

func (f *fakeInstaller) Run(_ context.Context, verb string, options []byte, emit func(osupdate.Event) error) error {
	f.options = append(f.options, verb+" "+string(options))
	if f.refuses != "" {
		return emit(osupdate.Event{Event: osupdate.Error, Error: f.refuses})
	}
	for done := range int64(21) {
		if err := emit(osupdate.Event{Event: osupdate.Progress, Step: "os image", Done: done, Total: 40}); err != nil {
			return err
		}
	}
	return emit(osupdate.Event{Event: osupdate.Result, Result: json.RawMessage(`{"version":"v0.2.0","device":"/dev/vda","slot":"A"}`)})
}

func TestAutoInstall(t *testing.T) {
	const (
		began = "<27>ros: install: installing on /dev/vda\n"
		way   = "<27>ros: install: os image: 0%\n<27>ros: install: os image: 10%\n<27>ros: install: os image: 20%\n" +
			"<27>ros: install: os image: 30%\n<27>ros: install: os image: 40%\n<27>ros: install: os image: 50%\n"
		ended = "<27>ros: install: Roster v0.2.0 is on /dev/vda\n"
	)
	for _, tt := range []struct {
		name     string
		order    config.Install
		refuses  string
		console  string
		options  []string
		warnings []string
		power    []string
	}{
		{name: "no order"},
		{
			name: "restarts", order: config.Install{Device: "/dev/vda", Append: "quiet"},
			options: []string{`install {"device":"/dev/vda","append":"quiet","automatic":true}`}, console: began + way + ended, power: []string{"reboot"},
		},
		{
			name: "turns the power off", order: config.Install{Device: "/dev/vda", Force: true, PowerOff: true},
			options: []string{`install {"device":"/dev/vda","automatic":true,"force":true}`}, console: began + way + ended, power: []string{"poweroff"},
		},
		{
			name: "stays", order: config.Install{Device: "/dev/vda", NoReboot: true},
			options: []string{`install {"device":"/dev/vda","automatic":true}`}, console: began + way + ended,
		},
		{
			name: "fails", order: config.Install{Device: "/dev/vda"}, refuses: `cannot install on "/dev/vda": it is not empty`,
			options: []string{`install {"device":"/dev/vda","automatic":true}`}, console: began + "<27>ros: install: cannot install on \"/dev/vda\": it is not empty; the live system goes on\n",
			warnings: []string{`rancher.install: cannot install on "/dev/vda": it is not empty`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var console bytes.Buffer
				var power []string
				worker := &fakeInstaller{refuses: tt.refuses}
				from := time.Now()
				a := &autoInstall{
					ready:  func() bool { return time.Since(from) > 3*time.Second },
					config: func() config.Install { return tt.order },
					worker: worker, begun: filepath.Join(t.TempDir(), "install"), console: &console, log: slog.New(slog.DiscardHandler),
					power: func(_ context.Context, op string) error {
						power = append(power, op)
						return nil
					},
				}
				a.run(t.Context())
				if waited := time.Since(from); waited < 3*time.Second {
					t.Errorf("it did not wait for the datasource")
				}
				a.run(t.Context()) // another rosd of this boot
				for _, d := range []string{
					cmp.Diff(tt.console, console.String()), cmp.Diff(tt.options, worker.options),
					cmp.Diff(tt.power, power), cmp.Diff(tt.warnings, a.warnings()),
				} {
					if d != "" {
						t.Errorf("(-want +got):\n%s", d)
					}
				}
			})
		})
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
)

// installTick is how often it is looked whether the datasource is through.
const installTick = 500 * time.Millisecond

// autoInstall obeys rancher.install on the live ISO: once in a boot, when the
// datasource has said all it has to say. Whatever goes wrong, the live system
// stays up, with a warning.
type autoInstall struct {
	ready   func() bool // nothing more will come from the datasource
	config  func() config.Install
	worker  osupdate.Worker
	power   func(ctx context.Context, op string) error
	begun   string    // a file that says that this boot has tried
	console io.Writer // nil: there is none
	log     *slog.Logger

	mu      sync.Mutex
	warning string
}

// run waits, installs and restarts.
func (a *autoInstall) run(ctx context.Context) {
	for !a.ready() {
		if !pause(ctx, installTick) {
			return
		}
	}
	order := a.config()
	if order.Device == "" || !a.first() {
		return
	}
	done, err := a.install(ctx, order)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		a.mu.Lock()
		a.warning = "rancher.install: " + err.Error()
		a.mu.Unlock()
		a.log.Error("not installed; the live system goes on", "error", err)
		a.say(err.Error() + "; the live system goes on")
		return
	}
	a.log.Info("installed", "version", done.Version, "device", done.Device)
	a.say(fmt.Sprintf("Roster %s is on %s", done.Version, done.Device))
	op := initctl.OpReboot
	switch {
	case order.NoReboot:
		return
	case order.PowerOff:
		op = initctl.OpPoweroff
	}
	if err := a.power(ctx, op); err != nil {
		a.log.Error("installed, but cannot "+op, "error", err)
	}
}

// first says whether this boot has not tried yet, and notes that it does now: a
// rosd that is started again must not.
func (a *autoInstall) first() bool {
	f, err := os.OpenFile(a.begun, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		a.log.Error("not installed", "error", err)
	}
	return err == nil
}

func (a *autoInstall) install(ctx context.Context, order config.Install) (done osupdate.Installed, err error) {
	a.say("installing on " + order.Device)
	options, err := json.Marshal(osupdate.InstallOptions{
		Device: order.Device, Append: order.Append, Automatic: true, Force: order.Force,
	})
	if err != nil {
		return done, err
	}
	step, tenths := "", int64(-1)
	return done, osupdate.Collect(ctx, a.worker, "install", options, &done, func(e osupdate.Event) error {
		if e.Event == osupdate.Note {
			a.log.Info("installing", "note", e.Text)
			return nil
		}
		now := int64(0)
		if e.Total > 0 {
			now = e.Done * 10 / e.Total
		}
		if e.Step != step || now != tenths {
			step, tenths = e.Step, now
			a.say(fmt.Sprintf("%s: %d%%", e.Step, now*10))
		}
		return nil
	})
}

// say tells whoever stands before the machine.
func (a *autoInstall) say(text string) {
	if a.console != nil {
		fmt.Fprintf(a.console, "<27>ros: install: %s\n", strings.ReplaceAll(text, "\n", " ")) // facility daemon, severity error: it is shown
	}
}

// warnings are what ros status should show.
func (a *autoInstall) warnings() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.warning == "" {
		return nil
	}
	return []string{a.warning}
}

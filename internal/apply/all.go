package apply

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/rosteros/ros/config"
)

// Result is what one applier did.
type Result struct {
	Applier string // its name in config.Appliers
	Outcome Outcome
	Err     error
}

// ErrNotUp is the error of Services.Restart and Services.Signal for a service
// that is not up: it will read what is new when it starts.
var ErrNotUp = errors.New("the service is not up")

// Driver runs the appliers, all of them, however each of them fares: one that
// fails, panics or hangs costs its own part of the machine and no other.
type Driver struct {
	Host     *Host
	Appliers map[string]Applier // by their names in config.Appliers; a name without one has no work
	Bound    time.Duration      // how long one of them is waited for

	// Longer has the bounds of those that may take longer.
	Longer map[string]time.Duration

	mu   sync.Mutex
	busy map[string]bool
}

// Apply makes the machine what cfg says, in the order of config.Appliers. The
// results are in that order too, one for each applier that has work.
func (d *Driver) Apply(ctx context.Context, cfg *config.Config) []Result {
	var results []Result
	for _, a := range config.Appliers {
		if do := d.Appliers[a.Name]; do != nil && ctx.Err() == nil { // else rosd is ending
			outcome, err := d.run(ctx, a.Name, do, cfg)
			results = append(results, Result{a.Name, outcome, err})
		}
	}
	return results
}

// run waits for an applier no longer than Bound. A mount from a server that is
// gone can hang in the kernel for ever; the machine has to go on.
func (d *Driver) run(ctx context.Context, name string, do Applier, cfg *config.Config) (Outcome, error) {
	if !d.enter(name) {
		return Outcome{}, fmt.Errorf("%s: the last change is still being applied", name)
	}
	type answer struct {
		outcome Outcome
		err     error
	}
	bound := max(d.Bound, d.Longer[name])
	answers := make(chan answer, 1)
	ctx, cancel := context.WithTimeout(ctx, bound)
	go func() {
		defer cancel()
		outcome, err := d.call(ctx, name, do, cfg)
		d.leave(name) // first: who has the answer may ask again at once
		answers <- answer{outcome, err}
	}()
	select {
	case a := <-answers:
		return a.outcome, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-answers: // it saw the end of its time and says what it was at
		return a.outcome, a.err
	case <-time.After(time.Second):
		return Outcome{}, fmt.Errorf("%s: not done after %s; going on without it", name, bound)
	}
}

// call turns a panic into an error. PID 1 would start rosd again, which would
// read the same config and panic again.
func (d *Driver) call(ctx context.Context, name string, do Applier, cfg *config.Config) (outcome Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			d.Host.Log.Error("internal error: an applier panicked", "applier", name, "panic", p, "stack", string(debug.Stack()))
			outcome, err = Outcome{}, fmt.Errorf("%s: internal error: see the log of rosd", name)
		}
	}()
	return do(ctx, d.Host, cfg)
}

func (d *Driver) enter(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[name] {
		return false
	}
	if d.busy == nil {
		d.busy = map[string]bool{}
	}
	d.busy[name] = true
	return true
}

func (d *Driver) leave(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.busy, name)
}

// CarryOut restarts and reloads what the results ask for, each service once,
// and writes down under the applier that asked first that it was done. A
// service that is restarted reads everything anew, so it is not reloaded
// besides. Services in fresh have been started with the new config already.
func (d *Driver) CarryOut(ctx context.Context, results []Result, fresh []string) {
	done := slices.Clone(fresh)
	once := func(r *Result, did, service string, act func() error) {
		if slices.Contains(done, service) {
			return
		}
		done = append(done, service)
		switch err := act(); {
		case errors.Is(err, ErrNotUp):
		case err != nil:
			r.Err = errors.Join(r.Err, err)
		default:
			r.Outcome.Did = append(r.Outcome.Did, did+" "+service)
		}
	}
	for i := range results {
		r := &results[i]
		for _, service := range r.Outcome.Restart {
			once(r, "restarted", service, func() error { return d.Host.Services.Restart(ctx, service) })
		}
	}
	for i := range results {
		r := &results[i]
		for _, service := range r.Outcome.Reload {
			once(r, "reloaded", service, func() error { return d.Host.Services.Signal(ctx, service, "SIGHUP") })
		}
	}
}

// Appliers is the work that this package does, by the names of
// config.Appliers. Those that are missing are rosd's own.
func Appliers() map[string]Applier {
	return map[string]Applier{
		"hostname":    Hostname,
		"modules":     Modules,
		"sysctl":      Sysctl,
		"mounts":      Mounts,
		"swap":        Swap,
		"timezone":    Timezone,
		"trust":       Trust,
		"logins":      Logins,
		"registries":  Registries,
		"environment": Environment,
		"files":       Files,
		"network":     Network,
		"ntp":         NTP,
		"ssh":         SSH,
		"docker":      Docker,
		"boot":        Boot,
	}
}

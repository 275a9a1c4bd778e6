package docker_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/project/loader"
	"github.com/rosteros/ros/internal/supervise"
)

// shop reads a service file of the project shop.
func shop(t *testing.T, file string) map[string]compose.Service {
	t.Helper()
	result := loader.Load(context.Background(), project.Request{Path: "/x/shop.yml", Dir: "/x", Name: "shop", Text: []byte(file)})
	if len(result.Faults) > 0 {
		t.Fatalf("faults: %v", result.Faults)
	}
	all := map[string]compose.Service{}
	for _, s := range result.Services {
		all[s.Name] = s
	}
	return all
}

func TestImageThatMayArrive(t *testing.T) {
	e := newFakeEngine(t)
	a := shop(t, "services: {a: {image: y}}")["a"]
	arriving := true
	e.runtime.Arriving = func() bool { return arriving }
	if _, err := e.runtime.Start(t.Context(), a); !supervise.IsNotYet(err) {
		t.Errorf("while images are loaded: %v, want to wait", err)
	}
	arriving = false
	_, err := e.runtime.Start(t.Context(), a)
	const want = `cannot start service "a": image "y" is not on the machine; get it with: ros service pull a`
	if !supervise.IsPermanent(err) || err.Error() != want {
		t.Errorf("after: %v, want %s", err, want)
	}
}

// Two services of a project that start at once need the same network.
func TestNetworkThatTwoMake(t *testing.T) {
	e := newFakeEngine(t)
	e.slow = 20 * time.Millisecond
	all := shop(t, "services: {a: {image: x}, b: {image: x}, c: {image: x}}")
	var wg sync.WaitGroup
	for name, s := range all {
		wg.Go(func() {
			if _, err := e.runtime.Start(t.Context(), s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	if got := count(e.calls, "POST /networks/create"); got != 1 {
		t.Errorf("the network was made %d times", got)
	}
}

// Somebody else, docker compose say, may have been faster.
func TestNetworkThatSomebodyElseMakes(t *testing.T) {
	e := newFakeEngine(t)
	e.slow = 20 * time.Millisecond
	all := shop(t, "services: {a: {image: x}, b: {image: x}}")
	another := docker.New(e.socket, slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	for name, r := range map[string]*docker.Runtime{"a": e.runtime, "b": another} {
		wg.Go(func() {
			if _, err := r.Start(t.Context(), all[name]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func count(all []string, one string) (n int) {
	for _, a := range all {
		if a == one {
			n++
		}
	}
	return n
}

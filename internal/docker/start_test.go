package docker_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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

// An engine that does not get on with a network holds nobody who gives up.
func TestNetworkIsNotWaitedForForEver(t *testing.T) {
	e := newFakeEngine(t)
	all := shop(t, "services: {a: {image: x}, b: {image: x}}")
	e.making.Lock()
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := e.runtime.Start(t.Context(), all["a"]); err != nil {
			t.Errorf("who has waited: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := e.runtime.Start(ctx, all["b"])
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gives up: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits although its time is over")
	}
	e.making.Unlock()
	first.Wait()
}

func count(all []string, one string) (n int) {
	for _, a := range all {
		if a == one {
			n++
		}
	}
	return n
}

// A one-shot that is done keeps its container, and with it the network that it
// was made with, by its id.
func TestDownKeepsTheNetworkOfOthers(t *testing.T) {
	e := newFakeEngine(t)
	all := shop(t, "services: {migrate: {image: x}, web: {image: x}}")
	for _, s := range all {
		mustStart(t, e, s)
	}
	e.stop("shop-migrate-1")
	before := e.networks["shop_default"]
	if err := e.runtime.Remove(t.Context(), all["web"]); err != nil {
		t.Fatal(err)
	}
	if e.networks["shop_default"] != before {
		t.Error("the network is gone, though migrate has a container in it")
	}
	if err := e.runtime.Remove(t.Context(), all["migrate"]); err != nil {
		t.Fatal(err)
	}
	if len(e.networks) > 0 {
		t.Errorf("networks of a project that is no more: %v", e.networks)
	}
}

// docker network prune takes networks with containers that do not run.
func TestNetworkThatWasPruned(t *testing.T) {
	e := newFakeEngine(t)
	all := shop(t, "services: {a: {image: x, volumes: [/data]}, b: {image: x}}")
	mustStart(t, e, all["a"])
	old := *e.containers["shop-a-1"]
	e.stop("shop-a-1")
	e.change(func() { delete(e.networks, "shop_default") })
	mustStart(t, e, all["b"]) // makes one of the same name
	mustStart(t, e, all["a"])
	now := e.containers["shop-a-1"]
	if now.id == old.id || now.mounts[0]["Name"] != old.mounts[0]["Name"] {
		t.Errorf("the container is %+v, want another one with the volume of %+v", now, old)
	}
}

func mustStart(t *testing.T, e *fakeEngine, s compose.Service) {
	t.Helper()
	if _, err := e.runtime.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// A new version that does not start, or cannot even be made, keeps the volumes
// without a name for the version before it.
func TestVolumesOutliveAnUpdateThatFails(t *testing.T) {
	e := newFakeEngine(t)
	e.images["broken"], e.broken["broken"] = e.images["x"], "exec: no such file"
	file := "services: {a: {image: IMAGE, volumes: [/data]}}"
	first := shop(t, strings.Replace(file, "IMAGE", "x", 1))["a"]
	mustStart(t, e, first)
	data := e.containers["shop-a-1"].mounts[0]["Name"]
	for _, image := range []string{"broken", "none"} {
		e.stop("shop-a-1")
		if _, err := e.runtime.Start(t.Context(), shop(t, strings.Replace(file, "IMAGE", image, 1))["a"]); err == nil {
			t.Fatalf("image %s has started", image)
		}
		mustStart(t, e, first)
		if now := e.containers["shop-a-1"].mounts[0]["Name"]; now != data {
			t.Errorf("after image %s the volume is %s, was %s", image, now, data)
		}
	}
	if len(e.containers) != 1 {
		t.Errorf("%d containers, want one", len(e.containers))
	}
}

// The power may go between any two calls that make a container anew.
func TestContainerHalfMadeAnew(t *testing.T) {
	file := "services: {a: {image: x, volumes: [/data], environment: {V: VALUE}}}"
	first, second := shop(t, strings.Replace(file, "VALUE", "1", 1))["a"], shop(t, strings.Replace(file, "VALUE", "2", 1))["a"]
	for calls := 1; calls <= 4; calls++ {
		e := newFakeEngine(t)
		mustStart(t, e, first)
		data := e.containers["shop-a-1"].mounts[0]["Name"]
		e.stop("shop-a-1")
		e.change(func() { e.deaf = len(e.calls) + calls })
		_, _ = e.runtime.Start(t.Context(), second)
		e.change(func() { e.deaf = 0 })
		e.runtime = docker.New(e.socket, slog.New(slog.DiscardHandler)) // another rosd
		mustStart(t, e, second)
		if now := e.containers["shop-a-1"]; len(e.containers) != 1 || now == nil || now.mounts[0]["Name"] != data {
			t.Errorf("cut off before call %d: %v, want one container with the volume %s", calls, e.containers, data)
		}
	}
}

// Docker 24 and older make a container with one network; it joins the others
// before it starts.
func TestTwoNetworksOfAnOldEngine(t *testing.T) {
	file := "services: {a: {image: x, networks: {front: {priority: 9}, back: {aliases: [store]}, third: }}}\nnetworks: {front: , back: , third: }"
	for _, api := range []string{"1.42", "1.43", "1.44", "1.51"} {
		e := newFakeEngine(t)
		e.api = api
		mustStart(t, e, shop(t, file)["a"])
		c := e.containers["shop-a-1"]
		for _, name := range []string{"shop_front", "shop_back", "shop_third"} {
			if c.networks[name] == "" {
				t.Errorf("API %s: the container is not in %s: %v", api, name, c.networks)
			}
		}
		joined := slices.Contains(e.calls, "POST /networks/shop_back/connect")
		if old := api < "1.44"; joined != old || old && (c.running != true || slices.Contains(e.calls, "POST /networks/shop_front/connect")) {
			t.Errorf("API %s: calls %v", api, e.calls)
		}
	}
}

func TestPins(t *testing.T) {
	e := newFakeEngine(t)
	const digest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	for _, tt := range []struct {
		name string
		have []string
		want string
	}{
		{"busybox", []string{"busybox@" + digest}, "busybox@" + digest},
		{"busybox:1", []string{"busybox@" + digest}, "busybox@" + digest},
		{"library/busybox:1", []string{"busybox@" + digest}, "library/busybox@" + digest},
		{"docker.io/busybox:1", []string{"busybox@" + digest}, "docker.io/busybox@" + digest},
		{"docker.io/library/busybox", []string{"busybox@" + digest}, "docker.io/library/busybox@" + digest},
		{"docker.io/rancher/x:1@" + digest, []string{"rancher/x@" + digest}, "docker.io/rancher/x@" + digest},
		{"reg.example:5000/x", []string{"x@sha256:1", "reg.example:5000/x@" + digest}, "reg.example:5000/x@" + digest},
		{"rancher/x", []string{"reg.example/rancher/x@" + digest}, "sha256:01"}, // of another registry
		{"busybox", nil, "sha256:01"},
	} {
		e.images[tt.name] = map[string]any{"Id": "sha256:01", "RepoDigests": tt.have}
		if pin, err := e.runtime.Image(t.Context(), tt.name); err != nil || pin != tt.want {
			t.Errorf("%s, known as %v, is %s, %v, want %s", tt.name, tt.have, pin, err, tt.want)
		}
	}
}

// The image of a service that nobody has enabled is what has its name: another
// one after a pull, and the next start, or "up", takes that.
func TestPulledAnew(t *testing.T) {
	e := newFakeEngine(t)
	a := shop(t, "services: {a: {image: x}}")["a"]
	changed := func(task supervise.Task) bool {
		hash, err := e.runtime.DefinitionHash(a)
		if err != nil {
			t.Fatal(err)
		}
		return hash != task.Hash()
	}
	task, err := e.runtime.Start(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	id := e.containers["shop-a-1"].id
	for _, tt := range []struct {
		pulled string
		other  bool
	}{{"sha256:01", false}, {"sha256:02", true}} {
		e.change(func() { e.registry = tt.pulled })
		if _, err := e.runtime.Pull(t.Context(), "x", "", docker.Login{}, func(docker.Step) {}); err != nil {
			t.Fatal(err)
		}
		if got := changed(task); got != tt.other {
			t.Errorf("after a pull of %s the definition has changed: %t, want %t", tt.pulled, got, tt.other)
		}
		e.stop("shop-a-1")
		if task, err = e.runtime.Start(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if got := e.containers["shop-a-1"].id != id; got != tt.other || changed(task) {
			t.Errorf("after a pull of %s there is another container: %t, want %t; changed again: %t", tt.pulled, got, tt.other, changed(task))
		}
	}
}

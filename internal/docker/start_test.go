package docker_test

import (
	"context"
	"testing"

	"github.com/rosteros/ros/internal/compose"
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

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/engine"
)

// lower lets a layer below cloud-config.yml name x/good:1, which then runs.
func (b *engineBench) lower(t *testing.T) {
	t.Helper()
	dir := b.configs.store.FileDir()
	if err := errors.Join(
		b.choice.store.Put(engine.Engine{Name: "x/good:1", Pin: "x/good:1@sha256:1", Version: "29.1.0", Dockerd: "/engine/dockerd"}),
		os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "50.yml"), []byte("#cloud-config\nrancher: {docker: {engine: 'x/good:1'}}\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.configs.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.up(t)
}

const goodRuns = "x/good:1, docker healthy, docker-containerd running, x/good:1@sha256:1"

// The engine of the OS is to be had also where a layer below names another one.
func TestEngineOfALowerLayer(t *testing.T) {
	b := newEngineBench(t)
	b.lower(t)
	if got := b.runs(t); got != goodRuns {
		t.Fatalf("at first: %s", got)
	}
	if err := b.ask("enable", control.EngineAsk{Name: "docker"}); err != nil {
		t.Errorf("enable: %v", err)
	}
	if got := b.runs(t); got != goodRuns {
		t.Errorf("before the boot: %s", got)
	}
	if err := b.ask("switch", control.EngineAsk{Name: "docker"}); err != nil {
		t.Errorf("switch: %v", err)
	}
	if got := b.runs(t); got != builtInRuns {
		t.Errorf("after the switch: %s", got)
	}
}

// What a layer above says is found out before anything is stopped.
func TestEngineOfALayerAbove(t *testing.T) {
	b := newEngineBench(t)
	b.lower(t)
	b.configs.settings = []config.Setting{{Key: "rancher.docker.engine", Value: "x/good:1"}}
	for _, verb := range []string{"switch", "enable"} {
		err := b.ask(verb, control.EngineAsk{Name: "docker"})
		want := map[string]string{"switch": "cannot switch to engine docker: ", "enable": "cannot enable engine docker: "}[verb] +
			"a layer of the config that counts more says rancher.docker.engine: x/good:1"
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", verb, err, want)
		}
		if len(b.steps) > 0 {
			t.Errorf("%s went as far as %q", verb, b.steps)
		}
	}
	if got := b.runs(t); got != goodRuns {
		t.Errorf("afterwards: %s", got)
	}
	if b.choice.boot.Now != "" {
		t.Errorf("%s is held", b.choice.boot.Now)
	}
}

package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/supervise"
)

// A rosd that ends while it changes engines leaves one that is stopped, as if
// an operator had wanted it. The next rosd starts it.
func TestEngineSwitchCutShort(t *testing.T) {
	b := newEngineBench(t)
	if err := b.choice.store.Put(engine.Engine{Name: "x/good:1", Pin: "x/good:1@sha256:1", Version: "29.1.0", Dockerd: "/engine/dockerd"}); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "engine.json")
	halt := func(ctx context.Context) error {
		if text, err := os.ReadFile(b.choice.file); err == nil { // all that the next rosd can know
			if err := os.WriteFile(left, text, 0o644); err != nil {
				t.Error(err)
			}
		}
		return b.halt.halt(ctx)
	}
	b.configs.driver.Appliers["engine"] = b.choice.applier(b.files, halt)
	if err := b.set(t.Context(), "x/good:1"); err != nil {
		t.Fatal(err)
	}
	b.settled(t, supervise.Stopped)

	next := *b.again(t, left)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { next.tend(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()
	for range 50 {
		if s, _ := b.supervisor.Service("docker"); s.State == supervise.Healthy {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got := b.runs(t); got != goodRuns {
		t.Errorf("with the next rosd: %s", got)
	}
	// What an operator stops afterwards stays stopped.
	b.settled(t, supervise.Stopped)
	after := b.again(t, left)
	after.resume(t.Context())
	b.settled(t, supervise.Stopped)
	if got, want := b.runs(t), "x/good:1, docker stopped, docker-containerd stopped, x/good:1@sha256:1"; got != want {
		t.Errorf("stopped by an operator: %s, want %s", got, want)
	}
}

// again is the engines of the next rosd, which reads what the last one left.
func (b *engineBench) again(t *testing.T, left string) *engines {
	t.Helper()
	choice := newEngineChoice(b.log)
	choice.store, choice.file = b.choice.store, left
	choice.recall()
	choice.update(b.configs.config())
	return &engines{configs: b.configs, files: b.files, supervisor: b.supervisor, choice: choice, info: b.info, data: b.data, log: b.log}
}

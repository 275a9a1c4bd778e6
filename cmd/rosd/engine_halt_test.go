package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/supervise"
)

// obeying is a dockerd that reads its options again when it is told to.
type obeying struct {
	room    *room
	options string
}

func (o obeying) About(context.Context) (docker.About, error) {
	o.room.mu.Lock()
	told := len(o.room.said) > 0
	o.room.mu.Unlock()
	text, err := os.ReadFile(o.options)
	return docker.About{LiveRestoreEnabled: !told || !strings.Contains(string(text), `"live-restore":false`)}, err
}

// dockerd is told to take its containers along before it is stopped.
func TestEngineHalt(t *testing.T) {
	b := newEngineBench(t)
	options := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(options, []byte(`{"live-restore": true, "debug": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	h := engineHalt{supervisor: b.supervisor, info: obeying{b.room, options}, options: options}
	if err := h.halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(options); string(text) != `{"debug":true,"live-restore":false}` {
		t.Errorf("dockerd reads %s", text)
	}
	if said := strings.Join(b.room.said, ", "); said != "SIGHUP docker" {
		t.Errorf("signals: %s", said)
	}
	if s, _ := b.supervisor.Service("docker"); s.State != supervise.Stopped {
		t.Errorf("docker is %s", s.State)
	}
	if err := h.halt(t.Context()); err != nil {
		t.Errorf("halted twice: %v", err)
	}
}

package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/control/server"
	"github.com/rosteros/ros/internal/supervise"
)

// room is what containers are asked of.
type room = server.Containers

// noContainers is a containerd without any.
type noContainers struct{ room }

func (noContainers) Containers(context.Context) ([]containers.Container, error) { return nil, nil }

// A service in a network of its own is shown with the ports that lead to it, as
// long as it runs.
func TestPortsOfContainers(t *testing.T) {
	web := compose.Service{
		Name: "web", Scope: compose.ScopeSystem, Image: "ros/web", Restart: compose.Restart{Mode: compose.RestartAlways},
		Ports: []compose.Port{{Published: 8080, Target: 80, Protocol: "tcp"}, {HostIP: "127.0.0.1", Published: 53, Target: 53, Protocol: "udp"}},
	}
	sup := supervise.New(supervise.Config{Runtime: runtime{}, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sup.Run(ctx, []supervise.Definition{{Service: web}}) }()
	defer func() { cancel(); <-ended }()
	<-sup.Adopted()
	srv := &server.Server{Supervisor: sup, Containers: noContainers{}, Config: fakeConfig{}, Log: slog.New(slog.DiscardHandler)}
	for _, tt := range []struct {
		verb supervise.Verb
		want []string
	}{
		{supervise.Up, []string{"8080->80/tcp", "127.0.0.1:53->53/udp"}},
		{supervise.Stop, nil},
	} {
		if _, err := sup.Do(ctx, "web", tt.verb, supervise.Options{Wait: true}); err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		srv.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/v1/containers", nil))
		var list []control.Container
		if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil || len(list) != 1 {
			t.Fatalf("%s: %d containers, %v", answer.Body, len(list), err)
		}
		if diff := cmp.Diff(tt.want, list[0].Ports); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", tt.verb, diff)
		}
	}
}

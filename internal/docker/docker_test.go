package docker_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/project/loader"
	"github.com/rosteros/ros/internal/supervise"
)

func TestSpec(t *testing.T) {
	r := docker.New("/none", slog.New(slog.DiscardHandler))
	result := loader.Load(context.Background(), project.Request{Path: "shop.yml", Text: []byte("services: {a: {image: x}}"), Dir: "/", Name: "shop"})
	text, err := r.Spec(result.Services[0])
	var body struct{ Labels map[string]string }
	if err != nil || json.Unmarshal(text, &body) != nil || body.Labels["ros.service"] != "a" || body.Labels["com.docker.compose.project"] != "shop" {
		t.Errorf("Spec = %s, %v", text, err)
	}
	if _, err := r.Start(context.Background(), result.Services[0]); !supervise.IsDown(err) ||
		!strings.HasPrefix(err.Error(), `cannot start service "a": the engine does not answer: `) {
		t.Errorf("error = %v, want one that says that the engine does not answer", err)
	}
}

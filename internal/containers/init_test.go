package containers_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/images"
)

// With init: true process 1 is the program of the image that has Docker.
func TestInit(t *testing.T) {
	_, o := newRuntime(t, newFake(t))
	image, err := json.Marshal(images.Image{Name: "ros/docker", Layers: []string{"base", "docker"}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(o.ImagesDir, "docker.json"), image)
	program := filepath.Join(o.LayersDir, "docker/usr/bin/tini-static")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, program, []byte("tini"))
	r, err := containers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	svc := box("box")
	svc.Init, svc.Command = true, []string{"sleep", "5"}
	text, err := r.Spec(svc)
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	want := append([]string{"/sbin/docker-init", "--"}, slices.Concat(boxImage.Config.Entrypoint, svc.Command)...)
	if diff := cmp.Diff(want, spec.Process.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool {
		return m.Destination == "/sbin/docker-init" && m.Source == program && slices.Contains(m.Options, "ro")
	}) {
		t.Errorf("mounts %+v", spec.Mounts)
	}
}

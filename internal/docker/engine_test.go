//go:build engine

package docker_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/project/loader"
	"github.com/rosteros/ros/internal/supervise"
)

// These tests need an engine with the image test/busybox:1 (a static busybox as
// /busybox) in it. What is missing fails them: the build tag is the promise that
// it is there.
//
//	ROS_TEST_DOCKER=/run/docker.sock go test -tags engine ./internal/docker/
func engine(t *testing.T) *docker.Runtime {
	socket := os.Getenv("ROS_TEST_DOCKER")
	if socket == "" {
		t.Fatal("no engine: ROS_TEST_DOCKER names no socket")
	}
	return docker.New(socket, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

// services reads a file and removes what comes of it when the test ends.
func services(t *testing.T, r *docker.Runtime, file string) map[string]compose.Service {
	t.Helper()
	result := loader.Load(context.Background(), project.Request{Path: t.TempDir() + "/shop.yml", Text: []byte(file), Dir: t.TempDir(), Name: "shop"})
	if len(result.Faults) > 0 {
		t.Fatalf("faults: %v", result.Faults)
	}
	all := map[string]compose.Service{}
	for _, s := range result.Services {
		all[s.Name] = s
		t.Cleanup(func() { _ = r.Remove(context.Background(), s) })
	}
	return all
}

func start(t *testing.T, r *docker.Runtime, s compose.Service) supervise.Task {
	t.Helper()
	task, err := r.Start(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func ended(t *testing.T, task supervise.Task) int {
	t.Helper()
	select {
	case <-task.Exited():
		return task.ExitCode()
	case <-time.After(20 * time.Second):
		t.Fatal("the task does not end")
		return 0
	}
}

func TestLife(t *testing.T) {
	r := engine(t)
	all := services(t, r, `
services:
  web:
    image: test/busybox:1
    command: [/busybox, sh, -c, "/busybox cat /etc/c /run/secrets/s && trap 'exit 3' TERM && while :; do /busybox sleep 0.1; done"]
    configs: [{source: c, target: /etc/c}]
    secrets: [s]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, /busybox, "true"], interval: 1s}
configs: {c: {content: "hello"}}
secrets: {s: {environment: COMPOSE_PROJECT_NAME}}
volumes: {data: }
`)
	web := all["web"]
	task := start(t, r, web)
	hash, _ := r.DefinitionHash(web)
	if task.Pid() == 0 || task.Hash() != hash {
		t.Errorf("pid %d, hash %q, want a pid and %q", task.Pid(), task.Hash(), hash)
	}
	again := start(t, r, web)
	if again != task {
		t.Errorf("a second start made another task")
	}
	running, _ := r.Running(context.Background())
	if running["web"] != task {
		t.Errorf("Running = %v", running)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		code, _, err := task.Exec(context.Background(), nil, time.Second)
		if err == nil && code == 0 {
			break
		}
		if err != nil && !supervise.IsDown(err) || time.Now().After(deadline) {
			t.Fatalf("health: %d, %v", code, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := task.Signal(context.Background(), "", false); err != nil {
		t.Fatal(err)
	}
	if code := ended(t, task); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if task.(supervise.Mortal).Lost() {
		t.Errorf("it ended by itself and says that it was lost")
	}
	// Used again as it is.
	second := start(t, r, web)
	if second.Pid() == task.Pid() {
		t.Errorf("the second run has the pid of the first")
	}
	_ = second.Signal(context.Background(), "SIGKILL", true)
	if code := ended(t, second); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
}

func TestAnEndThatNobodyWatches(t *testing.T) {
	r := engine(t)
	all := services(t, r, "services: {once: {image: 'test/busybox:1', command: [/busybox, sh, -c, 'exit 7']}}")
	for range 5 {
		if code := ended(t, start(t, r, all["once"])); code != 7 {
			t.Errorf("exit code %d, want 7", code)
		}
	}
}

func TestWhatCannotStart(t *testing.T) {
	r := engine(t)
	for _, tt := range []struct {
		name, file, want string
		permanent        bool
	}{
		{name: "no image", file: "services: {a: {image: 'test/none:1'}}", permanent: true,
			want: `cannot start service "a": image "test/none:1" is not on the machine; get it with: ros service pull a`},
		{name: "external network", file: "services: {a: {image: 'test/busybox:1', networks: [n]}}\nnetworks: {n: {external: true, name: gone}}", permanent: true,
			want: `cannot start service "a": network "gone" is external: it has to be there, and is not`},
		{name: "external volume", file: "services: {a: {image: 'test/busybox:1', volumes: ['vol:/v']}}\nvolumes: {vol: {external: true, name: gone}}", permanent: true,
			want: `cannot start service "a": volume "gone" is external: it has to be there, and is not`},
		{name: "no program", file: "services: {a: {image: 'test/busybox:1', command: [/none]}}", want: `/none`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := services(t, r, tt.file)
			_, err := r.Start(context.Background(), all["a"])
			if err == nil || !strings.Contains(err.Error(), tt.want) || supervise.IsPermanent(err) != tt.permanent {
				t.Errorf("error = %v (permanent: %t), want %q (permanent: %t)", err, supervise.IsPermanent(err), tt.want, tt.permanent)
			}
		})
	}
}

func TestTwoOnAPort(t *testing.T) {
	r := engine(t)
	all := services(t, r, `
services:
  a: {image: "test/busybox:1", command: [/busybox, sleep, "1000"], ports: ["8099:80"], stop_signal: SIGKILL}
  b: {image: "test/busybox:1", command: [/busybox, sleep, "1000"], ports: ["8099:80"]}
`)
	a := start(t, r, all["a"])
	_, err := r.Start(context.Background(), all["b"])
	if err == nil || !strings.Contains(err.Error(), "port is already allocated") {
		t.Errorf("error = %v, want one about the port", err)
	}
	_ = a.Signal(context.Background(), "", false)
	ended(t, a)
	b := start(t, r, all["b"])
	_ = b.Signal(context.Background(), "SIGKILL", true)
	ended(t, b)
}

func TestAChangedDefinition(t *testing.T) {
	r := engine(t)
	file := func(value string) string {
		return `
services:
  a: {image: "test/busybox:1", command: [/busybox, sleep, "1000"], environment: {V: "` + value + `"}, volumes: [/anonymous]}
  b: {image: "test/busybox:1", command: [/busybox, sleep, "1000"], network_mode: "service:a"}
`
	}
	first := services(t, r, file("1"))
	a, b := start(t, r, first["a"]), start(t, r, first["b"])
	second := services(t, r, file("2"))
	if adopted := start(t, r, second["a"]); adopted != a {
		t.Errorf("a running container was not left alone")
	}
	for _, task := range []supervise.Task{b, a} {
		_ = task.Signal(context.Background(), "SIGKILL", true)
		ended(t, task)
	}
	a2 := start(t, r, second["a"])
	if hash, _ := r.DefinitionHash(second["a"]); a2.Hash() != hash {
		t.Errorf("the new container has another definition")
	}
	b2 := start(t, r, second["b"]) // its peer is another container by now
	for _, task := range []supervise.Task{b2, a2} {
		_ = task.Signal(context.Background(), "SIGKILL", true)
		ended(t, task)
	}
}

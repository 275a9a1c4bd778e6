package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/project/loader"
	"github.com/rosteros/ros/internal/supervise"
)

// fakeEngine has images and starts anything; or, with ROS_TEST_DOCKER, is a real one
// with the image test/busybox:1 in it.
type fakeEngine struct{ images map[string]string }

func (e fakeEngine) Image(_ context.Context, name string) (string, error) {
	if pin := e.images[name]; pin != "" {
		return pin, nil
	}
	return "", errors.New("no such image: " + name)
}

func (e fakeEngine) Pull(_ context.Context, name, _ string, _ docker.Login, _ func(docker.Step)) (string, error) {
	return "", fmt.Errorf("cannot pull image %q: no route to host", name)
}

// station is a rosd with a service docker and an operator at it.
type station struct {
	*enabler
	dir   string
	room  *room             // where services of the user run, unless the engine is a real one
	site  map[string]string // by address
	steps []string
}

func newStation(t *testing.T) *station {
	t.Helper()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	builtIn := filepath.Join(dir, "os-services")
	os.MkdirAll(builtIn, 0o755)
	for _, name := range []string{"docker", "ntp"} {
		text := "services:\n  " + name + ":\n    image: ros/" + name + "\n    restart: always\n    healthcheck: {test: x, interval: 1s}\n    x-ros: {scope: system}\n"
		if err := os.WriteFile(filepath.Join(builtIn, name+".yml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := newServiceFiles(builtIn, filepath.Join(dir, "services"), log)
	files.enabled = enabledFiles{catalog.Store{Dir: filepath.Join(dir, "enabled")}}
	files.projects.cache, files.projects.names = filepath.Join(dir, "cache"), filepath.Join(dir, "projects.json")
	files.projects.load = func(ctx context.Context, req project.Request) (project.Result, error) {
		return loader.Load(ctx, req), nil
	}
	files.read(true)
	s := &station{dir: dir, site: map[string]string{}, room: &room{once: map[string]bool{}}}
	var user supervise.Runtime = s.room
	var images engineImages = fakeEngine{images: map[string]string{"test/busybox:1": "sha256:0001"}}
	if socket := os.Getenv("ROS_TEST_DOCKER"); socket != "" {
		real := docker.New(socket, log)
		user, images = real, real
	}
	sup := supervise.New(supervise.Config{Runtime: scopes{system: &room{}, user: user}, Dir: filepath.Join(dir, "run")})
	store := configstore.New(filepath.Join(dir, "conf"))
	started := time.Now()
	configs := &configurator{
		store: store, files: config.Files{Dir: store.FileDir(), File: store.File()}, services: files, boot: "b1",
		uptime: func() float64 { return time.Since(started).Seconds() }, log: log, applied: make(chan struct{}, 1),
		driver: &apply.Driver{
			Host:     &apply.Host{Root: dir, Services: &box{}, Log: log},
			Appliers: map[string]apply.Applier{"services": files.applier(sup)},
			Bound:    time.Minute,
		},
	}
	configs.start(t.Context())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx, files.definitions()) }()
	t.Cleanup(func() { cancel(); <-ended })
	<-sup.Adopted()
	for _, name := range []string{"docker", "ntp"} {
		if _, err := sup.Do(t.Context(), name, supervise.Up, supervise.Options{Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
	s.enabler = &enabler{configs: configs, files: files, supervisor: sup, engine: images, store: files.enabled.Store, log: log}
	s.fetch = func(_ context.Context, address string) ([]byte, error) {
		if text, ok := s.site[address]; ok {
			return []byte(text), nil
		}
		return nil, fmt.Errorf("%s: %w", address, fs.ErrNotExist)
	}
	return s
}

func (s *station) ask(verb, what string) error {
	s.steps = nil
	return s.Do(context.Background(), verb, control.CatalogNames{Names: []string{what}}, func(step control.ImageStep) {
		if step.Text != "" {
			s.steps = append(s.steps, step.Text)
		}
	})
}

func (s *station) states() string {
	var list []string
	for _, service := range s.supervisor.Services() {
		list = append(list, service.Name+" "+string(service.State))
	}
	return strings.Join(list, ", ")
}

const shop = `services:
  web: {image: "test/busybox:1", command: [/busybox, sleep, "1000"], stop_signal: SIGKILL, depends_on: [db], restart: always}
  db: {image: "test/busybox:1", command: [/busybox, sleep, "1000"], stop_signal: SIGKILL, restart: always}
`

func TestEnableAndBack(t *testing.T) {
	s := newStation(t)
	const address = "http://x/shop.yml"
	s.site[address] = shop
	before := s.states()
	if err := s.ask("enable", address); err != nil {
		t.Fatal(err)
	}
	const up = "db running, docker healthy, ntp healthy, web running"
	if got := s.states(); got != up {
		t.Fatalf("after enable: %s\nwant %s\nsteps: %v", got, up, s.steps)
	}
	text, _ := os.ReadFile(s.configs.store.File())
	if !strings.Contains(string(text), "http://x/shop.yml: true") && !strings.Contains(string(text), `"http://x/shop.yml": true`) {
		t.Errorf("cloud-config.yml is\n%s", text)
	}
	if err := s.ask("enable", address); err != nil || len(s.steps) != 1 {
		t.Errorf("enabled a second time: %v, %v", err, s.steps)
	}
	list := s.List(context.Background(), false)
	if len(list) == 0 || list[0].Name != address || list[0].State != control.Enabled || len(list[0].Services) != 2 {
		t.Errorf("List = %+v", list)
	}

	// What a boot without a network reads.
	services, faults := s.files.projects.asking(s.files.from, true).fill(parsed(t, s), nil)
	if len(faults) > 0 || len(services) != 2 {
		t.Errorf("at the next boot: %d services, faults %v", len(services), faults)
	}
	for _, svc := range services {
		if c, err := project.Of(svc); err != nil || c.Pin == "" {
			t.Errorf("%s is not pinned: %+v, %v", svc.Name, c, err)
		}
	}

	s.site[address] = strings.Replace(shop, `"1000"], stop_signal: SIGKILL, depends_on`, `"2000"], stop_signal: SIGKILL, depends_on`, 1)
	if os.Getenv("ROS_TEST_DOCKER") == "" {
		if err := s.ask("update", address); err == nil || !strings.Contains(err.Error(), "no route to host") {
			t.Errorf("update with the registry down: %v", err)
		}
		if got := s.states(); got != up {
			t.Errorf("after an update that failed: %s", got)
		}
	}

	if err := s.ask("disable", address); err != nil {
		t.Fatal(err)
	}
	if got := s.states(); got != before {
		t.Errorf("after disable: %s, want %s", got, before)
	}
	delete(s.site, address)
	if err := s.ask("enable", address); err != nil { // from what was kept
		t.Fatal(err)
	}
	if err := s.ask("delete", address); err != nil {
		t.Fatal(err)
	}
	if got := s.states(); got != before {
		t.Errorf("after delete: %s, want %s", got, before)
	}
	if err := s.ask("delete", address); err == nil || err.Error() != "cannot delete http://x/shop.yml: no service file was enabled" {
		t.Errorf("deleted twice: %v", err)
	}
}

func parsed(t *testing.T, s *station) []compose.Service {
	t.Helper()
	file := s.files.enabled.file("http://x/shop.yml").path
	services, faults := compose.Load(file)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return services
}

func TestEnableRefuses(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	s := newStation(t)
	before := s.states()
	for _, tt := range []struct{ file, want string }{
		{"services: {ntp: {image: 'test/busybox:1'}}", `cannot enable http://x/a.yml: there is a service "ntp" already, from ` + s.dir + "/os-services/ntp.yml:2"},
		{"services: {a: {image: 'test/none:1'}}", `cannot enable http://x/a.yml: cannot pull image "test/none:1": `},
		{fmt.Sprintf("services: {a: {image: 'test/busybox:1', ports: ['%d:80']}}", port), fmt.Sprintf(`cannot enable http://x/a.yml: service "a": port %d/tcp of the machine is in use`, port)},
		{"services: {a: {image: x, imge: y}}", `cannot enable http://x/a.yml: http://x/a.yml:1: services.a.imge: unknown key (did you mean "image"?)`},
		{"services: {a: {image: x, env_file: [a.env]}}", `cannot enable http://x/a.yml: http://x/a.yml:1: services.a.env_file: is not supported in scope "user": the file came from an address, alone: there are no files beside it`},
		{"services: {}", `cannot enable http://x/a.yml: http://x/a.yml: has no service under "services"`},
		{"services: {a: {image: x, depends_on: [b]}}", `cannot enable http://x/a.yml: http://x/a.yml:1: services.a: service "a" depends on undefined service "b": invalid compose project`},
	} {
		s.site["http://x/a.yml"] = tt.file
		err := s.ask("enable", "http://x/a.yml")
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s:\n%v\nwant %s", tt.file, err, tt.want)
		}
		if got := s.states(); got != before {
			t.Errorf("%s: the machine is not as it was: %s", tt.file, got)
		}
	}
	if err := s.ask("enable", "http://x/none.yml"); err == nil || !strings.HasPrefix(err.Error(), "cannot enable http://x/none.yml: cannot fetch the service file: ") {
		t.Errorf("an address with nothing behind it: %v", err)
	}
	if entries, _ := os.ReadDir(s.store.Dir); len(entries) > 0 {
		t.Errorf("what was refused is kept: %v", entries)
	}
	if text, _ := os.ReadFile(s.configs.store.File()); len(text) > 0 {
		t.Errorf("cloud-config.yml is\n%s", text)
	}
}

func TestEnableBuiltIn(t *testing.T) {
	s := newStation(t)
	if err := s.ask("disable", "ntp"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.supervisor.Do(t.Context(), "ntp", supervise.Stop, supervise.Options{Wait: true}); err != nil { // ends what goes on
		t.Fatal(err)
	}
	if got := s.states(); got != "docker healthy, ntp stopped" {
		t.Errorf("after disable: %s", got)
	}
	if err := s.ask("enable", "ntp"); err != nil {
		t.Fatal(err)
	}
	if got := s.states(); got != "docker healthy, ntp healthy" {
		t.Errorf("after enable: %s", got)
	}
}

// A machine that boots for the first time has a config and nothing else.
func TestProvision(t *testing.T) {
	s := newStation(t)
	s.fetchedFrom(t, "http://x/shop.yml")
	if !s.provision(t.Context()) {
		t.Error("nothing is missing, though nothing is there")
	}
	want := "rancher.services_include.http://x/shop.yml is not on the machine yet: cannot fetch the service file: http://x/shop.yml: file does not exist"
	if diff := cmp.Diff([]string{want}, s.Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	s.site["http://x/shop.yml"] = shop
	if s.provision(t.Context()) || len(s.Warnings()) > 0 {
		t.Errorf("still missing: %v", s.Warnings())
	}
	for _, name := range []string{"db", "web"} {
		if service, err := s.supervisor.Do(t.Context(), name, supervise.Up, supervise.Options{Wait: true}); err != nil || service.State != supervise.Running {
			t.Errorf("%s is %s, %v", name, service.State, err)
		}
	}
	if err := s.ask("delete", "http://x/shop.yml"); err != nil {
		t.Fatal(err)
	}
}

// fetchedFrom writes a config that wants a service file.
func (s *station) fetchedFrom(t *testing.T, key string) {
	t.Helper()
	if _, err := s.configs.Write(t.Context(), control.ConfigWrite{Text: []byte("#cloud-config\nrancher: {services_include: {" + key + ": true}}\n")}); err != nil {
		t.Fatal(err)
	}
}

func TestDiff(t *testing.T) {
	split := func(s string) []string { return strings.Split(s, " ") }
	if got, want := diff(split("a b c d"), split("a x c d e")), []string{"-b", "+x", "+e"}; !cmp.Equal(got, want) {
		t.Errorf("diff = %q, want %q", got, want)
	}
}

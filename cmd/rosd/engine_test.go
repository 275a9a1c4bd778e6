package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/supervise"
)

// engineRoom starts anything but what has a broken image.
type engineRoom struct {
	*room
	broken string
}

func (r engineRoom) Start(ctx context.Context, svc compose.Service) (supervise.Task, error) {
	if r.broken != "" && strings.HasPrefix(svc.Image, r.broken) {
		return nil, supervise.Permanent(errors.New("dockerd ends with 3"))
	}
	return r.room.Start(ctx, svc)
}

func (r engineRoom) DefinitionHash(svc compose.Service) (string, error) {
	return compose.DefinitionHash(svc), nil
}

// shelf has images by name; each has dockerd in it, unless it is called empty.
type shelf struct {
	dir    string
	images map[string]bool
}

func (s shelf) Get(_ context.Context, name string) (imagestore.Image, error) {
	if !s.images[name] {
		return imagestore.Image{}, &imagestore.MissingError{Image: name}
	}
	return imagestore.Image{Name: name, Digest: "sha256:1", ID: "sha256:1"}, nil
}

func (shelf) bring(_ context.Context, _, name string, _ sayer) (imagestore.Image, error) {
	return imagestore.Image{}, errors.New("cannot pull \"" + name + "\": no route to host")
}

func (shelf) Load(context.Context, io.Reader, int64, func(imagestore.Event)) ([]imagestore.Image, error) {
	return nil, errors.New("there is no image in it")
}

func (s shelf) View(_ context.Context, _ string, image imagestore.Image) (imagestore.Files, error) {
	dir := filepath.Join(s.dir, strings.ReplaceAll(image.Name, "/", "-"))
	if image.Name == "x/empty:1" {
		return imagestore.Files{Lower: []string{dir}}, nil
	}
	err := errors.Join(os.MkdirAll(dir+"/engine", 0o755), os.WriteFile(dir+"/engine/dockerd", nil, 0o755))
	return imagestore.Files{Lower: []string{dir}}, err
}

type answering struct{}

func (answering) About(context.Context) (docker.About, error) {
	return docker.About{ServerVersion: "29.0.0", Driver: "overlayfs"}, nil
}

// engineBench is a rosd with services docker and docker-containerd.
type engineBench struct {
	*engines
	room  *room
	steps []string
}

func newEngineBench(t *testing.T) *engineBench {
	t.Helper()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	s := newStation(t)
	if _, err := s.configs.edit(t.Context(), setting{[]string{"rancher", "repositories", "core", "url"}, []byte(s.catalogFolder(t))}); err != nil {
		t.Fatal(err)
	}
	builtIn := s.files.builtIn
	text := "services:\n  docker-containerd:\n    image: ros/docker\n    restart: always\n    x-ros: {scope: system}\n"
	if err := os.WriteFile(filepath.Join(builtIn, "docker-containerd.yml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s.files.read(true)
	rt := engineRoom{room: &room{}, broken: "x/broken"}
	sup := supervise.New(supervise.Config{Runtime: rt, Dir: filepath.Join(dir, "run")})
	choice := &engineChoice{store: &engine.Store{Path: filepath.Join(dir, "known.json")}, file: filepath.Join(dir, "engine.json"), log: log}
	halt := engineHalt{supervisor: sup, info: answering{}}
	s.configs.driver.Appliers = map[string]apply.Applier{"services": s.files.applier(sup), "engine": choice.applier(s.files, halt.halt)}
	s.files.off = nil
	s.configs.start(t.Context())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sup.Run(ctx, s.files.definitions()) }()
	t.Cleanup(func() { cancel(); <-ended })
	<-sup.Adopted()
	s.enabler.supervisor = sup
	b := &engineBench{room: rt.room}
	b.engines = &engines{
		configs: s.configs, files: s.files, supervisor: sup, choice: choice, halt: halt, enabling: s.enabler,
		images: shelf{dir, map[string]bool{"x/good:1": true, "x/broken:1": true, "x/empty:1": true, "x/old:1": true}}, bring: shelf{}.bring, info: answering{},
		version: func(_ context.Context, found engine.Engine) (string, error) {
			if found.Image == "x/old:1" {
				return "26.1.5", nil
			}
			return "29.1.0", nil
		},
		base: func() ([]string, string) { return nil, "sha256:0123456789abcdef" },
		data: dir, extras: filepath.Join(dir, "engines"), log: log,
	}
	b.up(t)
	return b
}

// catalogFolder is a catalog with an engine that no registry has.
func (s *station) catalogFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(s.dir, "catalog")
	if err := errors.Join(os.MkdirAll(dir+"/l", 0o755),
		os.WriteFile(dir+"/index.yml", []byte("engines: [listed]\n"), 0o644),
		os.WriteFile(dir+"/l/listed.yml", []byte("services: {docker: {image: \"x/good:1\"}}\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (b *engineBench) up(t *testing.T) {
	t.Helper()
	for _, name := range []string{"docker", "docker-containerd"} {
		if _, err := b.supervisor.Do(t.Context(), name, supervise.Up, supervise.Options{Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *engineBench) ask(verb string, ask control.EngineAsk) error {
	b.steps = nil
	return b.Do(context.Background(), verb, ask, func(step control.ImageStep) {
		if step.Text != "" {
			b.steps = append(b.steps, step.Text)
		}
	})
}

// runs is the engine by name, its image and the states of its services.
func (b *engineBench) runs(t *testing.T) string {
	t.Helper()
	text := b.choice.current().Name
	for _, name := range []string{"docker", "docker-containerd"} {
		s, err := b.supervisor.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.State == supervise.Stopping || s.State == supervise.Starting || s.State == supervise.Waiting {
			s, _ = b.supervisor.Do(t.Context(), name, supervise.Kill, supervise.Options{Signal: "SIGHUP", Wait: true})
		}
		text += ", " + name + " " + string(s.State)
	}
	return text + ", " + b.files.service("docker").Image
}

const builtInRuns = "docker, docker healthy, docker-containerd running, ros/docker"

func TestEngineSwitch(t *testing.T) {
	b := newEngineBench(t)
	if got := b.runs(t); got != builtInRuns {
		t.Fatalf("at first: %s", got)
	}
	if err := b.ask("switch", control.EngineAsk{Name: "x/good:1"}); err != nil {
		t.Fatal(err)
	}
	const good = "x/good:1, docker healthy, docker-containerd running, x/good:1@sha256:1"
	if got := b.runs(t); got != good {
		t.Errorf("after the switch: %s, steps %q", got, b.steps)
	}
	if data, err := engine.ReadData(b.data); err != nil || data.Engine != "x/good:1" || !b.choice.proven() {
		t.Errorf("after the switch the data are of %+v, %v", data, err)
	}
	if err := b.ask("switch", control.EngineAsk{Name: "x/good:1"}); err != nil || len(b.steps) != 1 || b.steps[0] != "x/good:1 is the engine already" {
		t.Errorf("switched twice: %v, %q", err, b.steps)
	}
	err := b.ask("switch", control.EngineAsk{Name: "x/broken:1"})
	if want := `cannot switch to engine x/broken:1: service "docker" is failed: `; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("a broken engine: %v, want %s", err, want)
	}
	if got := b.runs(t); got != good {
		t.Errorf("after a broken engine: %s, steps %q", got, b.steps)
	}
	if err := b.ask("switch", control.EngineAsk{Name: "none"}); err != nil {
		t.Fatal(err)
	}
	b.settled(t, supervise.Stopped)
	if got, want := b.runs(t), "none, docker stopped, docker-containerd stopped, ros/docker"; got != want {
		t.Errorf("with none: %s, want %s", got, want)
	}
	if b.choice.isHalted() {
		t.Error("with none: another engine is waited for")
	}
	if err := b.ask("switch", control.EngineAsk{Name: "docker"}); err != nil {
		t.Fatal(err)
	}
	b.up(t)
	if got := b.runs(t); got != builtInRuns {
		t.Errorf("and back: %s, steps %q", got, b.steps)
	}
	if text, _ := os.ReadFile(b.configs.store.File()); strings.Contains(string(text), "engine:") {
		t.Errorf("cloud-config.yml has\n%s", text)
	}
}

// settled waits until both services are in a state.
func (b *engineBench) settled(t *testing.T, want supervise.State) {
	t.Helper()
	for _, name := range []string{"docker", "docker-containerd"} {
		if s, err := b.supervisor.Do(t.Context(), name, supervise.Stop, supervise.Options{Wait: true}); err != nil || s.State != want {
			t.Errorf("%s is %s, %v", name, s.State, err)
		}
	}
}

// An operator does not wait for the engine that the config names to be fetched.
func TestEngineSwitchWhileAnotherIsFetched(t *testing.T) {
	b := newEngineBench(t)
	began := make(chan struct{})
	b.bring = func(ctx context.Context, _, _ string, _ sayer) (imagestore.Image, error) {
		close(began)
		return imagestore.Image{}, cutOff(t, ctx)
	}
	done := make(chan bool)
	go func() { done <- b.fetch(context.Background(), "x/far:1") }()
	<-began
	if err := b.ask("switch", control.EngineAsk{Name: "x/good:1"}); err != nil {
		t.Error(err)
	}
	if <-done {
		t.Error("what was cut off is there")
	}
	if got := b.runs(t); got != goodRuns {
		t.Errorf("afterwards: %s", got)
	}
}

func TestEngineRefused(t *testing.T) {
	b := newEngineBench(t)
	if err := (engine.Data{Engine: "next", Version: "31.0.0"}).Write(b.data); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		verb string
		ask  control.EngineAsk
		want string
	}{
		{"switch", control.EngineAsk{Name: "dokcer"}, `cannot switch to engine dokcer: no catalog has "dokcer" (did you mean "docker"?)`},
		{"switch", control.EngineAsk{Name: "lsted"}, `cannot switch to engine lsted: no catalog has "lsted" (did you mean "listed"?)`},
		{"switch", control.EngineAsk{Name: "x/empty:1"}, "cannot switch to engine x/empty:1: image x/empty:1 is no engine: there is no dockerd in it: neither "},
		{"switch", control.EngineAsk{Name: "x/none:1", NoPull: true}, `cannot switch to engine x/none:1: image "x/none:1" is not on this machine, and is not to be pulled`},
		{"enable", control.EngineAsk{Name: "x/none:1"}, `cannot enable engine x/none:1: cannot pull "x/none:1": no route to host`},
		{"switch", control.EngineAsk{Name: "x/old:1"}, "cannot switch to engine x/old:1: its data were last used by Docker 31.0.0 (next), and what that writes Docker 26.1.5 may not understand"},
		{"enable", control.EngineAsk{Name: "docker"}, "cannot enable engine docker: its data were last used by Docker 31.0.0 (next), and what that writes Docker " + engine.BuiltInVersion + " may not understand"},
		{"switch", control.EngineAsk{Name: "/none.tar"}, "cannot switch to engine /none.tar: open /none.tar: no such file or directory"},
		{"create", control.EngineAsk{Name: "docker"}, `cannot create engine docker: there is a service "docker" already`},
		{"create", control.EngineAsk{Name: "a/b"}, "cannot create engine a/b: a name has small letters, "},
		{"create", control.EngineAsk{Name: "a", FixedIP: "10.0.0.1"}, "cannot create engine a: --fixed-ip is an address in a network of the engine: --network says which"},
		{"create", control.EngineAsk{Name: "a", Network: "n", FixedIP: "10"}, `cannot create engine a: --fixed-ip: "10" is not an IP address`},
		{"rm", control.EngineAsk{Name: "a"}, "cannot remove engine a: there are no extra engines; "},
	} {
		if err := b.ask(tt.verb, tt.ask); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s %+v: %v\nwant %s", tt.verb, tt.ask, err, tt.want)
		}
		if got := b.runs(t); got != builtInRuns {
			t.Errorf("%s %+v: the machine is not as it was: %s", tt.verb, tt.ask, got)
		}
	}
}

// The config could not be applied: the engine that is named stays the one before,
// also the one that another "enable" has named.
func TestEngineEnableThatCannotBeApplied(t *testing.T) {
	b := newEngineBench(t)
	real := b.configs.driver.Appliers["services"]
	b.configs.driver.Appliers["services"] = func(ctx context.Context, h *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		o, err := real(ctx, h, cfg)
		if cfg.Rancher.Docker.Engine == "x/good:1" {
			err = errors.New("it does not stop")
		}
		return o, err
	}
	if err := b.ask("enable", control.EngineAsk{Name: "none"}); err != nil {
		t.Fatal(err)
	}
	const want = "cannot enable engine x/good:1: it does not stop"
	if err := b.ask("enable", control.EngineAsk{Name: "x/good:1"}); err == nil || err.Error() != want {
		t.Errorf("enable: %v\nwant %s", err, want)
	}
	if got := b.runs(t); got != builtInRuns || wantedEngine(b.configs.config()) != "none" {
		t.Errorf("afterwards %s, and from the next boot on %s", got, wantedEngine(b.configs.config()))
	}
}

func TestEngineEnable(t *testing.T) {
	b := newEngineBench(t)
	if err := b.ask("enable", control.EngineAsk{Name: "listed"}); err != nil {
		t.Fatal(err)
	}
	if got := b.runs(t); got != builtInRuns {
		t.Errorf("before the boot: %s", got)
	}
	states := map[string]string{}
	for _, e := range b.List(t.Context(), false) {
		states[e.Name] = e.State
	}
	if states["docker"] != control.EngineCurrent || states["listed"] != control.EngineEnabled || states["none"] != control.EngineAvailable {
		t.Errorf("List = %v", states)
	}
	if err := b.ask("switch", control.EngineAsk{Name: "listed"}); err != nil { // not at the next boot, now
		t.Fatal(err)
	}
	if got, want := b.runs(t), "listed, docker healthy, docker-containerd running, x/good:1@sha256:1"; got != want {
		t.Errorf("enabled, then switched to: %s, want %s", got, want)
	}
	next := &engineChoice{store: b.choice.store, file: filepath.Join(t.TempDir(), "none")} // of the next boot
	if _, now, first := next.update(b.configs.config()); now.Name != "listed" || now.Pin != "x/good:1@sha256:1" || !first || now.fault != nil {
		t.Errorf("at the next boot %+v, %t", now, first)
	}
}

// TestEngineOfTheConfig: rancher.docker.engine and rancher.defaults.docker.engine
// name it; what cannot be had gives way to that of the OS.
func TestEngineOfTheConfig(t *testing.T) {
	c := &engineChoice{store: &engine.Store{Path: filepath.Join(t.TempDir(), "known.json")}, file: filepath.Join(t.TempDir(), "engine.json")}
	if err := c.store.Put(engine.Engine{Name: "a", Pin: "a@sha256:1", Version: "26.1.5"}); err != nil {
		t.Fatal(err)
	}
	fallen := "dockerd ends with 3"
	for _, tt := range []struct {
		key, byDefault string
		fallen         string
		want, fault    string
	}{
		{want: "docker"},
		{key: "none", want: "none"},
		{byDefault: "none", want: "none"},
		{key: "docker", byDefault: "none", want: "docker"},
		{key: "a", want: "a"},
		{key: "b", want: "docker", fault: "rancher.docker.engine: b is not on this machine yet; the engine of the OS runs meanwhile"},
		{key: "a", fallen: fallen, want: "docker", fault: "rancher.docker.engine: the engine of the OS runs until the next boot, a did not: dockerd ends with 3"},
	} {
		cfg := &config.Config{}
		cfg.Rancher.Docker.Engine, cfg.Rancher.Defaults.Docker.Engine = tt.key, tt.byDefault
		if err := c.fell("a", tt.fallen); err != nil {
			t.Fatal(err)
		}
		_, now, _ := c.update(cfg)
		fault := ""
		if now.fault != nil {
			fault = now.fault.Error()
		}
		if now.Name != tt.want || fault != tt.fault {
			t.Errorf("%+v: engine %q, %s", tt, now.Name, fault)
		}
	}
}

func TestCertificates(t *testing.T) {
	s := newStation(t)
	made, err := s.configs.certificate(t.Context(), control.TLSAsk{Server: true, Hosts: []string{"edge-7"}})
	if err != nil || !made.NewCA || made.Applied == nil {
		t.Fatalf("a server's: %+v, %v", made.NewCA, err)
	}
	d := s.configs.config().Rancher.Docker
	if string(d.CACert) != made.CA || string(d.ServerCert) != made.Cert || string(d.ServerKey) != made.Key || d.CAKey == "" {
		t.Error("the config has other certificates")
	}
	client, err := s.configs.certificate(t.Context(), control.TLSAsk{Name: "rancher"})
	if err != nil || client.NewCA || client.CA != made.CA || client.Applied != nil {
		t.Errorf("a client's: new authority %t, %v", client.NewCA, err)
	}
	if _, err := s.configs.edit(t.Context(), setting{[]string{"rancher", "docker", "ca_key"}, nil}); err != nil {
		t.Fatal(err)
	}
	_, err = s.configs.certificate(t.Context(), control.TLSAsk{Name: "rancher"})
	if want := "cannot make a certificate: rancher.docker.ca_cert is somebody else's: rancher.docker.ca_key is not here"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestEngineGivenUp(t *testing.T) {
	for _, tt := range []struct {
		to       supervise.State
		restarts int
		want     bool
	}{
		{supervise.Backoff, 0, false},
		{supervise.Backoff, 2, true},
		{supervise.Unhealthy, 0, true},
		{supervise.Failed, 0, true},
	} {
		if got := givenUp(supervise.Service{Restarts: tt.restarts}, tt.to); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}

// An engine that does not start at boot gives way to that of the OS.
func TestEngineFallsBack(t *testing.T) {
	b := newEngineBench(t)
	broken := engine.Engine{Name: "x/broken:1", Pin: "x/broken:1@sha256:1", Version: "29.1.0", Dockerd: "/engine/dockerd"}
	if err := b.choice.store.Put(broken); err != nil {
		t.Fatal(err)
	}
	if err := b.set(t.Context(), broken.Name); err != nil {
		t.Fatal(err)
	}
	if s, _ := b.supervisor.Do(t.Context(), "docker", supervise.Up, supervise.Options{Wait: true}); s.State != supervise.Failed {
		t.Fatalf("the broken engine is %s", s.State)
	}
	b.look(t.Context(), supervise.Event{Service: "docker", To: supervise.Failed, Reason: "dockerd ends with 3"})
	b.up(t)
	if got := b.runs(t); got != builtInRuns {
		t.Errorf("after it was given up: %s", got)
	}
	if w := strings.Join(b.configs.currentWarnings(), " "); !strings.Contains(w, "x/broken:1 did not: dockerd ends with 3") {
		t.Errorf("warnings: %s", w)
	}
}

package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/supervise"
)

// registryEngine pulls the images that it has.
type registryEngine struct{ fakeEngine }

func (e registryEngine) Pull(ctx context.Context, name, _ string, _ docker.Login, _ func(docker.Step)) (string, error) {
	return e.Image(ctx, name)
}

// withRegistry is a station at which an update finds the image test/busybox:1.
func withRegistry(t *testing.T) *station {
	t.Helper()
	s := newStation(t)
	s.engine = registryEngine{fakeEngine{images: map[string]string{"test/busybox:1": "sha256:0001"}}}
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// must asks for something that has to work.
func (s *station) must(t *testing.T, verb, what string) {
	t.Helper()
	if err := s.ask(verb, what); err != nil {
		t.Fatal(err)
	}
}

// told is what the engine is told to make of a service.
func (s *station) told(t *testing.T, name string) project.Container {
	t.Helper()
	c, err := project.Of(s.files.service(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What a container writes to ./data of its file outlives update and delete.
func TestRelativePathKeepsData(t *testing.T) {
	s := withRegistry(t)
	const address = "http://x/app.yml"
	const text = "services: {web: {image: 'test/busybox:1', volumes: ['./data:/data']}}\n"
	s.site[address] = text
	s.must(t, "enable", address)
	data := filepath.Join(s.dir, "enabled-data", filepath.Base(s.store.Folder(address)), "data")
	if create := string(s.told(t, "web").Create); !strings.Contains(create, `"Source":"`+data+`"`) {
		t.Errorf("the engine is told %s\nwant a mount of %s", create, data)
	}
	write(t, data+"/precious", "x")
	s.site[address] += "# v2\n"
	s.must(t, "update", address)
	s.must(t, "delete", address)
	if _, err := os.Stat(data + "/precious"); err != nil {
		t.Error(err)
	}
}

// An earlier version let ./data begin in the store.
func TestRelativePathOfEarlierVersion(t *testing.T) {
	s := withRegistry(t)
	const address = "http://x/app.yml"
	s.site[address] = "services: {web: {image: 'test/busybox:1', volumes: ['./data:/data']}}\n"
	s.must(t, "enable", address)
	data := filepath.Join(s.store.Folder(address), "data")
	write(t, data+"/precious", "x")
	s.site[address] += "# v2\n"
	s.must(t, "update", address)
	if create := string(s.told(t, "web").Create); !strings.Contains(create, `"Source":"`+data+`"`) {
		t.Errorf("after update the engine is told %s\nwant a mount of %s", create, data)
	}
	s.must(t, "delete", address)
	if _, err := os.Stat(data + "/precious"); err != nil {
		t.Error(err)
	}
}

func TestRelativePathOfSystemService(t *testing.T) {
	s := withRegistry(t)
	const text = "services: {agent: {image: ros/ntp, restart: always, volumes: ['./data:/data'], x-ros: {scope: system}}}\n"
	file := filepath.Join(t.TempDir(), "agent.yml")
	write(t, file, text)
	const address = "http://x/agent.yml"
	s.site[address] = text
	for what, home := range map[string]string{
		file:    filepath.Dir(file),
		address: filepath.Join(s.dir, "enabled-data", filepath.Base(s.store.Folder(address))),
	} {
		s.must(t, "enable", what)
		if mounts := s.files.service("agent").Mounts; len(mounts) != 1 || mounts[0].Source != home+"/data" {
			t.Errorf("%s: mounts %+v, want %s/data", what, mounts, home)
		}
		s.must(t, "delete", what)
	}
}

// A typo in one file is nobody else's business: what runs, runs on when other
// files are read, and its container stays.
func TestFaultCostsNothingThatRuns(t *testing.T) {
	s := newStation(t)
	mine := filepath.Join(s.dir, "services", "mine.yml")
	const sound = "services:\n  cache: {image: 'test/busybox:1', restart: always}\n  store: {image: 'test/busybox:1', restart: always}\n"
	write(t, mine, sound)
	s.files.reload(s.supervisor)
	for _, name := range []string{"cache", "store"} {
		if _, err := s.supervisor.Do(t.Context(), name, supervise.Up, supervise.Options{Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, faulty := range []string{
		strings.Replace(sound, "restart", "comand: x, restart", 1), // of one service
		sound + "servces: {}\n", // of the file
		"services: [\n",
	} {
		write(t, mine, faulty)
		s.site["http://x/shop.yml"] = shop
		s.must(t, "enable", "http://x/shop.yml")
		s.must(t, "delete", "http://x/shop.yml")
		for _, name := range []string{"cache", "store"} {
			service, err := s.supervisor.Service(name)
			if err != nil || service.State != supervise.Running || service.Scope != compose.ScopeUser {
				t.Errorf("%s: %s is %s of scope %s, %v", faulty, name, service.State, service.Scope, err)
			}
		}
	}
	os.Remove(mine) // then they are gone indeed
	s.site["http://x/shop.yml"] = shop
	s.must(t, "enable", "http://x/shop.yml")
	s.must(t, "delete", "http://x/shop.yml")
	if got := s.states(); got != "docker healthy, ntp healthy" {
		t.Errorf("without the file: %s", got)
	}
}

func TestInclude(t *testing.T) {
	s := newStation(t)
	dir := t.TempDir()
	const top = "include: [db.yml]\nservices:\n  web: {image: 'test/busybox:1', restart: always, depends_on: [db]}\n"
	const db = "services:\n  db: {image: 'test/busybox:1', restart: always}\n"
	write(t, dir+"/top.yml", top)
	write(t, dir+"/db.yml", db)
	s.must(t, "enable", dir+"/top.yml")
	if got, want := s.states(), "db running, docker healthy, ntp healthy, web running"; got != want {
		t.Errorf("after enable: %s, want %s", got, want)
	}
	s.must(t, "delete", dir+"/top.yml")

	if err := s.include(t.Context(), dir+"/top.yml", []byte("true")); err != nil { // read where it lies
		t.Fatal(err)
	}
	if got, want := s.files.service("db").File, dir+"/top.yml"; got != want {
		t.Errorf("db is of %q, want %s", got, want)
	}
	other := dir + "/other.yml"
	write(t, other, strings.ReplaceAll(top, "web", "shop"))
	if err := s.ask("enable", other); err == nil || !strings.Contains(err.Error(), `there is a service "db" already, from `+dir+`/top.yml:1`) {
		t.Errorf("enable of another file with db: %v", err)
	}
	write(t, filepath.Join(s.dir, "services", "other.yml"), strings.ReplaceAll(top, "web", "shop"))
	write(t, filepath.Join(s.dir, "services", "db.yml"), db)
	plan := s.files.reload(s.supervisor)
	want := control.PlanFault{Error: filepath.Join(s.dir, "services", "other.yml") + `:1: include: there is a service "db" already, from ` + filepath.Join(s.dir, "services", "db.yml") + ":2"}
	if !slices.Contains(plan.Faults, want) {
		t.Errorf("faults %+v\nwant %+v", plan.Faults, want)
	}
}

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	want := control.PlanFault{Error: filepath.Join(s.dir, "services", "other.yml") + `:1: services.db: there is a service "db" already, from ` + filepath.Join(s.dir, "services", "db.yml") + ":2"}
	if !slices.Contains(plan.Faults, want) {
		t.Errorf("faults %+v\nwant %+v", plan.Faults, want)
	}
}

func TestProjectNames(t *testing.T) {
	for file, want := range map[string]string{
		"/opt/shop/compose.yml":         "shop",
		"/opt/shop/docker-compose.yaml": "shop",
		"/opt/shop/web.yml":             "web",
		"/opt/shop/compose.web.yml":     "compose.web",
		"/compose.yml":                  "compose",
	} {
		if got := projectName(file); got != want {
			t.Errorf("projectName(%s) = %q, want %q", file, got, want)
		}
	}
}

// Two files of one name in different folders share nothing.
func TestProjectsOfFolders(t *testing.T) {
	s := withRegistry(t)
	dir := t.TempDir()
	service := func(name string) string {
		return "services: {" + name + ": {image: 'test/busybox:1', restart: always, volumes: ['data:/data']}}\nvolumes: {data: }\n"
	}
	is := func(name, want string) {
		t.Helper()
		c := s.told(t, name)
		if c.Project != want || len(c.Volumes) != 1 || c.Volumes[0].Name != want+"_data" {
			t.Errorf("%s is of project %q with the volumes %+v, want %s", name, c.Project, c.Volumes, want)
		}
	}
	write(t, dir+"/a/compose.yml", service("a"))
	write(t, dir+"/b/compose.yml", service("b"))
	write(t, dir+"/x/a/compose.yml", service("other"))
	s.must(t, "enable", dir+"/a/compose.yml")
	is("a", "a")
	if err := s.include(t.Context(), dir+"/b/compose.yml", []byte("true")); err != nil { // where it lies
		t.Fatal(err)
	}
	is("b", "b")
	for _, key := range []string{"enabled", "disabled"} {
		err := s.ask("enable", dir+"/x/a/compose.yml")
		if err == nil || !strings.Contains(err.Error(), `there is a project "a" already, from `) {
			t.Errorf("another project a while the first is %s: %v", key, err)
		}
		s.must(t, "disable", dir+"/a/compose.yml")
	}
	write(t, dir+"/x/a/compose.yml", "name: other\n"+service("other"))
	s.must(t, "enable", dir+"/x/a/compose.yml")
	is("other", "other")

	s.site["http://x/shop/compose.yml"] = service("shop")
	s.must(t, "enable", "http://x/shop/compose.yml")
	is("shop", "shop")
}

// A machine that enabled a file when projects had other names keeps its volumes.
func TestProjectKeepsItsName(t *testing.T) {
	s := withRegistry(t)
	dir := t.TempDir()
	const text = "services: {a: {image: 'test/busybox:1', volumes: ['data:/data']}}\nvolumes: {data: }\n"
	file := dir + "/a/compose.yml"
	write(t, file, "name: compose\n"+text)
	s.must(t, "enable", file)
	write(t, file, text)
	s.must(t, "update", file)
	if c := s.told(t, "a"); c.Project != "compose" {
		t.Errorf("after update the project is %q, want compose", c.Project)
	}
	s.must(t, "delete", file)

	// One that is read where it lies is in the cache of the earlier version.
	from := s.files.from
	answer, err := s.files.projects.load(t.Context(), project.Request{Path: file, Dir: dir + "/a", Env: from.Env, Text: []byte(text), Name: "compose"})
	if err == nil {
		err = writeResult(filepath.Join(s.files.projects.cache, "earlier.json"), answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.include(t.Context(), file, []byte("true")); err != nil {
		t.Fatal(err)
	}
	write(t, file, text+"# v2\n")
	s.files.reload(s.supervisor)
	if c := s.told(t, "a"); c.Project != "compose" {
		t.Errorf("where it lies the project is %q, want compose", c.Project)
	}
	s.must(t, "disable", file)
	s.must(t, "enable", file)
	if c := s.told(t, "a"); c.Project != "compose" {
		t.Errorf("disabled and enabled the project is %q, want compose", c.Project)
	}
}

// Whoever enables somebody else's file cannot give it another name.
func TestFoldersOfAddressesMayBeNamedAlike(t *testing.T) {
	s := withRegistry(t)
	for _, name := range []string{"a", "b"} {
		address := "http://x/" + name + "/main/docker-compose.yml"
		s.site[address] = "services: {" + name + ": {image: 'test/busybox:1'}}"
		s.must(t, "enable", address)
	}
	if a, b := s.told(t, "a").Project, s.told(t, "b").Project; a != "main" || !strings.HasPrefix(b, "main-") {
		t.Errorf("the projects are %q and %q", a, b)
	}
}

// What the operator has stopped stays so when a typo beside it is mended.
func TestMendedIsNotStarted(t *testing.T) {
	s := newStation(t)
	file := filepath.Join(s.dir, "services", "mine.yml")
	const sound = "services:\n  cache: {image: 'test/busybox:1', restart: always}\n  store: {image: 'test/busybox:1', restart: always}\n"
	write(t, file, sound)
	s.files.reload(s.supervisor)
	for _, step := range []struct {
		name string
		verb supervise.Verb
	}{{"cache", supervise.Up}, {"store", supervise.Up}, {"cache", supervise.Stop}} {
		if _, err := s.supervisor.Do(t.Context(), step.name, step.verb, supervise.Options{Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
	write(t, file, strings.Replace(sound, "store: {", "store: {comand: x, ", 1))
	s.files.reload(s.supervisor)
	write(t, file, sound)
	s.site["http://x/shop.yml"] = shop
	s.must(t, "enable", "http://x/shop.yml")
	for name, want := range map[string]bool{"cache": false, "store": true} {
		if now, err := s.supervisor.Service(name); err != nil || now.Up() != want {
			t.Errorf("%s is %s (%v)", name, now.State, err)
		}
	}
}

// A port may come to have an address: it is no other service's.
func TestAddressOfAPortChanges(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	with := func(port string) []compose.Service {
		s, err := project.With(compose.Service{Name: "a", Scope: compose.ScopeUser}, project.Container{Ports: []string{port}})
		if err != nil {
			t.Fatal(err)
		}
		return []compose.Service{s}
	}
	port := l.Addr().(*net.TCPAddr).Port
	here, all := with(fmt.Sprintf("tcp/127.0.0.1:%d", port)), with(fmt.Sprintf("tcp/:%d", port))
	if err := portsFree(here, all...); err != nil {
		t.Error(err)
	}
	if err := portsFree(here); err == nil {
		t.Error("a port that is in use is free")
	}
}

// The file is the same, what it names is not.
func TestUpdateSeesWhatTheFileNames(t *testing.T) {
	s := withRegistry(t)
	file := filepath.Join(t.TempDir(), "web.yml")
	beside := func(name, text string) { write(t, filepath.Join(filepath.Dir(file), name), text) }
	write(t, file, "services: {web: {image: 'test/busybox:1', env_file: [web.env], environment: {B: '${B}'}}}\n")
	beside("web.env", "A=1\n")
	beside(".env", "B=1\n")
	s.must(t, "enable", file)
	s.must(t, "update", file)
	if last := s.steps[len(s.steps)-1]; last != file+" has not changed" {
		t.Errorf("with nothing new: %q", s.steps)
	}
	for name, text := range map[string]string{"web.env": "A=2\n", ".env": "B=2\n"} {
		beside(name, text)
		s.must(t, "update", file)
		if !slices.Contains(s.steps, "web: what its file names, or a variable, has changed") {
			t.Errorf("with another %s: %q", name, s.steps)
		}
		if create := string(s.told(t, "web").Create); !strings.Contains(create, strings.TrimSpace(text)) {
			t.Errorf("with another %s the engine is told %s", name, create)
		}
	}
}

// A file that is read where it lies can be enabled, and what runs goes on.
func TestEnableWhatIsReadInPlace(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // as the container of web has it
	s := newStation(t)
	file := filepath.Join(t.TempDir(), "web.yml")
	write(t, file, fmt.Sprintf("services: {web: {image: 'test/busybox:1', restart: always, ports: ['%d:80']}}\n", l.Addr().(*net.TCPAddr).Port))
	if err := s.include(t.Context(), file, []byte("true")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.supervisor.Do(t.Context(), "web", supervise.Up, supervise.Options{Wait: true}); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		file:  "it was not enabled: its file is read where it lies, by ros service up",
		"ntp": "it is part of the OS, and new with a new one (ros os upgrade)",
		"nix": "it was not enabled; there are: " + file,
	} {
		if err := s.ask("update", what); err == nil || err.Error() != "cannot update "+what+": "+want {
			t.Errorf("update %s: %v, want %s", what, err, want)
		}
	}

	s.must(t, "enable", file)
	if got, want := s.states(), "docker healthy, ntp healthy, web running"; got != want {
		t.Errorf("after enable: %s, want %s", got, want)
	}
	if got, want := s.files.service("web").File, s.store.Folder(file)+"/web.yml"; got != want {
		t.Errorf("web is of %s, want %s", got, want)
	}
	s.must(t, "delete", file)
}

// rosd is killed after it has kept a file and before the config names it: the
// file can be deleted, and enabling it takes what it is by then.
func TestEnableCutOff(t *testing.T) {
	s := newStation(t)
	const address = "http://x/web.yml"
	const web = "services: {web: {image: 'test/busybox:1', restart: always, environment: {V: '1'}}}\n"
	cutOff := func() {
		t.Helper()
		s.site[address] = web
		if _, err := s.take(t.Context(), address, func(control.ImageStep) {}); err != nil {
			t.Fatal(err)
		}
	}
	cutOff()
	s.must(t, "delete", address)
	if kept := s.store.All(); len(kept) > 0 {
		t.Errorf("after delete there is left %+v", kept)
	}
	cutOff()
	s.site[address] = strings.Replace(web, "'1'", "'2'", 1)
	s.must(t, "enable", address)
	if c := s.told(t, "web"); !strings.Contains(string(c.Create), `"V=2"`) {
		t.Errorf("enabled is an older file: %s", c.Create)
	}
	s.must(t, "delete", address)
}

// rosd is killed after it has kept a newer file and before its services run so:
// they do after the next update, though there is nothing new.
func TestUpdateCutOff(t *testing.T) {
	s := newStation(t)
	s.room.tell = true
	s.engine = &stock{images: map[string]bool{"test/busybox:1": true}, pulls: true}
	const address = "http://x/web.yml"
	s.site[address] = "services: {web: {image: 'test/busybox:1', restart: always}}\n"
	s.must(t, "enable", address)
	s.site[address] = "services: {web: {image: 'test/busybox:1', restart: always, environment: {V: '2'}}}\n"
	fresh, err := s.prepare(t.Context(), address, true, func(control.ImageStep) {})
	if err == nil {
		err = s.pullAll(t.Context(), fresh, true, func(control.ImageStep) {})
	}
	if err == nil {
		err = s.keep(fresh)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.files.read(false) // as the rosd that is started next
	s.supervisor.Reload(s.files.definitions())
	for deadline := time.Now().Add(5 * time.Second); !s.behind([]string{"web"}); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("web does not run with an older definition")
		}
	}
	s.must(t, "update", address)
	if s.behind([]string{"web"}) {
		t.Error("after another update web still runs as it was")
	}
	s.must(t, "delete", address)
}

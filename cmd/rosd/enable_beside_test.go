package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/supervise"
)

// mixed is a project of both scopes whose services share a config and a volume.
const mixed = `services:
  agent:
    image: ros/ntp
    restart: always
    env_file: agent.env
    configs: [page]
    secrets: [word]
    volumes: ['data:/data']
    x-ros: {scope: system}
  debug: {image: ros/ntp, restart: always, profiles: [debug], x-ros: {scope: system}}
  web: {image: 'test/busybox:1', command: [/busybox, sleep, "1000"], stop_signal: SIGKILL, configs: [page], volumes: ['data:/data'], restart: always}
configs: {page: {file: ./page.html}}
secrets: {word: {file: ./word}}
volumes: {data: }
`

func (s *station) mixed(t *testing.T) (file string, beside func(name, text string)) {
	t.Helper()
	dir := t.TempDir()
	beside = func(name, text string) { write(t, filepath.Join(dir, name), text) }
	file = filepath.Join(dir, "shop.yml")
	for name, text := range map[string]string{"shop.yml": mixed, "agent.env": "A=1\n", "page.html": "hello", "word": "hush"} {
		beside(name, text)
	}
	return file, beside
}

// saw is what a service of the OS is made from, of what lies beside its file.
func (s *station) saw(name string) []string {
	service := s.files.service(name)
	seen := slices.Clone(service.Env)
	for _, f := range service.Files {
		seen = append(seen, f.Source+"="+string(f.Text))
	}
	return seen
}

// What the file names counts as it was when it was enabled, until it is updated.
func TestWhatTheFileNamesIsKept(t *testing.T) {
	s := withRegistry(t)
	file, beside := s.mixed(t)
	s.must(t, "enable", file)
	if got, want := s.states(), "agent running, docker healthy, ntp healthy, web running"; got != want {
		t.Errorf("after enable: %s, want %s", got, want)
	}
	first := []string{"A=1", "configs.page=hello", "secrets.word=hush"}
	is := func(when string, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, s.saw("agent")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	is("enabled", first)
	s.must(t, "update", file)
	if last := s.steps[len(s.steps)-1]; last != file+" has not changed" {
		t.Errorf("update with nothing new: %q", s.steps)
	}
	const line = "agent: what its file names, or a variable, has changed"
	for _, change := range []struct{ name, text string }{{"agent.env", "A=2\n"}, {"page.html", "moved"}, {"word", "hash"}} {
		before := s.saw("agent")
		beside(change.name, change.text)
		s.files.reload(s.supervisor)
		is("changed on the disk", before)
		s.must(t, "update", file)
		if !slices.Contains(s.steps, line) {
			t.Errorf("update with another %s says %q", change.name, s.steps)
		}
		if cmp.Equal(before, s.saw("agent")) {
			t.Errorf("update with another %s has changed nothing", change.name)
		}
		if text := strings.Join(s.steps, "\n"); strings.Contains(text, "hash") || strings.Contains(text, "hush") {
			t.Errorf("the secret is shown: %s", text)
		}
	}
	is("updated", []string{"A=2", "configs.page=moved", "secrets.word=hash"})

	// As at a boot without them.
	for _, name := range []string{"agent.env", "page.html", "word"} {
		os.Remove(filepath.Join(filepath.Dir(file), name))
	}
	s.files.seek(s.configs.config())
	s.files.read(true)
	is("at the next boot", []string{"A=2", "configs.page=moved", "secrets.word=hash"})
	if faults := s.files.plan().Faults; len(faults) > 0 {
		t.Errorf("faults: %v", faults)
	}
	if err := s.ask("update", file); err == nil || !strings.Contains(err.Error(), "services.agent.env_file: there is no file "+filepath.Dir(file)+"/agent.env") {
		t.Errorf("update without the files: %v", err)
	}
	s.must(t, "delete", file)
	if entries, _ := os.ReadDir(s.store.Dir); len(entries) > 0 {
		t.Errorf("after delete there is %v", entries)
	}
}

// A profile is switched on by a variable of the config.
func TestProfileOfSystemService(t *testing.T) {
	s := withRegistry(t)
	file, _ := s.mixed(t)
	s.must(t, "enable", file)
	if s.files.service("debug").Name != "" {
		t.Error("debug is there without its profile")
	}
	s.files.mu.Lock()
	s.files.from.Env = map[string]string{"COMPOSE_PROFILES": "debug"}
	s.files.mu.Unlock()
	s.files.reload(s.supervisor)
	if s.files.service("debug").Name == "" {
		t.Error("debug is not there with its profile")
	}
}

// What is missing beside a file that is read where it lies costs one service.
func TestMissingFileInPlace(t *testing.T) {
	s := withRegistry(t)
	file := filepath.Join(s.dir, "services", "own.yml")
	write(t, file, `services:
  a: {image: ros/ntp, restart: always, secrets: [word], x-ros: {scope: system}}
  b: {image: ros/ntp, restart: always, x-ros: {scope: system}}
secrets: {word: {file: ./word}}
`)
	s.files.reload(s.supervisor)
	faults := s.files.plan().Faults
	want := file + ":4: secrets.word.file: there is no file " + filepath.Dir(file) + "/word"
	if len(faults) != 1 || faults[0].Service != "a" || faults[0].Error != want {
		t.Errorf("faults %+v, want %s", faults, want)
	}
	if s.files.service("b").Name == "" {
		t.Error("the other service is lost")
	}
	write(t, filepath.Join(filepath.Dir(file), "word"), "hush")
	s.files.reload(s.supervisor)
	if got := s.saw("a"); len(got) != 1 || got[0] != "secrets.word=hush" {
		t.Errorf("with the file: %v", got)
	}
	hash := compose.DefinitionHash(s.files.service("a"))
	write(t, filepath.Join(filepath.Dir(file), "word"), "hash")
	s.files.reload(s.supervisor)
	if compose.DefinitionHash(s.files.service("a")) == hash {
		t.Error("another secret makes no other container")
	}
}

// A file that came from an address names none.
func TestSystemServiceOfAddressIsAlone(t *testing.T) {
	s := withRegistry(t)
	s.site["http://x/a.yml"] = "services: {a: {image: ros/ntp, env_file: /etc/passwd, x-ros: {scope: system}}}"
	want := `cannot enable http://x/a.yml: http://x/a.yml:1: services.a.env_file: is not supported in scope "system": the file came from an address, alone: there are no files beside it`
	if err := s.ask("enable", "http://x/a.yml"); err == nil || err.Error() != want {
		t.Errorf("enable: %v, want %s", err, want)
	}
}

// What the file takes from other files counts as it was when it was enabled.
func TestWhatTheFileTakesFromOthersIsKept(t *testing.T) {
	s := withRegistry(t)
	dir := t.TempDir()
	beside := func(name, text string) { write(t, filepath.Join(dir, name), text) }
	file := filepath.Join(dir, "shop.yml")
	beside("shop.yml", "include: [more.yml]\nservices:\n  agent: {extends: {file: base.yml, service: base}, volumes: ['./data:/data']}\n")
	beside("base.yml", "services: {base: {image: ros/ntp, restart: always, env_file: agent.env, x-ros: {scope: system}}}\n")
	beside("more.yml", "services:\n  extra: {image: ros/ntp, command: [one], restart: always, x-ros: {scope: system}}\n  web: {image: 'test/busybox:1', command: [/busybox, sleep, '1000'], stop_signal: SIGKILL, restart: always}\n")
	beside("agent.env", "A=1\n")
	s.must(t, "enable", file)
	if got, want := s.states(), "agent running, docker healthy, extra running, ntp healthy, web running"; got != want {
		t.Errorf("after enable: %s, want %s", got, want)
	}
	is := func(when, env, command string) {
		t.Helper()
		if got := s.saw("agent"); len(got) != 1 || got[0] != env {
			t.Errorf("%s the agent has %q, want %s", when, got, env)
		}
		if got := s.files.service("extra").Command; len(got) != 1 || got[0] != command {
			t.Errorf("%s extra runs %q, want %s", when, got, command)
		}
	}
	is("enabled,", "A=1", "one")
	if got := s.files.service("agent").Mounts; len(got) != 1 || got[0].Source != dir+"/data" {
		t.Errorf("its volume is %+v", got)
	}
	s.must(t, "update", file)
	if last := s.steps[len(s.steps)-1]; last != file+" has not changed" {
		t.Errorf("update with nothing new: %q", s.steps)
	}

	beside("more.yml", "services:\n  extra: {image: ros/ntp, command: [two], restart: always, x-ros: {scope: system}}\n  web: {image: 'test/busybox:1', command: [/busybox, sleep, '1000'], stop_signal: SIGKILL, restart: always}\n")
	beside("agent.env", "A=2\n")
	s.files.reload(s.supervisor)
	is("changed on the disk,", "A=1", "one")
	s.must(t, "update", file)
	is("updated,", "A=2", "two")
	for _, line := range []string{"agent: what its file names, or a variable, has changed", "extra: what its file names, or a variable, has changed"} {
		if !slices.Contains(s.steps, line) {
			t.Errorf("update says %q, want %q", s.steps, line)
		}
	}

	// As at a boot without them.
	for _, name := range []string{"shop.yml", "base.yml", "more.yml", "agent.env"} {
		os.Remove(filepath.Join(dir, name))
	}
	s.files.projects.load = func(context.Context, project.Request) (project.Result, error) {
		t.Error("the program is asked about a file that is enabled")
		return project.Result{}, nil
	}
	s.files.seek(s.configs.config())
	s.files.read(true)
	is("at the next boot,", "A=2", "two")
	if faults := s.files.plan().Faults; len(faults) > 0 {
		t.Errorf("faults: %v", faults)
	}
}

// A fault in an included file stops nothing that runs, and costs no other file.
func TestFaultInAnIncludedFile(t *testing.T) {
	s := withRegistry(t)
	dir := filepath.Join(s.dir, "services")
	write(t, filepath.Join(dir, "own.yml"), "include: [more/more.yml]\nservices: {a: {image: ros/ntp, restart: always, x-ros: {scope: system}}}\n")
	more := filepath.Join(dir, "more", "more.yml")
	write(t, more, "services: {b: {image: ros/ntp, restart: always, x-ros: {scope: system}}}\n")
	s.files.reload(s.supervisor)
	for _, name := range []string{"a", "b"} {
		if _, err := s.supervisor.Do(t.Context(), name, supervise.Up, supervise.Options{Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
	write(t, more, "services:\n  b: {image: ros/ntp, restart: allways, x-ros: {scope: system}}\n")
	s.files.reload(s.supervisor)
	faults := s.files.plan().Faults
	want := more + `:2: services.b.restart: "allways" is not supported (did you mean "always"?)`
	if len(faults) != 1 || faults[0].Service != "b" || faults[0].Error != want {
		t.Errorf("faults %+v, want %s", faults, want)
	}
	b, err := s.supervisor.Service("b")
	if err != nil || !b.Up() {
		t.Errorf("b is %s, %v", b.State, err)
	}
	if s.files.service("a").Name == "" || s.files.service("ntp").Name == "" {
		t.Error("others are lost")
	}
}

// A file of an address may extend what is in it, and nothing else.
func TestExtendsInAFileOfAnAddress(t *testing.T) {
	s := withRegistry(t)
	const address, services = "http://x/a.yml", "services:\n  base: {image: ros/ntp, restart: always, x-ros: {scope: system}}\n"
	s.site[address] = services + "  a: {extends: {file: /etc/base.yml, service: base}, x-ros: {scope: system}}\n"
	want := address + `:3: services.a.extends.file: is not supported in scope "system": ` + compose.Alone
	if err := s.ask("enable", address); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("enable: %v, want %s", err, want)
	}
	s.site[address] = services + "  a: {extends: base, volumes: ['./data:/data']}\n"
	s.must(t, "enable", address)
	if got := s.files.service("a").Mounts; len(got) != 1 || got[0].Source != filepath.Join(s.store.Home(address, ""), "data") {
		t.Errorf("its volume is %+v", got)
	}
}

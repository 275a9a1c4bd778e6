package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/supervise"
)

// rack has images; what is at the registry can be pulled.
type rack struct{ here, registry map[string]string }

func (s *rack) Get(_ context.Context, name string) (imagestore.Image, error) {
	if digest := s.here[name]; digest != "" {
		return imagestore.Image{Name: name, Digest: digest}, nil
	}
	return imagestore.Image{}, &imagestore.MissingError{Image: name}
}

func (s *rack) bring(ctx context.Context, _, name string, _ sayer) (imagestore.Image, error) {
	if s.registry[name] == "" {
		return imagestore.Image{}, errors.New("cannot pull image \"" + name + "\": no route to host")
	}
	s.here[name] = s.registry[name]
	return s.Get(ctx, name)
}

func (s *rack) Load(context.Context, io.Reader, int64, func(imagestore.Event)) ([]imagestore.Image, error) {
	return []imagestore.Image{{Name: "docker.io/team/console-tar:1", Digest: "sha256:7a"}}, nil
}

// hall is a station with consoles.
type hall struct {
	*station
	*consoles
	broken map[string]string // service: why it gives no shell
}

func newHall(t *testing.T) *hall {
	t.Helper()
	s := newStation(t)
	h := &hall{station: s, broken: map[string]string{}}
	cat := filepath.Join(s.dir, "catalog")
	for name, text := range map[string]string{
		"index.yml":    "consoles: [debian]\n",
		"d/debian.yml": "services:\n  console:\n    image: debian:13\n",
	} {
		path := filepath.Join(cat, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "run/ros"), 0o755); err != nil {
		t.Fatal(err)
	}
	images := &rack{here: map[string]string{}, registry: map[string]string{"debian:13": "sha256:d1", "team/box:1": "sha256:b0"}}
	h.consoles = newConsoles(&consoles{
		root: s.dir, kept: catalog.Store{Dir: filepath.Join(s.dir, "consoles")}, configs: s.configs, files: s.files, supervisor: s.supervisor,
		images: images, bring: images.bring,
		catalog: func() *catalog.Catalog {
			return &catalog.Catalog{Repositories: []catalog.Repository{{Name: "core", URL: cat}}}
		},
		gives: func(_ context.Context, service string) error {
			if why := h.broken[strings.TrimSuffix(service, "-trial")]; why != "" {
				return errors.New(why)
			}
			return nil
		},
		log: s.log0(),
	})
	h.consoles.first(console.Default)
	s.configs.driver.Appliers["console"] = h.consoles.applier()
	return h
}

func (s *station) log0() *slog.Logger { return s.enabler.log }

func (h *hall) ask(verb, name string) error {
	return h.consoles.Do(context.Background(), verb, control.ConsoleName{Name: name}, func(control.ImageStep) {})
}

// looks is all that a switch could change.
func (h *hall) looks() string {
	var b strings.Builder
	for _, c := range h.consoles.List(context.Background(), false) {
		b.WriteString(c.State + " " + c.Name + ", ")
	}
	for _, s := range h.station.supervisor.Services() {
		if s.State != supervise.Stopping { // it is about to be none
			b.WriteString(s.Name + " " + string(s.State) + ", ")
		}
	}
	return b.String() + "config " + h.configs0().config().Rancher.Console
}

func (h *hall) configs0() *configurator { return h.station.configs }

const asBooted = "current default, available debian, docker healthy, ntp healthy, config default"

func TestConsoleSwitch(t *testing.T) {
	h := newHall(t)
	if got := h.looks(); got != asBooted {
		t.Fatalf("at first %s", got)
	}
	if err := h.ask("switch", "debian"); err != nil {
		t.Fatal(err)
	}
	want := "disabled default, current debian, console-debian running, docker healthy, ntp healthy, config debian"
	if got := h.looks(); got != want {
		t.Errorf("in debian: %s\nwant %s", got, want)
	}
	s := h.station.files.service("console-debian")
	if s.Image != "debian:13@sha256:d1" || !s.Persistent || !h.isConsole(s) {
		t.Errorf("the service is %+v", s)
	}
	if err := h.ask("switch", "team/box:1"); err != nil {
		t.Fatal(err)
	}
	want = "disabled default, current box-1, disabled debian, console-box-1 running, docker healthy, ntp healthy, config box-1"
	if got := h.looks(); got != want {
		t.Errorf("in box: %s\nwant %s", got, want)
	}
	if err := h.ask("reset", ""); err != nil {
		t.Fatal(err)
	}
	if err := h.ask("switch", console.Default); err != nil {
		t.Fatal(err)
	}
	want = "current default, disabled box-1, disabled debian, docker healthy, ntp healthy, config default"
	if got := h.looks(); got != want {
		t.Errorf("back: %s\nwant %s", got, want)
	}
}

func TestConsoleRefused(t *testing.T) {
	h := newHall(t)
	h.broken["console-debian"] = "it ends with 127: not found"
	for name, want := range map[string]string{
		"debain":           `cannot switch to console debain: no catalog has "debain" (did you mean "debian"?); an image has a tag: debain:latest`,
		"debian":           "cannot switch to console debian: the image gives no shell: it ends with 127: not found",
		"none/image:1":     `cannot switch to console none/image:1: cannot pull image "none/image:1": no route to host`,
		"/nowhere/box.tar": "cannot switch to console /nowhere/box.tar: open /nowhere/box.tar: no such file or directory",
		"x/default:latest": `cannot switch to console x/default:latest: "default" cannot be the name of a console`,
	} {
		if err := h.ask("switch", name); err == nil || err.Error() != want {
			t.Errorf("switch %s: %v\nwant %s", name, err, want)
		}
		if got := h.looks(); got != asBooted {
			t.Errorf("after %s: %s", name, got)
		}
	}
	err := h.consoles.Do(t.Context(), "switch", control.ConsoleName{Name: "team/box:1", NoPull: true}, func(control.ImageStep) {})
	want := `cannot switch to console team/box:1: image "team/box:1" is not on this machine, and --no-pull keeps it from being fetched`
	if err == nil || err.Error() != want {
		t.Errorf("--no-pull: %v\nwant %s", err, want)
	}
}

// A newer image that is broken does not take the place of the one in use.
func TestConsoleOfABrokenNewerImage(t *testing.T) {
	h := newHall(t)
	if err := h.ask("switch", "debian"); err != nil {
		t.Fatal(err)
	}
	before := h.looks()
	h.images0().here["debian:13"] = "sha256:d2"
	h.broken["console-debian"] = "broken"
	if err := h.ask("switch", "debian"); err == nil {
		t.Error("a broken image was taken")
	}
	if got := h.looks(); got != before {
		t.Errorf("the machine is %s\nwas %s", got, before)
	}
	if s := h.station.files.service("console-debian"); s.Image != "debian:13@sha256:d1" {
		t.Errorf("the image is %s", s.Image)
	}
	delete(h.broken, "console-debian")
	if err := h.ask("switch", "debian"); err != nil {
		t.Fatal(err)
	}
	if s := h.station.files.service("console-debian"); s.Image != "debian:13@sha256:d2" {
		t.Errorf("the image is %s", s.Image)
	}
}

func (h *hall) images0() *rack { return h.consoles.images.(*rack) }

// A power cut while a console is tried out leaves no console behind.
func TestConsoleTrialCutShort(t *testing.T) {
	h := newHall(t)
	if err := h.ask("switch", "debian"); err != nil {
		t.Fatal(err)
	}
	kept, err := h.kept.Get("debian")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"debian-trial", "my-trial"} {
		f := found{name: name, origin: kept.Origin, image: "debian:13"}
		if name == "my-trial" { // somebody's own
			f.origin = "/opt/my-trial.yml"
		}
		if err := h.keep(f, "debian:13@sha256:d1", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.recover(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range h.kept.All() {
		names = append(names, c.Key)
	}
	if got := strings.Join(names, " "); got != "debian my-trial" {
		t.Errorf("there are %s", got)
	}
}

// A rosd that ends between letting logins go on in another console and writing
// that into the config leaves them there. The next rosd does as the config says,
// and a second switch works.
func TestConsoleSwitchCutShort(t *testing.T) {
	h := newHall(t)
	if _, err := h.take(t.Context(), control.ConsoleName{Name: "debian"}, func(control.ImageStep) {}); err != nil {
		t.Fatal(err)
	}
	if err := h.swap(t.Context(), "debian"); err != nil {
		t.Fatal(err)
	}
	h.nextRosd()
	if now, _ := h.consoles.current(); now != "debian" {
		t.Errorf("the next rosd believes that logins are in %s", now)
	}
	if h.provision(t.Context()) {
		t.Error("a console is missing")
	}
	if got, want := h.looks(), "current default, disabled debian, docker healthy, ntp healthy, config default"; got != want {
		t.Errorf("after the next rosd: %s\nwant %s", got, want)
	}
	if err := h.ask("switch", "debian"); err != nil {
		t.Fatal(err)
	}
	if got, want := h.looks(), "disabled default, current debian, console-debian running, docker healthy, ntp healthy, config debian"; got != want {
		t.Errorf("after a second switch: %s\nwant %s", got, want)
	}
}

// TestConsoleLeftRunning is the same, when the console had been started and
// logins were not in it yet.
func TestConsoleLeftRunning(t *testing.T) {
	h := newHall(t)
	if _, err := h.take(t.Context(), control.ConsoleName{Name: "debian"}, func(control.ImageStep) {}); err != nil {
		t.Fatal(err)
	}
	next := supervise.New(supervise.Config{Runtime: &room{left: []string{"console-debian", "console-debian-trial", "console-of-somebody"}}, Dir: t.TempDir()})
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- next.Run(ctx, nil) }()
	defer func() { cancel(); <-ended }()
	h.consoles.supervisor = next
	go h.consoles.run(ctx)
	names := func() (list []string) {
		for _, s := range next.Services() {
			list = append(list, s.Name)
		}
		return list
	}
	<-next.Adopted()
	for began := time.Now(); len(names()) > 1 && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
	}
	if got := names(); !slices.Equal(got, []string{"console-of-somebody"}) {
		t.Errorf("there runs %q", got)
	}
}

// cutOff waits for the end of its context, and not for ever.
func cutOff(t *testing.T, ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Error("nobody has ended it")
	}
	return ctx.Err()
}

// An operator does not wait for the console that the config names to be fetched.
func TestConsoleSwitchWhileAnotherIsFetched(t *testing.T) {
	h := newHall(t)
	began, bring := make(chan struct{}), h.consoles.bring
	h.consoles.bring = func(ctx context.Context, repo, name string, say sayer) (imagestore.Image, error) {
		if name != "debian:13" {
			return bring(ctx, repo, name, say)
		}
		close(began)
		return imagestore.Image{}, cutOff(t, ctx)
	}
	if _, err := h.configs0().edit(t.Context(), setting{[]string{"rancher", "console"}, []byte("debian")}); err != nil {
		t.Fatal(err)
	}
	missing := make(chan bool)
	go func() { missing <- h.consoles.provision(context.Background()) }()
	<-began
	if err := h.ask("switch", "team/box:1"); err != nil {
		t.Error(err)
	}
	if !<-missing {
		t.Error("what was cut off is not missing")
	}
	if got := h.consoles.warnings(); len(got) > 0 {
		t.Errorf("warnings of what was cut off: %q", got)
	}
	if got, want := h.looks(), "disabled default, current box-1, available debian, console-box-1 running, docker healthy, ntp healthy, config box-1"; got != want {
		t.Errorf("afterwards: %s\nwant %s", got, want)
	}
}

// nextRosd is the consoles as a rosd of the same boot finds them.
func (h *hall) nextRosd() {
	c := h.consoles
	h.consoles = newConsoles(&consoles{
		root: c.root, kept: c.kept, configs: c.configs, files: c.files, supervisor: c.supervisor, images: c.images, bring: c.bring,
		catalog: c.catalog, gives: c.gives, log: c.log,
	})
	h.first(h.configs0().config().Rancher.Console)
	h.configs0().driver.Appliers["console"] = h.applier()
}

func TestConsoleEnable(t *testing.T) {
	h := newHall(t)
	archive := filepath.Join(h.dir, "box.tar")
	if err := os.WriteFile(archive, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.ask("enable", archive); err != nil {
		t.Fatal(err)
	}
	want := "current default, enabled tar-1, available debian, docker healthy, ntp healthy, config tar-1"
	if got := h.looks(); got != want {
		t.Errorf("enabled: %s\nwant %s", got, want)
	}
	// Another rosd of the same boot changes nothing; the next boot does.
	for _, boot := range []struct{ name, want string }{{"rosd anew", console.Default}, {"reboot", "tar-1"}} {
		if boot.name == "reboot" {
			os.Remove(filepath.Join(h.dir, consoleNote))
		}
		again := newConsoles(&consoles{root: h.dir, kept: h.kept, files: h.station.files, supervisor: h.station.supervisor, log: h.station.log0()})
		again.first("tar-1")
		if now, _ := again.current(); now != boot.want {
			t.Errorf("%s: logins are in %s, want %s", boot.name, now, boot.want)
		}
	}
}

// TestConsoleOfTheConfig is rancher.console as an operator sets it, also before
// the console is on the machine.
func TestConsoleOfTheConfig(t *testing.T) {
	h := newHall(t)
	set := func(text string) []control.ApplyResult {
		t.Helper()
		sum, err := h.configs0().store.Sum()
		if err != nil {
			t.Fatal(err)
		}
		applied, err := h.configs0().Write(t.Context(), control.ConfigWrite{Text: []byte("#cloud-config\n" + text), Was: sum})
		if err != nil {
			t.Fatal(err)
		}
		return applied.Results
	}
	set("rancher: {console: debian, force_console_rebuild: true}\n")
	if got, want := h.looks(), "current default, available debian, docker healthy, ntp healthy, config debian"; got != want {
		t.Errorf("before it is fetched: %s\nwant %s", got, want)
	}
	if h.consoles.provision(t.Context()) {
		t.Fatalf("it is missing: %s", h.missing)
	}
	running := "disabled default, current debian, console-debian running, docker healthy, ntp healthy, config debian"
	if got := h.looks(); got != running {
		t.Errorf("fetched: %s\nwant %s", got, running)
	}
	if s := h.station.files.service("console-debian"); s.Persistent {
		t.Error("what is written stays, in spite of rancher.force_console_rebuild")
	}
	set("rancher: {console: default}\n")
	if got, want := h.looks(), "current default, disabled debian, docker healthy, ntp healthy, config default"; got != want {
		t.Errorf("taken back: %s\nwant %s", got, want)
	}
	results := set("rancher: {console: debian}\n")
	if got := h.looks(); got != running {
		t.Errorf("set again: %s\nwant %s", got, running)
	}
	if diff := cmp.Diff([]string{"logins are in console debian"}, results[0].Did); diff != "" {
		t.Errorf("did (-want +got):\n%s", diff)
	}
	for _, anew := range []bool{true, false} {
		results = set(fmt.Sprintf("rancher: {console: debian, force_console_rebuild: %t}\n", anew))
		if s := h.station.files.service("console-debian"); s.Persistent == anew {
			t.Errorf("force_console_rebuild %t while it runs: what is written stays: %t", anew, s.Persistent)
		}
		if diff := cmp.Diff([]string{"made anew console-debian"}, results[0].Did); diff != "" {
			t.Errorf("force_console_rebuild %t did (-want +got):\n%s", anew, diff)
		}
	}
	set("rancher: {console: ubuntu}\n")
	if !h.consoles.provision(t.Context()) {
		t.Error("a console that nobody has is there")
	}
	if diff := cmp.Diff([]string{`rancher.console: logins are in console debian: no catalog has "ubuntu"; there are: debian, default; an image has a tag: ubuntu:latest`}, h.consoles.warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestConsoleThatDoesNotRun(t *testing.T) {
	h := newHall(t)
	if err := h.ask("switch", "debian"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.station.supervisor.Do(t.Context(), "console-debian", supervise.Stop, supervise.Options{Wait: true}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.consoles.warnings(), "\n"); !strings.HasPrefix(got, "console debian is stopped: logins are in the default console") {
		t.Errorf("warnings: %s", got)
	}
	if _, err := h.consoles.Enter(t.Context(), 0, control.Enter{}); err == nil || !strings.HasPrefix(err.Error(), "service console-debian is stopped") {
		t.Errorf("Enter = %v", err)
	}
}

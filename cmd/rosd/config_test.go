package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/control/server"
	"github.com/rosteros/ros/internal/supervise"
)

var _ server.Config = (*configurator)(nil)

// box is a machine with one applier: it keeps the host name, whose change
// restarts network, and fails for the name "bad".
type box struct {
	*configurator
	dir string // of the config
	log strings.Builder

	mu       sync.Mutex
	hostname string
	restarts []string
}

func (b *box) name() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hostname
}

func (b *box) restarted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.restarts)
}

func (b *box) Restart(_ context.Context, service string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.restarts = append(b.restarts, service)
	return nil
}
func (*box) Signal(context.Context, string, string) error { return nil }
func (*box) Files(string) (string, []apply.Bind)          { return "", nil }

func (b *box) setHostname(_ context.Context, _ *apply.Host, cfg *config.Config) (apply.Outcome, error) {
	if cfg.Hostname == "bad" {
		return apply.Outcome{}, errors.New(`cannot set host name "bad": invalid argument`)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if cfg.Hostname == b.hostname {
		return apply.Outcome{}, nil
	}
	b.hostname = cfg.Hostname
	return apply.Outcome{Did: []string{"host name is now " + cfg.Hostname}, Restart: []string{"network"}}, nil
}

// newBox is a rosd before start; boot is the boot it belongs to.
func newBox(t *testing.T, dir, boot string) *box {
	t.Helper()
	b := &box{dir: dir}
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	store := configstore.New(dir)
	started := time.Now()
	b.configurator = &configurator{
		store:    store,
		files:    config.Files{Dir: store.FileDir(), File: store.File()},
		services: newServiceFiles("", "", log),
		boot:     boot,
		uptime:   func() float64 { return time.Since(started).Seconds() },
		log:      log,
		applied:  make(chan struct{}, 1),
		driver: &apply.Driver{
			Host:     &apply.Host{Root: t.TempDir(), Services: b, Log: log},
			Appliers: map[string]apply.Applier{"hostname": b.setHostname},
			Bound:    time.Minute,
		},
	}
	return b
}

func (b *box) put(t *testing.T, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(b.dir, 0o700), os.WriteFile(b.store.File(), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (b *box) write(t *testing.T, text string, seconds int) control.ConfigApplied {
	t.Helper()
	was, err := b.store.Sum()
	if err != nil {
		t.Fatal(err)
	}
	applied, err := b.Write(t.Context(), control.ConfigWrite{Text: []byte(text), Was: was, TrySeconds: seconds})
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

func TestChangeTakesEffect(t *testing.T) {
	b := newBox(t, t.TempDir(), "b1")
	b.put(t, "hostname: one\n")
	b.start(t.Context())
	if b.name() != "one" || len(b.restarted()) > 0 {
		t.Errorf("after the start the name is %q, restarted %q; want one and nothing: no service runs yet", b.name(), b.restarted())
	}
	got := b.write(t, "hostname: two\nrancher: {state: {dev: LABEL=X}}\n", 0)
	want := control.ConfigApplied{Results: []control.ApplyResult{
		{Applier: "hostname", Keys: []string{"hostname"}, Did: []string{"host name is now two", "restarted network"}},
		{Applier: "kernel", Keys: []string{"rancher.state.dev"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Write() (-want +got):\n%s", diff)
	}
	again, err := b.Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(control.ConfigApplied{}, again); diff != "" {
		t.Errorf("the second time it did something (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"network"}, b.restarted()); diff != "" {
		t.Errorf("restarted (-want +got):\n%s", diff)
	}
	_, err = b.Write(t.Context(), control.ConfigWrite{Text: []byte("x"), Was: "stale"})
	var conflict *configstore.ConflictError
	if !errors.As(err, &conflict) {
		t.Errorf("Write() over a file that has changed: %v", err)
	}
}

// TestWarningsAreCurrent goes from one fault to the next: each is named as long
// as it is there, and all else counts.
func TestWarningsAreCurrent(t *testing.T) {
	b := newBox(t, t.TempDir(), "b1")
	b.standing = []string{"the OEM partition is gone"}
	b.put(t, "hostname: one\nrancher: [\n")
	if err := errors.Join(os.Mkdir(b.store.FileDir(), 0o700), os.WriteFile(filepath.Join(b.store.FileDir(), "a.yml"), []byte("hostname: fragment\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.start(t.Context())
	if b.name() != "fragment" {
		t.Errorf("host name is %q, want that of the layer below the file that cannot be read", b.name())
	}
	check := func(want ...string) {
		t.Helper()
		got := b.currentWarnings()
		if len(got) != len(want) {
			t.Errorf("warnings are %q, want %q", got, want)
			return
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("warning %q does not say %q", got[i], want[i])
			}
		}
	}
	check("the OEM partition is gone", b.store.File()+":")
	b.keep()
	if b.store.LastGood() != nil {
		t.Error("a file that cannot be read was kept as the last good config")
	}
	b.write(t, "hostname: bad\n", 0)
	check("the OEM partition is gone", `cannot set host name "bad": invalid argument`)
	b.keep()
	if b.store.LastGood() != nil {
		t.Error("what could not be applied was kept as the last good config")
	}
	b.write(t, "hostname: good\nhostnaem: typo\n", 0)
	check("the OEM partition is gone", "hostnaem")
	b.keep()
	if b.store.LastGood() == nil {
		t.Error("a config with a key too many was not kept")
	}
	b.write(t, "hostname: good\n", 0)
	check("the OEM partition is gone")
	if n := strings.Count(b.log.String(), "the OEM partition is gone"); n != 1 {
		t.Errorf("what stays wrong stands %d times in the log, want once", n)
	}
}

func TestWarningsOnTheConsole(t *testing.T) {
	b := newBox(t, t.TempDir(), "one")
	var console strings.Builder
	b.console = &console
	b.put(t, "hostname: [a]\n")
	b.start(t.Context())
	b.start(t.Context()) // what is said already is not said again
	if got, want := strings.Count(console.String(), "<27>ros: config: "+b.store.File()+":1"), 1; got != want || strings.Count(console.String(), "\n") != want {
		t.Errorf("the console has %q, want one line about line 1", console.String())
	}
	console.Reset()
	b.announce(strings.Split("abcdefgh", ""))
	if want := "<27>ros: config: e\n<27>ros: config: 3 more warnings: ros status shows them\n"; !strings.HasSuffix(console.String(), want) {
		t.Errorf("many warnings: the console has %q, want it to end in %q", console.String(), want)
	}
}

func TestTrialThatNobodyConfirms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, t.TempDir(), "b1")
		b.put(t, "hostname: one\n")
		b.start(t.Context())
		applied := b.write(t, "hostname: two\n", 60)
		if until := time.Now().Add(time.Minute); applied.Trial == nil || !applied.Trial.Until.Equal(until) || !b.View(true).Pending.Until.Equal(until) {
			t.Errorf("trial is %v, want until %v", applied.Trial, until)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if b.name() != "two" {
			t.Errorf("after 59 s the name is %q, want two", b.name())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if b.name() != "one" || b.View(true).Pending != nil {
			t.Errorf("after a minute the name is %q, on trial is %v", b.name(), b.View(true).Pending)
		}
		if diff := cmp.Diff([]string{"network", "network"}, b.restarted()); diff != "" {
			t.Errorf("restarted (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{unconfirmed}, b.currentWarnings()); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
		b.write(t, "hostname: three\n", 0)
		if got := b.currentWarnings(); len(got) > 0 {
			t.Errorf("after the next change it is still said: %q", got)
		}
	})
}

func TestTrialThatIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, t.TempDir(), "b1")
		b.start(t.Context())
		b.write(t, "hostname: two\n", 60)
		if _, err := b.Confirm(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Another trial has its own time.
		time.Sleep(40 * time.Second)
		b.write(t, "hostname: three\n", 60)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if b.name() != "three" {
			t.Errorf("host name is %q, want three", b.name())
		}
		if _, err := b.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b.name() != "two" || b.store.Trial() != nil {
			t.Errorf("rolled back, the name is %q, want that from before the trial", b.name())
		}
		time.Sleep(time.Hour)
		if _, err := b.Confirm(t.Context()); err == nil {
			t.Error("what was rolled back could be confirmed")
		}
	})
}

func TestTrialAndTheNextRosd(t *testing.T) {
	for _, tt := range []struct {
		name, boot string
		uptime     float64
		want       string
		warning    string
		later      string // a minute after
	}{
		{name: "rosd is killed", boot: "b1", uptime: 20, want: "two", later: "one"},
		{name: "rosd is killed and the time is over", boot: "b1", uptime: 100, want: "one", warning: unconfirmed, later: "one"},
		{name: "the machine is reset", boot: "b2", uptime: 5, want: "one", later: "one",
			warning: "the change of the config that was on trial has been taken back: nobody confirmed it before the machine went down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				b := newBox(t, dir, "b1")
				b.put(t, "hostname: one\n")
				b.start(t.Context())
				b.write(t, "hostname: two\n", 60)
				b.revert.Stop() // as the kernel does

				next := newBox(t, dir, tt.boot)
				started := time.Now()
				next.uptime = func() float64 { return tt.uptime + time.Since(started).Seconds() }
				next.start(t.Context())
				if next.name() != tt.want {
					t.Errorf("host name is %q, want %q", next.name(), tt.want)
				}
				if got := strings.Join(next.currentWarnings(), "\n"); got != tt.warning {
					t.Errorf("warnings are %q, want %q", got, tt.warning)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if next.name() != tt.later {
					t.Errorf("a minute later the name is %q, want %q", next.name(), tt.later)
				}
			})
		})
	}
}

func TestRollback(t *testing.T) {
	b := newBox(t, t.TempDir(), "b1")
	b.put(t, "hostname: one\n")
	b.start(t.Context())
	if _, err := b.Rollback(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "there is no last good config yet") {
		t.Errorf("Rollback() error = %v", err)
	}
	b.keep()
	b.write(t, "hostname: two\n", 0)
	applied, err := b.Rollback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := control.ConfigApplied{Results: []control.ApplyResult{
		{Applier: "hostname", Keys: []string{"hostname"}, Did: []string{"host name is now one", "restarted network"}},
	}}
	if diff := cmp.Diff(want, applied); diff != "" {
		t.Errorf("Rollback() (-want +got):\n%s", diff)
	}
}

// TestDefaultsAreNoReasonToKeepTheConfig: what was not looked at is not good.
func TestDefaultsAreNoReasonToKeepTheConfig(t *testing.T) {
	b := newBox(t, t.TempDir(), "b1")
	b.put(t, "hostname: broken\n")
	b.files = config.Files{}
	b.start(t.Context())
	b.keep()
	if b.name() != "" || b.store.LastGood() != nil {
		t.Errorf("host name is %q, last good %v; want neither", b.name(), b.store.LastGood())
	}
}

func TestDatasourceInput(t *testing.T) {
	b := newBox(t, t.TempDir(), "b1")
	b.put(t, "rancher: {cloud_init: {datasources: [ec2, 'url:http://user:secret@host/'], imdsv1: true, timeout: 20}, network: {http_proxy: 'http://p:3128', https_proxy: 'http://q:3128', no_proxy: .test}}\n")
	b.start(t.Context())
	path := b.driver.Host.Path("run/ros/config/datasource/datasource.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"datasources":["ec2","url:http://user:secret@host/"],"imdsv1":true,"timeout":20,"http_proxy":"http://p:3128","https_proxy":"http://q:3128","no_proxy":".test"}`; string(text) != want {
		t.Errorf("%s is %s, want %s", path, text, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v; want 0600", info.Mode(), err)
	}
}

func TestFilesOfAServiceThatStarts(t *testing.T) {
	b := newBox(t, t.TempDir(), "b1")
	b.put(t, "write_files: [{path: /etc/motd, content: hello, container: cron}, {path: /no/motd, content: hello, container: cron}]\n")
	b.start(t.Context())
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "no"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.fill("cron", root)
	if text, err := os.ReadFile(filepath.Join(root, "etc/motd")); err != nil || string(text) != "hello" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if got := strings.Join(b.currentWarnings(), "\n"); !strings.Contains(got, "/no/motd") {
		t.Errorf("warnings are %q, want the file that could not be written", got)
	}
	if _, err := b.Apply(t.Context()); err != nil || len(b.currentWarnings()) > 0 {
		t.Errorf("the next application: %v, warnings %q", err, b.currentWarnings())
	}
}

// TestFilesOfAServiceAreForgotten: a service that starts when the config has no
// files any more begins with a fresh root, and what was in the old one is over.
func TestFilesOfAServiceAreForgotten(t *testing.T) {
	b := newBox(t, t.TempDir(), "b1")
	b.driver.Appliers["files"] = apply.Files
	b.put(t, "write_files: [{path: /etc/motd, content: hello, container: cron}]\n")
	b.start(t.Context())
	b.fill("cron", t.TempDir())
	record := b.driver.Host.Path("run/ros/applied/files.json")
	if text, err := os.ReadFile(record); err != nil || !strings.Contains(string(text), "cron:/etc/motd") {
		t.Fatalf("record: %s, %v", text, err)
	}
	b.put(t, "{}\n") // while the service is down
	if _, err := b.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, "etc"), 0o755), os.WriteFile(filepath.Join(root, "etc/motd"), []byte("the image's"), 0o644)); err != nil {
		t.Fatal(err)
	}
	b.fill("cron", root)
	if text, err := os.ReadFile(record); err != nil || strings.TrimSpace(string(text)) != "{}" {
		t.Errorf("still remembered: %s, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(root, "etc/motd")); err != nil || string(text) != "the image's" {
		t.Errorf("the image's own file is %q, %v", text, err)
	}
}

// TestEveryApplierHasWork holds the table of config and the work equal.
func TestEveryApplierHasWork(t *testing.T) {
	idle := map[string]bool{"kernel": true, "use": true} // nothing to do when a key changes
	files := newServiceFiles("", "", slog.New(slog.DiscardHandler))
	have := appliers(files, supervise.New(supervise.Config{}), newEngineChoice(slog.New(slog.DiscardHandler)).applier(files, nil), newConsoles(&consoles{}), new(slog.LevelVar), nil)
	known := map[string]bool{}
	for _, a := range config.Appliers {
		known[a.Name] = true
		if (have[a.Name] == nil) != idle[a.Name] {
			t.Errorf("applier %q: has work: %v, want %v", a.Name, have[a.Name] != nil, !idle[a.Name])
		}
	}
	for name := range have {
		if !known[name] {
			t.Errorf("applier %q is not in config.Appliers", name)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/slots"
)

func TestMain(m *testing.M) {
	cli.HelpPrinter = printHelp
	os.Exit(m.Run())
}

// noon is now, in every test.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A fakeRosd answers the control routes with what its fields say and
// remembers what it was asked to do.
type fakeRosd struct {
	status   control.Status
	services []control.Service
	spec     string
	plan     control.Plan
	boot     control.Boot
	events   []control.Event
	config   control.ConfigView
	preview  control.ConfigPreview
	applied  control.ConfigApplied      // what every change of the config answers
	refuses  *control.Error             // if set, what every change of the config is refused with
	after    map[string]control.Service // what becomes of a service that is acted on
	os       slots.Status               // what osupdate status says
	work     map[string]string          // verb of osupdate, also with its options: the events that it answers
	catalog  []control.CatalogEntry
	consoles []control.Console
	steps    []control.ImageStep // what a verb about catalogs says
	stats    []control.Stats
	engines  []control.EngineEntry
	boxes    []control.Container
	tls      control.TLSMade

	engineLog []control.LogLine
	missing   []string // services without an image

	mu    sync.Mutex
	asked []string // "stop ntp {"timeout_seconds":3,"wait":true}"
	wrote string   // the last cloud-config.yml
}

func (f *fakeRosd) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.status) })
	mux.HandleFunc("GET /v1/services", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.services) })
	mux.HandleFunc("GET /v1/containers", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.boxes) })
	mux.HandleFunc("GET /v1/plan", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.plan) })
	mux.HandleFunc("POST /v1/config/preview", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.preview) })
	mux.HandleFunc("GET /v1/boot", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.boot) })
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, _ *http.Request) {
		f.remember("reload")
		answer(w, 200, f.plan)
	})
	mux.HandleFunc("GET /v1/services/{name}/spec", func(w http.ResponseWriter, r *http.Request) {
		if f.known(w, r.PathValue("name")) {
			io.WriteString(w, f.spec)
		}
	})
	mux.HandleFunc("POST /v1/services/{name}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if !f.known(w, name) {
			return
		}
		body, _ := io.ReadAll(r.Body)
		f.remember(r.PathValue("verb") + " " + name + " " + string(body))
		if s, ok := f.after[name]; ok {
			answer(w, 200, s)
			return
		}
		answer(w, 409, control.Error{Message: fmt.Sprintf("cannot %s service %q: it is stopping", r.PathValue("verb"), name)})
	})
	mux.HandleFunc("GET /v1/config", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.config) })
	mux.HandleFunc("POST /v1/config/{verb}", func(w http.ResponseWriter, r *http.Request) {
		if f.refuses != nil {
			answer(w, 409, f.refuses)
			return
		}
		body, _ := io.ReadAll(r.Body)
		var write control.ConfigWrite
		json.Unmarshal(body, &write)
		f.remember(fmt.Sprintf("config %s try %d was %.8s", r.PathValue("verb"), write.TrySeconds, write.Was))
		f.wrote = string(write.Text)
		answer(w, 200, f.applied)
	})
	mux.HandleFunc("GET /v1/os", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.os) })
	mux.HandleFunc("GET /v1/services/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		f.remember("log " + r.PathValue("name") + " " + r.URL.RawQuery)
		for _, line := range f.engineLog {
			json.NewEncoder(w).Encode(line)
		}
	})
	mux.HandleFunc("GET /v1/catalog", func(w http.ResponseWriter, r *http.Request) {
		f.remember("catalog " + r.URL.RawQuery)
		answer(w, 200, f.catalog)
	})
	mux.HandleFunc("GET /v1/consoles", func(w http.ResponseWriter, r *http.Request) {
		f.remember("consoles " + r.URL.RawQuery)
		answer(w, 200, f.consoles)
	})
	mux.HandleFunc("POST /v1/consoles/{verb}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.remember("consoles " + r.PathValue("verb") + " " + string(body))
		for _, step := range f.steps {
			json.NewEncoder(w).Encode(step)
		}
	})
	mux.HandleFunc("GET /v1/engines", func(w http.ResponseWriter, r *http.Request) {
		f.remember("engines " + r.URL.RawQuery)
		answer(w, 200, f.engines)
	})
	mux.HandleFunc("POST /v1/engines/{verb}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.remember("engine " + r.PathValue("verb") + " " + string(body))
		for _, step := range f.steps {
			json.NewEncoder(w).Encode(step)
		}
	})
	mux.HandleFunc("POST /v1/tls", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.remember("tls " + string(body))
		answer(w, 200, f.tls)
	})
	mux.HandleFunc("GET /v1/stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.stats) })
	mux.HandleFunc("POST /v1/catalog/missing", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.missing) })
	mux.HandleFunc("POST /v1/catalog/{verb}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.remember("catalog " + r.PathValue("verb") + " " + string(body))
		for _, step := range f.steps {
			json.NewEncoder(w).Encode(step)
		}
	})
	mux.HandleFunc("POST /v1/os/{verb}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.remember("os " + r.PathValue("verb") + " " + string(body))
		said, ok := f.work[r.PathValue("verb")+" "+string(body)]
		if !ok {
			said = f.work[r.PathValue("verb")]
		}
		io.WriteString(w, said)
	})
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range f.events {
			json.NewEncoder(w).Encode(e)
			w.(http.Flusher).Flush()
		}
	})
	return mux
}

func (f *fakeRosd) known(w http.ResponseWriter, name string) bool {
	if hasService(f.services, name) {
		return true
	}
	answer(w, 404, control.Error{Message: fmt.Sprintf("no service %q", name)})
	return false
}

func (f *fakeRosd) remember(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, line)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// newApp is ros on a machine of its own in a temporary directory, where rosd
// is the fake, or does not run when the fake is nil.
func newApp(t *testing.T, rosd *fakeRosd) *app {
	t.Helper()
	dir := t.TempDir()
	a := &app{
		stdin:      strings.NewReader(""),
		now:        func() time.Time { return noon },
		getenv:     func(string) string { return "" },
		loc:        time.UTC,
		socket:     filepath.Join(dir, "rosd.sock"),
		initSocket: filepath.Join(dir, "init.sock"),
		logDir:     filepath.Join(dir, "log"),
		release:    filepath.Join(dir, "release.json"),
		bootRecord: filepath.Join(dir, "boot.json"),
		osupdate:   filepath.Join(dir, "osupdate"),

		homes:       filepath.Join(dir, "home"),
		conf:        filepath.Join(dir, "conf"),
		oem:         filepath.Join(dir, "oem-config.yml"),
		kernelLines: []string{filepath.Join(dir, "cmdline")},
	}
	if rosd != nil {
		listener, err := net.Listen("unix", a.socket)
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: rosd.routes()}}
		server.Start()
		t.Cleanup(server.Close)
	}
	return a
}

// A result is all that a run of ros leaves behind.
type result struct {
	out, err string
	code     int
}

// try runs ros with the words of a line, or another program by its first.
func (a *app) try(line string) result {
	return a.tryWords(strings.Fields(line)...)
}

func (a *app) tryWords(words ...string) result {
	var out, err bytes.Buffer
	a.stdout, a.stderr = &out, &err
	code := a.run(context.Background(), words)
	return result{out.String(), err.String(), code}
}

// check compares all that a run left behind; DIR stands for the machine's
// directory.
func check(t *testing.T, a *app, line string, want result) {
	t.Helper()
	got := a.try(line)
	dir := filepath.Dir(a.socket)
	got.out = strings.ReplaceAll(got.out, dir, "DIR")
	got.err = strings.ReplaceAll(got.err, dir, "DIR")
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", line, diff)
	}
}

// asks compares what rosd was asked to do.
func asks(t *testing.T, rosd *fakeRosd, want ...string) {
	t.Helper()
	if !slices.Equal(rosd.asked, want) {
		t.Errorf("rosd was asked %q, want %q", rosd.asked, want)
	}
}

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// machine is a small machine with one service in every kind of trouble.
func machine() *fakeRosd {
	exit := 1
	services := []control.Service{
		{Name: "network", Scope: "system", Required: true, Image: "ros/network", File: "/usr/lib/ros/os-services/network.yml",
			State: control.Healthy, Pid: 312, Since: ago(4 * time.Minute), StartedAt: ago(4*time.Minute + time.Second), Memory: 4300800,
			BootStart: 2.31, BootReady: 3.52},
		{Name: "udev-coldplug", Scope: "system", Required: true, Image: "ros/udev", File: "/usr/lib/ros/os-services/udev.yml",
			State: control.Done, OneShot: true, Since: ago(4*time.Minute + 3*time.Second), BootStart: 2.05, BootReady: 2.30},
		{Name: "syslog", Scope: "system", Image: "ros/syslog", File: "/usr/lib/ros/os-services/syslog.yml",
			State: control.Running, Pid: 330, Restarts: 2, Since: ago(90 * time.Second), Memory: 900, BootStart: 2.32, BootReady: 2.44},
		{Name: "ntp", Scope: "system", Image: "ros/ntp", File: "/usr/lib/ros/os-services/ntp.yml",
			State: control.Unhealthy, Reason: "chronyc: 506 Cannot talk to daemon", Pid: 345, Since: ago(50 * time.Hour),
			BootStart: 3.53},
		{Name: "docker", Scope: "system", Image: "ros/docker", File: "/usr/lib/ros/os-services/docker.yml",
			State: control.Waiting, WaitingFor: []string{"ntp to be healthy", "network to be healthy"}, Since: ago(5 * time.Minute)},
		{Name: "cron", Scope: "system", Image: "ros/cron", File: "/usr/lib/ros/os-services/cron.yml",
			State: control.Backoff, Reason: "exit status 1", ExitCode: &exit, Restarts: 7, Since: ago(2 * time.Second), NextStart: noon.Add(8 * time.Second)},
		{Name: "web", Scope: "user", Image: "nginx:1.29", Ports: []string{"8080->80/tcp", "8443->443/tcp"}, File: "/var/lib/rancher/services/web.yml",
			State: control.Failed, Reason: "web.yml:7: key \"ipc\": not supported\n  (use network_mode)", Since: ago(4 * time.Minute)},
		{Name: "logrotate", Scope: "system", Image: "ros/logrotate", File: "/usr/lib/ros/os-services/logrotate.yml",
			State: control.Stopped, Since: ago(time.Hour)},
	}
	return &fakeRosd{
		services: services,
		status: control.Status{
			Version: "v0.1.0", Arch: "amd64", Hostname: "rancher", Slot: "iso", State: "RAM", Kernel: "6.12.57+deb13-cloud-amd64",
			UptimeSeconds: 275.4, MemTotal: 2 << 30, MemAvailable: 1700 << 20,
			Warnings: []string{"no state disk: what you change is lost at the next boot"}, Services: services,
		},
		spec: `{"ociVersion":"1.2.0","process":{"args":["chronyd","-d"],"noNewPrivileges":true}}`,
		plan: control.Plan{Steps: []control.PlanStep{
			{Service: "udev-coldplug", File: "/usr/lib/ros/os-services/udev.yml"},
			{Service: "network", WaitsFor: []string{"udev-coldplug to be done"}, File: "/usr/lib/ros/os-services/network.yml"},
			{Service: "ntp", WaitsFor: []string{"network to be healthy", "syslog to be started"}, File: "/usr/lib/ros/os-services/ntp.yml"},
		}},
		boot: control.Boot{
			Record: bootlog.Record{Version: "v0.1.0", Slot: "iso", State: "RAM", Phases: []bootlog.Phase{
				{Name: "mounts", Stage: 1, Required: true, Start: 0.412, End: 0.425},
				{Name: "modules", Stage: 1, Start: 0.425, End: 0.911, Detail: "31 modules"},
				{Name: "os-image", Stage: 1, Required: true, Start: 0.911, End: 1.302, Detail: "slot iso, root hash 3f2a <ok>"},
				{Name: "state-disk", Stage: 1, Start: 1.302, End: 1.36, Error: "no disk with label RANCHER_STATE"},
				{Name: "containerd", Stage: 2, Required: true, Start: 1.46, End: 1.712},
				{Name: "rosd", Stage: 2, Required: true, Start: 1.712, End: 1.98},
			}},
			Services: services,
		},
		events: []control.Event{
			{Time: ago(2 * time.Second), Type: "state", Service: "ntp", From: control.Starting, To: control.Healthy},
			{Time: ago(time.Second), Type: "state", Service: "cron", From: control.Running, To: control.Backoff, Reason: "exit status 1"},
			{Time: ago(0), Type: "reload"},
		},
	}
}

package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/control/server"
	"github.com/rosteros/ros/internal/supervise"
)

// runtime starts anything at once; it runs until it gets a signal.
type runtime struct{}

func (runtime) Start(_ context.Context, svc compose.Service) (supervise.Task, error) {
	return &task{exited: make(chan struct{}), started: time.Now()}, nil
}
func (runtime) Running(context.Context) (map[string]supervise.Task, error) { return nil, nil }
func (runtime) Remove(context.Context, compose.Service) error              { return nil }
func (runtime) DefinitionHash(compose.Service) (string, error)             { return "", nil }
func (runtime) Spec(svc compose.Service) ([]byte, error) {
	return fmt.Appendf(nil, `{"ociVersion":"1.3.0","hostname":%q}`, svc.Name), nil
}

type task struct {
	exited  chan struct{}
	end     sync.Once
	started time.Time
}

func (t *task) Pid() int                     { return 77 }
func (t *task) StartedAt() time.Time         { return t.started }
func (t *task) Hash() string                 { return "" }
func (t *task) Exited() <-chan struct{}      { return t.exited }
func (t *task) ExitCode() int                { return 0 }
func (t *task) Delete(context.Context) error { return nil }
func (t *task) Signal(context.Context, string, bool) error {
	t.end.Do(func() { close(t.exited) })
	return nil
}
func (t *task) Exec(context.Context, []string, time.Duration) (int, string, error) {
	return 0, "", nil
}

// serve runs a server with two services, one of them faulty, and returns its
// socket and the root of its machine.
func serve(t *testing.T) (socket, root string) {
	t.Helper()
	return serveAs(t, os.Getgid())
}

// serveAs does so with a socket for that group.
func serveAs(t *testing.T, gid int) (socket, root string) {
	t.Helper()
	dir := t.TempDir()
	root = filepath.Join(dir, "root")
	for path, text := range map[string]string{
		"usr/lib/ros/release.json":        `{"version":"v0.1.0","arch":"arm64"}`,
		"proc/uptime":                     "12.34 20.00\n",
		"proc/meminfo":                    "MemTotal:        2048 kB\nMemFree:  10 kB\nMemAvailable:    1024 kB\n",
		"proc/sys/kernel/hostname":        "box\n",
		"proc/sys/kernel/osrelease":       "6.12.0\n",
		"sys/services/ntp/memory.current": "4096\n",
	} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	definitions := []supervise.Definition{
		{Service: compose.Service{
			Name: "ntp", Scope: compose.ScopeSystem, Image: "ros/ntp", File: "ntp.yml",
			Restart: compose.Restart{Mode: compose.RestartAlways}, StopGracePeriod: time.Second,
		}},
		{Service: compose.Service{Name: "ssh"}, Fault: "ssh.yml:3: bad"},
	}
	sup := supervise.New(supervise.Config{Runtime: runtime{}, Dir: filepath.Join(dir, "records"), Log: slog.New(slog.DiscardHandler)})
	plan := control.Plan{
		Steps:  []control.PlanStep{{Service: "ntp", File: "ntp.yml"}},
		Faults: []control.PlanFault{{Service: "ssh", Error: "ssh.yml:3: bad"}, {Error: "junk.yml: not YAML"}},
	}
	srv := &server.Server{
		Supervisor: sup,
		Machine:    server.Machine{Root: root},
		Boot: func() (bootlog.Record, error) {
			return bootlog.Record{Version: "v0", Slot: "iso", State: "RAM", Warnings: []string{"no state disk"}}, nil
		},
		Plan: func() control.Plan { return plan },
		Reload: func() control.Plan {
			sup.Reload(definitions[:1])
			return control.Plan{Steps: plan.Steps}
		},
		Config:  fakeConfig{},
		OS:      fakeWorker{},
		Catalog: fakeCatalog{}, Engines: fakeEngines{}, Certificates: fakeCertificate, Pending: func() []string { return []string{"shop is not here yet"} },
		EngineLog: fakeLog,
		Cgroups:   filepath.Join(root, "sys/services"),
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	socket = filepath.Join(dir, "run", "rosd.sock")
	l, err := server.Listen(socket, gid)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- sup.Run(ctx, definitions) }()
	go func() { ended <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	var got control.Service
	for got.State != control.Running { // returns at once with every change
		if status, body := ask(t, socket, "GET", "/v1/services/ntp", ""); status == http.StatusOK {
			decode(t, body, &got)
		}
	}
	return socket, root
}

func client(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
}

func ask(t *testing.T, socket, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://rosd"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(socket).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := res.Header.Get("Content-Type"); kind != "application/json" && kind != "application/x-ndjson" {
		t.Errorf("%s %s: Content-Type is %q", method, path, kind)
	}
	return res.StatusCode, string(text)
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	in := json.NewDecoder(strings.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		t.Fatalf("cannot decode %s: %v", text, err)
	}
}

func TestStatus(t *testing.T) {
	socket, _ := serve(t)
	_, body := ask(t, socket, "GET", "/v1/status", "")
	var got control.Status
	decode(t, body, &got)
	want := control.Status{
		Version: "v0.1.0", Arch: "arm64", Hostname: "box", Slot: "iso", State: "RAM", Kernel: "6.12.0",
		UptimeSeconds: 12.34, MemTotal: 2 << 20, MemAvailable: 1 << 20,
		Warnings: []string{"no state disk", "junk.yml: not YAML", "shop is not here yet"},
		Services: []control.Service{
			{Name: "ntp", Scope: "system", Image: "ros/ntp", File: "ntp.yml", State: control.Running, Pid: 77, Memory: 4096},
			{Name: "ssh", State: control.Failed, Reason: "ssh.yml:3: bad"},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(control.Service{}, "Since", "StartedAt")); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestRoutes(t *testing.T) {
	socket, _ := serve(t)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string // how the answer begins, or all of an error
	}{
		{"GET", "/v1/services", "", 200, `[{"name":"ntp",`},
		{"GET", "/v1/services/ntp", "", 200, `{"name":"ntp",`},
		{"GET", "/v1/services/ntp/definition", "", 200, `{"name":"ntp","file":"ntp.yml",`},
		{"GET", "/v1/services/ntp/spec", "", 200, `{"ociVersion":"1.3.0","hostname":"ntp"}`},
		{"GET", "/v1/plan", "", 200, `{"steps":[{"service":"ntp","file":"ntp.yml"}],"faults":[`},
		{"GET", "/v1/boot", "", 200, `{"record":{"version":"v0","slot":"iso",`},
		{"POST", "/v1/services/ntp/stop", `{"wait":true}`, 200, `{"name":"ntp","scope":"system","required":false,"image":"ros/ntp","file":"ntp.yml","state":"stopped",`},
		{"POST", "/v1/services/ntp/kill", `{"signal":"SIGHUP"}`, 409, `{"error":"cannot kill service \"ntp\": it is not running"}`},
		{"POST", "/v1/services/ntp/rm", "", 200, `{"name":"ntp",`},
		{"POST", "/v1/services/ntp/up", `{"wait":true}`, 200, `{"name":"ntp","scope":"system","required":false,"image":"ros/ntp","file":"ntp.yml","state":"running",`},
		{"POST", "/v1/services/ntp/restart", `{"wait":true,"timeout_seconds":0}`, 200, `{"name":"ntp",`},
		{"POST", "/v1/services/ntp/start", "", 200, `{"name":"ntp",`},
		{"POST", "/v1/services/ssh/start", "", 409, `{"error":"cannot start service \"ssh\": ssh.yml:3: bad"}`},
		{"GET", "/v1/services/ssh/spec", "", 500, `{"error":"ssh.yml:3: bad"}`},
		{"GET", "/v1/services/ntpd", "", 404, `{"error":"no service \"ntpd\"; there are: ntp, ssh; did you mean \"ntp\"?"}`},
		{"POST", "/v1/services/ntpd/start", "", 404, `{"error":"no service \"ntpd\"; there are: ntp, ssh; did you mean \"ntp\"?"}`},
		{"POST", "/v1/services/ntp/polish", "", 404, `{"error":"no route POST /v1/services/ntp/polish (Not Found)"}`},
		{"GET", "/v2/services", "", 404, `{"error":"no route GET /v2/services (Not Found)"}`},
		{"DELETE", "/v1/services", "", 405, `{"error":"no route DELETE /v1/services (Method Not Allowed)"}`},
		{"POST", "/v1/services/ntp/stop", `{"wiat":true}`, 400, `{"error":"cannot read the body of the request: json: unknown field \"wiat\""}`},
		{"POST", "/v1/services/ntp/stop", `{"wait":`, 400, `{"error":"cannot read the body of the request: unexpected EOF"}`},
		{"POST", "/v1/services/ntp/stop", `{"signal":"` + strings.Repeat("x", 100_000) + `"}`, 400, `{"error":"cannot read the body of the request: http: request body too large"}`},
		{"POST", "/v1/reload", "", 200, `{"steps":[{"service":"ntp","file":"ntp.yml"}]}`},
	} {
		status, body := ask(t, socket, tt.method, tt.path, tt.body)
		if status != tt.status || !strings.HasPrefix(body, tt.want) || status >= 400 && body != tt.want+"\n" {
			t.Errorf("%s %s = %d %s; want %d %s", tt.method, tt.path, status, body, tt.status, tt.want)
		}
	}
}

// TestHTTP10 speaks as ros does: HTTP/1.0, one request a connection.
func TestHTTP10(t *testing.T) {
	socket, _ := serve(t)
	dial := func(request string) *bufio.Reader {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				return in
			}
		}
	}
	events := dial("GET /v1/events HTTP/1.0\r\nHost: rosd\r\n\r\n")
	ask(t, socket, "POST", "/v1/services/ntp/stop", `{"wait":true}`)
	for _, want := range []control.Event{
		{Type: "state", Service: "ntp", From: control.Running, To: control.Stopping},
		{Type: "state", Service: "ntp", From: control.Stopping, To: control.Stopped},
	} {
		line, err := events.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var got control.Event
		decode(t, line, &got)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(control.Event{}, "Time")); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
	}
	answer := dial("GET /v1/services/ntp HTTP/1.0\r\nHost: rosd\r\nContent-Length: 0\r\n\r\n")
	text, err := io.ReadAll(answer)
	if err != nil {
		t.Fatal(err)
	}
	var got control.Service
	decode(t, string(text), &got)
	if got.State != control.Stopped {
		t.Errorf("ntp is %s, want stopped", got.State)
	}
}

func TestListenReplacesWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rosd.sock")
	for range 2 { // the second finds the socket of the first, dead
		l, err := server.Listen(path, os.Getgid())
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode(); mode != fs.ModeSocket|0o660 {
			t.Errorf("mode of the socket is %v, want srw-rw----", mode)
		}
		l.Close()
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := server.Listen(filepath.Join(path, "x"), 0)
	if want := fmt.Sprintf("cannot listen at %q: mkdir %s: not a directory", filepath.Join(path, "x"), path); err == nil || err.Error() != want {
		t.Errorf("Listen() error = %v, want %s", err, want)
	}
}

func TestGroupID(t *testing.T) {
	file := filepath.Join(t.TempDir(), "group")
	if err := os.WriteFile(file, []byte("root:x:0:\nrosy:x:5:\nbroken\nros:x:1102:rancher\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if gid, err := server.GroupID(file, "ros"); gid != 1102 || err != nil {
		t.Errorf("GroupID() = %d, %v; want 1102", gid, err)
	}
	_, err := server.GroupID(file, "wheel")
	if want := `cannot look up group "wheel": it is not in ` + file; err == nil || err.Error() != want {
		t.Errorf("GroupID() error = %v, want %s", err, want)
	}
}

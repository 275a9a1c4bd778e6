package server_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/control"
)

// fakeConfig is a server.Config that answers with what it was asked.
type fakeConfig struct{}

func (fakeConfig) View(private bool) control.ConfigView {
	value := "(hidden)"
	if private {
		value = "secret"
	}
	good := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return control.ConfigView{
		Entries:  []config.Entry{{Key: "rancher.password", Value: value, Secret: true}},
		Warnings: []string{"w"}, Pending: &control.Trial{Until: good}, LastGood: &good,
	}
}

func (fakeConfig) Preview(text []byte) control.ConfigPreview {
	return control.ConfigPreview{Recreate: []string{"web"}, Start: []string{string(text)}}
}

func (fakeConfig) Write(_ context.Context, w control.ConfigWrite) (control.ConfigApplied, error) {
	switch w.Was {
	case "stale":
		return control.ConfigApplied{}, &configstore.ConflictError{Message: "it has changed"}
	case "broken":
		return control.ConfigApplied{}, errors.New("no space left on device")
	}
	return control.ConfigApplied{Results: []control.ApplyResult{{
		Applier: "hostname", Keys: []string{"hostname"}, Did: []string{fmt.Sprintf("wrote %q for %d s", w.Text, w.TrySeconds)},
	}}}, nil
}

func (fakeConfig) Apply(ctx context.Context) (control.ConfigApplied, error) {
	return control.ConfigApplied{Warnings: []string{"applied"}}, ctx.Err()
}

func (fakeConfig) Confirm(context.Context) (control.ConfigApplied, error) {
	return control.ConfigApplied{}, &configstore.ConflictError{Message: "nothing is on trial"}
}

func (fakeConfig) Rollback(context.Context) (control.ConfigApplied, error) {
	return control.ConfigApplied{Trial: &control.Trial{}}, nil
}

// dialAs connects as that user and group, and as nobody else: the thread that
// has taken them on ends with its goroutine.
func dialAs(socket string, uid, gid int) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	answers := make(chan answer)
	go func() {
		goruntime.LockOSThread()
		_, _, e1 := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		_, _, e2 := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
		_, _, e3 := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		if e := cmp.Or(e1, e2, e3); e != 0 {
			answers <- answer{nil, e}
			return
		}
		conn, err := net.Dial("unix", socket)
		answers <- answer{conn, err}
	}()
	a := <-answers
	return a.conn, a.err
}

// needRoot: only root can ask as somebody else, and only root may change the
// config.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("CI runs as root")
	}
	t.Skip("needs root")
}

// TestConfigRights asks as root, as a member of the socket's group, and as
// somebody else.
func TestConfigRights(t *testing.T) {
	needRoot(t)
	const group = 1102
	socket, root := serveAs(t, group)
	for dir := filepath.Dir(root); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const refused = `HTTP/1.0 403 Forbidden {"error":"only root may change the config"}`
	for _, tt := range []struct {
		name     string
		uid, gid int
		want     map[string]string // request: how the answer begins
	}{
		{"root", 0, 0, map[string]string{
			"GET /v1/config":             `HTTP/1.0 200 OK {"entries":[{"key":"rancher.password","path":null,"value":"secret"`,
			"POST /v1/config/apply":      `HTTP/1.0 200 OK {"warnings":["applied"]}`,
			"POST /v1/config/preview":    `HTTP/1.0 200 OK {"start":[""],"recreate":["web"]}`,
			"POST /v1/config/write":      `HTTP/1.0 200 OK {"results":[`,
			"POST /v1/config/rollback":   `HTTP/1.0 200 OK {"trial":`,
			"POST /v1/config/confirm":    `HTTP/1.0 409 Conflict {"error":"nothing is on trial"}`,
			"POST /v1/services/ntp/kill": `HTTP/1.0 200 OK {"name":"ntp"`,
		}},
		{"group ros", 1100, group, map[string]string{
			"GET /v1/config":             `HTTP/1.0 200 OK {"entries":[{"key":"rancher.password","path":null,"value":"(hidden)"`,
			"POST /v1/config/apply":      refused,
			"POST /v1/config/preview":    refused,
			"POST /v1/config/write":      refused,
			"POST /v1/config/rollback":   refused,
			"POST /v1/config/confirm":    refused,
			"POST /v1/services/ntp/stop": `HTTP/1.0 200 OK {"name":"ntp"`,
			"GET /v1/os":                 `HTTP/1.0 200 OK {"running":"A"}`,
			"POST /v1/os/install":        `HTTP/1.0 403 Forbidden {"error":"only root may change the OS"}`,
		}},
		{"others", 1100, 100, map[string]string{"GET /v1/config": "dial unix " + socket + ": connect: permission denied"}},
	} {
		for request, want := range tt.want {
			if got := converse(t, socket, tt.uid, tt.gid, request); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s answers %s\nwant %s…", tt.name, request, got, want)
			}
		}
	}
}

// converse makes a request as somebody and returns the status and the body of
// the answer, or why there is none.
func converse(t *testing.T, socket string, uid, gid int, request string) string {
	t.Helper()
	conn, err := dialAs(socket, uid, gid)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s HTTP/1.0\r\nHost: rosd\r\nContent-Length: 0\r\n\r\n", request)
	text, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	head, body, _ := strings.Cut(string(text), "\r\n\r\n")
	status, _, _ := strings.Cut(head, "\r\n")
	return status + " " + body
}

func TestConfigRoutes(t *testing.T) {
	needRoot(t)
	socket, _ := serve(t)
	large := strings.Repeat("QUFB", 200_000)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/config", "", 200,
			`"warnings":["w"],"pending":{"until":"2026-01-02T03:04:05Z"},"last_good":"2026-01-02T03:04:05Z"}`},
		{"POST", "/v1/config/preview", `{"text":"QQ=="}`, 200, `{"start":["A"],"recreate":["web"]}`},
		{"POST", "/v1/config/write", `{"text":"QQ==","was":"","try_seconds":60}`, 200,
			`{"results":[{"applier":"hostname","keys":["hostname"],"did":["wrote \"A\" for 60 s"]}]}`},
		{"POST", "/v1/config/write", `{"text":"` + large + `","was":"stale"}`, 409, `{"error":"it has changed"}`},
		{"POST", "/v1/config/write", `{"text":"QQ==","was":"broken"}`, 500, `{"error":"no space left on device"}`},
		{"POST", "/v1/config/write", `{"text":"QQ==","try_seconds":-1}`, 400, `{"error":"try_seconds must not be negative"}`},
		{"POST", "/v1/config/write", `{"txt":"QQ=="}`, 400, `{"error":"cannot read the body of the request: json: unknown field \"txt\""}`},
		{"POST", "/v1/config/write", `{"text":"` + large + large + large + `"}`, 400, `{"error":"cannot read the body of the request: http: request body too large"}`},
		{"POST", "/v1/config/apply", "", 200, `{"warnings":["applied"]}`},
		{"POST", "/v1/config/confirm", "", 409, `{"error":"nothing is on trial"}`},
		{"POST", "/v1/config/rollback", "", 200, `{"trial":{"until":"0001-01-01T00:00:00Z"}}`},
		{"DELETE", "/v1/config", "", 405, `{"error":"no route DELETE /v1/config (Method Not Allowed)"}`},
	} {
		status, body := ask(t, socket, tt.method, tt.path, tt.body)
		if status != tt.status || !strings.HasSuffix(body, tt.want+"\n") {
			t.Errorf("%s %s = %d %s; want %d %s", tt.method, tt.path, status, body, tt.status, tt.want)
		}
	}
}

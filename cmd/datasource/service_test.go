package main

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
	"github.com/rosteros/ros/internal/servicelog"
)

// seed is a machine's only disk, a NoCloud seed; nil: none.
type seed fstest.MapFS

func (s seed) Volumes(context.Context) ([]datasource.Volume, error) {
	if s == nil {
		return nil, nil
	}
	return []datasource.Volume{{Label: "cidata", Type: "iso9660"}}, nil
}

func (s seed) Read(_ context.Context, want func(datasource.Volume) bool, read func(fs.FS) error) error {
	if s == nil || !want(datasource.Volume{Label: "cidata", Type: "iso9660"}) {
		return datasource.ErrAbsent
	}
	return read(fstest.MapFS(s))
}

func seedOf(userData string) seed {
	return seed{"user-data": {Data: []byte(userData)}, "meta-data": {Data: []byte("instance-id: i-1\n")}}
}

// stored are the files in the directory of answers.
func stored(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	entries, _ := os.ReadDir(filepath.Join(root, answerDir)) // none is an answer too
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, root string, disks datasource.Disks) (said string, err error) {
	t.Helper()
	var log bytes.Buffer
	handler := slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: servicelog.WithoutTime})
	err = service{root: root, disks: disks, waits: []time.Duration{time.Millisecond}, log: slog.New(handler)}.run(t.Context())
	return log.String(), err
}

func TestRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/include":
			w.Write([]byte("#!/bin/sh\n"))
		case "/config":
			w.Write([]byte("#cloud-config\nhostname: web\n"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	for _, tt := range []struct {
		name     string
		disks    seed
		settings string
		cmdline  string
		want     []string // files that are stored
		wantSaid string   // a line of the log that begins so
		wantErr  string
	}{
		{name: "nothing to ask", wantSaid: `level=INFO msg="no datasource: none is configured, and neither disks nor firmware nor kernel command line point to one"`},
		{name: "seed disk", disks: seedOf("#cloud-config\nhostname: a\n"), want: []string{"10-metadata.yml", "30-user-data-01.yml", "source.json"},
			wantSaid: `level=INFO msg=found datasource=nocloud instance=i-1 hostname="" ssh_keys=0 parts=1 network=false`},
		{name: "seed disk with an include", disks: seedOf("#include\n" + server.URL + "/include\n"), want: []string{"10-metadata.yml", "script-01", "source.json"},
			wantSaid: "level=INFO msg=found datasource=nocloud"},
		{name: "seed disk with nonsense", disks: seedOf("password: x\n"), want: []string{"10-metadata.yml", "source.json"},
			wantSaid: `level=ERROR msg="left out" error="user-data: user-data of an unknown kind`},
		{name: "kernel command line", cmdline: "quiet cloud-config-url=" + server.URL + "/config", want: []string{"10-metadata.yml", "30-user-data-01.yml", "source.json"},
			wantSaid: "level=INFO msg=found datasource=cmdline"},
		{name: "named", settings: `{"datasources": ["file:/none", "url:` + server.URL + `/config", "nonsense"], "timeout": 5}`, want: []string{"10-metadata.yml", "30-user-data-01.yml", "source.json"},
			wantSaid: `level=ERROR msg="this datasource is not asked" error="datasource \"nonsense\" is not known"`},
		{name: "absent", settings: `{"datasources": ["file:/none"], "timeout": 5}`, wantSaid: `level=WARN msg="file: /none: not there"`},
		{name: "settings that are not JSON", settings: "x", wantErr: "cannot read the settings in run/ros/config/datasource/datasource.json: invalid character 'x' looking for beginning of value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			put(t, filepath.Join(root, "proc/cmdline"), tt.cmdline+"\n")
			if tt.settings != "" {
				put(t, filepath.Join(root, settingsFile), tt.settings)
			}
			said, err := run(t, root, tt.disks)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.wantErr {
				t.Errorf("run() error = %q, want %q", text, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, stored(t, root)); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			if !strings.Contains("\n"+said, "\n"+tt.wantSaid) {
				t.Errorf("log is\n%s\nwant a line %s", said, tt.wantSaid)
			}
		})
	}
}

// TestProxies: what a person has named is fetched through the proxy, an include
// as well.
func TestProxies(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		switch r.URL.Path {
		case "/config":
			w.Write([]byte("#include\nhttp://far.test/more\n"))
		default:
			w.Write([]byte("#cloud-config\nhostname: far\n"))
		}
	}))
	defer proxy.Close()
	root := t.TempDir()
	put(t, filepath.Join(root, "proc/cmdline"), "\n")
	put(t, filepath.Join(root, settingsFile), `{"datasources": ["url:http://far.test/config"], "timeout": 5, "http_proxy": "`+proxy.URL+`", "no_proxy": "near.test"}`)
	if said, err := run(t, root, seed(nil)); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if diff := cmp.Diff([]string{"http://far.test/config", "http://far.test/more"}, asked); diff != "" {
		t.Errorf("asked the proxy for (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10-metadata.yml", "30-user-data-01.yml", "source.json"}, stored(t, root)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// TestOneDeadline: includes that never answer end with the time of everything.
func TestOneDeadline(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	root := t.TempDir()
	put(t, filepath.Join(root, "proc/cmdline"), "\n")
	put(t, filepath.Join(root, settingsFile), `{"timeout": 1}`)
	said, err := run(t, root, seedOf("#include\n"+server.URL+"/never\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "context deadline exceeded") {
		t.Errorf("log is\n%s\nwant that the time is over", said)
	}
	if diff := cmp.Diff([]string{"10-metadata.yml", "source.json"}, stored(t, root)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestAnEarlierAnswerStays(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("#!/bin/sh\n")) }))
	include := seedOf("#include\n" + server.URL + "/\n")
	root := t.TempDir()
	if _, err := run(t, root, include); err != nil {
		t.Fatal(err)
	}
	want := stored(t, root)
	for _, tt := range []struct {
		name  string
		disks seed
		said  string
	}{
		{"no answer at all", nil, "no datasource: none is configured"},
		{"an include that fails", include, "what an earlier boot found still counts: user-data cannot be read in full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server.Close()
			said, err := run(t, root, tt.disks)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(said, tt.said) {
				t.Errorf("log is\n%s\nwant %s", said, tt.said)
			}
			if diff := cmp.Diff(want, stored(t, root)); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
	other := seedOf("#!/bin/sh\n")
	other["meta-data"] = &fstest.MapFile{Data: []byte("instance-id: i-2\n")}
	if _, err := run(t, root, other); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, answerDir, "source.json"))
	if err != nil || !strings.Contains(string(text), `"i-2"`) {
		t.Errorf("of another machine: %s, %v", text, err)
	}
}

package preload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/preload"
	"github.com/rosteros/ros/tests/registry"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEachArchiveOnce(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.tar.xz", "a.tar", "c.tgz", "README", ".hidden.tar", "part.tar.new"} {
		put(t, filepath.Join(dir, "preload", name), "archive "+name)
	}
	put(t, filepath.Join(dir, "preload/dir.tar/x"), "")
	var read []string
	broken := "b.tar.xz"
	f := &preload.Folder{
		Dir: filepath.Join(dir, "preload"), Record: filepath.Join(dir, "record.json"), Log: slog.New(slog.DiscardHandler),
		Load: func(_ context.Context, r io.Reader, size int64) ([]string, error) {
			text, _ := io.ReadAll(r)
			if int64(len(text)) != size {
				t.Errorf("size = %d, want %d", size, len(text))
			}
			read = append(read, string(text))
			if broken != "" && string(text) == "archive "+broken {
				return nil, errors.New("it is broken")
			}
			return []string{"of " + string(text)}, nil
		},
	}
	run := func(want ...string) []preload.Loaded {
		t.Helper()
		read = nil
		done, err := f.Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Errorf("loaded (-want +got):\n%s", diff)
		}
		return done
	}
	done := run("archive a.tar", "archive b.tar.xz", "archive c.tgz")
	if got, want := fmt.Sprint(done[1].Err), "cannot load images from "+f.Dir+"/b.tar.xz: it is broken"; got != want {
		t.Errorf("error = %s, want %s", got, want)
	}
	broken = ""
	run("archive b.tar.xz")
	run()
	if pending, err := f.Pending(); err != nil || pending != nil {
		t.Errorf("Pending = %q, %v, want none", pending, err)
	}
	put(t, filepath.Join(dir, "preload/a.tar"), "archive a.tar, another one")
	run("archive a.tar, another one")
	// The images are gone, and their record with them; or it is damaged.
	put(t, f.Record, "{")
	run("archive a.tar, another one", "archive b.tar.xz", "archive c.tgz")
}

// Whoever waits sees how far an archive is, by its name.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.tar"), "0123456789")
	f := &preload.Folder{
		Dir: dir, Record: filepath.Join(dir, "record.json"), Log: slog.New(slog.DiscardHandler),
		Load: func(_ context.Context, r io.Reader, _ int64) ([]string, error) {
			_, err := io.Copy(io.Discard, r)
			return nil, err
		},
	}
	var told []images.Event
	if _, err := f.Run(t.Context(), func(e images.Event) { told = append(told, e) }); err != nil {
		t.Fatal(err)
	}
	want := []images.Event{
		{Layer: "a.tar", Status: images.Loading, Total: 10},
		{Layer: "a.tar", Status: images.Loading, Current: 10, Total: 10},
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestNoFolder(t *testing.T) {
	f := &preload.Folder{Dir: filepath.Join(t.TempDir(), "none"), Record: "/none", Log: slog.New(slog.DiscardHandler)}
	if done, err := f.Run(t.Context(), nil); err != nil || done != nil {
		t.Errorf("Run = %v, %v, want nothing", done, err)
	}
}

func TestIntoDocker(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	answer := `{"stream":"Loaded image: box:1\n"}` + "\n" + `{"stream":"Loaded image ID: sha256:01\n"}`
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/images/load" {
			http.NotFound(w, r)
			return
		}
		got, _ = io.ReadAll(r.Body)
		if answer == "" {
			w.WriteHeader(http.StatusInternalServerError)
			answer = `{"message":"no space left on device"}`
		}
		fmt.Fprintln(w, answer)
	}))
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)

	archive := registry.Layer{"x": "y"}.Tar()
	load := preload.IntoDocker(socket)
	packed := registry.Gzip(archive)
	names, err := load(t.Context(), bytes.NewReader(packed), int64(len(packed)))
	if err != nil || !cmp.Equal(names, []string{"box:1", "sha256:01"}) {
		t.Errorf("load = %q, %v", names, err)
	}
	if string(got) != string(archive) {
		t.Error("docker was not given the archive unpacked")
	}
	for _, tt := range []struct{ answer, want string }{
		{`{"error":"invalid tar"}`, "docker: invalid tar"},
		{"", "docker: no space left on device"},
	} {
		answer = tt.answer
		if _, err := load(t.Context(), bytes.NewReader(packed), 0); fmt.Sprint(err) != tt.want {
			t.Errorf("load = %v, want %s", err, tt.want)
		}
	}
}

//go:build root

package containers_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/tests/registry"
)

// withStore lets the machine pull from a registry, which it returns with its
// address.
func (m *machine) withStore() (*imagestore.Store, *registry.Registry, string) {
	m.t.Helper()
	store, err := imagestore.New(imagestore.Options{Socket: m.opts.Socket})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { store.Close() })
	_ = m.runtime.Close()
	m.opts.Store = store
	if m.runtime, err = containers.New(m.opts); err != nil {
		m.t.Fatal(err)
	}
	g := &registry.Registry{}
	server := httptest.NewServer(g)
	m.t.Cleanup(server.Close)
	return store, g, strings.TrimPrefix(server.URL, "http://")
}

// shell is an image of two layers with a busybox.
func shell(t *testing.T, motd string) registry.Image {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	return registry.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config: ocispec.ImageConfig{
			Entrypoint: []string{"/bin/sh", "-c"}, Env: []string{"FROM=image"}, User: "clock", WorkingDir: "/srv",
			Volumes: map[string]struct{}{"/data": {}},
		},
		Layers: []registry.Layer{
			{
				"bin/busybox": string(busybox), "bin/sh": "->busybox", "bin/cat": "->busybox", "bin/id": "->busybox", "bin/sleep": "->busybox",
				"srv/": "", "gone": "of the lower layer", "data/seed": "seeded\n",
				"etc/passwd": "root:x:0:0::/root:/bin/sh\nclock:x:1201:1201::/var/lib/clock:/bin/sh\n",
			},
			{"etc/motd": motd, ".wh.gone": ""},
		},
	}
}

func TestPulledImageRuns(t *testing.T) {
	m := newMachine(t)
	store, g, host := m.withStore()
	g.Add("shell:1", shell(t, "pulled\n"))
	image, err := store.Pull(t.Context(), host+"/shell:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if image.Size < 500_000 {
		t.Errorf("size = %d, want that of a busybox at least", image.Size)
	}
	svc := box("pulled", "cat /etc/motd /data/seed; pwd; echo $FROM; id -un; cat /gone; echo x >/data/x && echo writable; cat /data/x; exit 7")
	svc.Image, svc.ReadOnly = host+"/shell:1", true
	if code := m.ended(m.start(svc)); code != 7 {
		t.Errorf("exit code = %d, want 7", code)
	}
	m.until("the log is written", func() bool { return strings.Count(m.read("pulled.log"), "\n") >= 6 })
	for _, want := range []string{"pulled\nseeded\n/srv\nimage\nclock\n", "can't open '/gone'"} {
		if got := m.read("pulled.log"); !strings.Contains(got, want) {
			t.Errorf("log = %q, want %q in it", got, want)
		}
	}
}

// A container keeps its files when its image is replaced and removed, and
// containerd collects its garbage.
func TestRunningContainerKeepsItsImage(t *testing.T) {
	m := newMachine(t)
	store, g, host := m.withStore()
	name := host + "/shell:1"
	g.Add("shell:1", shell(t, "first\n"))
	if _, err := store.Pull(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	svc := box("keeps", "trap 'cat /etc/motd' USR1; echo ready; while :; do sleep 0.1; done")
	svc.Image, svc.Persistent = name, true
	task := m.start(svc)
	m.until("it runs", func() bool { return strings.Contains(m.read("keeps.log"), "ready") })

	g.Add("shell:1", shell(t, "second\n"))
	second, err := store.Pull(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.runtime.Spec(svc); err != nil { // looks at the files of the new one
		t.Fatal(err)
	}
	if _, err := store.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := task.Signal(t.Context(), "SIGUSR1", false); err != nil {
		t.Fatal(err)
	}
	m.until("it reads its own file", func() bool { return strings.Contains(m.read("keeps.log"), "first\n") })
	_ = task.Signal(t.Context(), "SIGKILL", true)
	m.ended(task)
	if err := m.runtime.Remove(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
	if _, err := m.runtime.Start(t.Context(), svc); err == nil || !strings.Contains(err.Error(), "is not on this machine") {
		t.Errorf("Start without the image = %v", err)
	}
	if _, err := store.Get(t.Context(), second.ID); err == nil {
		t.Error("the removed image is still there")
	}
	left, _ := filepath.Glob(filepath.Join(m.dir, "root/io.containerd.content.v1.content/blobs/sha256/*"))
	if len(left) != 0 {
		t.Errorf("content is left: %q", left)
	}
}

// Killing containerd in the middle of a pull leaves nothing half done.
func TestPullAfterContainerdDied(t *testing.T) {
	m := newMachine(t)
	store, g, host := m.withStore()
	g.Add("shell:1", shell(t, "pulled\n"))
	first := true
	_, err := store.Pull(t.Context(), host+"/shell:1", func(e imagestore.Event) {
		if e.Status == images.Extracting && first {
			first = false
			m.killContainerd()
			m.startContainerd()
		}
	})
	t.Logf("the pull that lost its containerd: %v", err)
	if _, err := store.Pull(t.Context(), host+"/shell:1", nil); err != nil {
		t.Fatal(err)
	}
	svc := box("after", "cat /etc/motd")
	svc.Image = host + "/shell:1"
	if code := m.ended(m.start(svc)); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
}

// An engine of RancherOS's format has nothing but /engine: the rest is that of
// a baked image below.
func TestImageOverABakedOne(t *testing.T) {
	m := newMachine(t)
	store, g, host := m.withStore()
	g.Add("engine:1", registry.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Layers:   []registry.Layer{{"engine/dockerd": "#!/bin/sh\necho Docker version 28.0.0, build x\n"}},
	})
	if _, err := store.Pull(t.Context(), host+"/engine:1", nil); err != nil {
		t.Fatal(err)
	}
	svc := box("engine-check")
	svc.Image, svc.Over = host+"/engine:1", svc.Image
	svc.Entrypoint, svc.Command, svc.User, svc.WorkingDir = []string{"sh", "/engine/dockerd"}, nil, "0:0", "/"
	s, err := m.runtime.Run(t.Context(), svc, true, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if out, errs, code := m.talk(s, ""); out != "Docker version 28.0.0, build x\n" || code != 0 {
		t.Errorf("= %q, %q, %d", out, errs, code)
	}
}

package engine_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/engine"
)

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]os.FileMode // of two layers
		want  string
	}{
		{"RancherOS", map[string]os.FileMode{"0/engine/dockerd": 0o755, "1/usr/bin/dockerd": 0o755}, "/engine/dockerd"},
		{"Docker", map[string]os.FileMode{"1/usr/local/bin/dockerd": 0o755}, "/usr/local/bin/dockerd"},
		{"Debian", map[string]os.FileMode{"1/usr/sbin/dockerd": 0o755}, "/usr/sbin/dockerd"},
		{"no program", map[string]os.FileMode{"0/usr/bin/dockerd": 0o644}, ""},
		{"nothing", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for path, mode := range tt.files {
				path = filepath.Join(dir, path)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, mode)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := engine.Find([]string{filepath.Join(dir, "0"), filepath.Join(dir, "1")})
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("Find = %q, %v, want %q", got, err, tt.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "there is no dockerd in it: neither /engine/dockerd nor ") {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func TestReadVersion(t *testing.T) {
	for text, want := range map[string]string{
		"Docker version 26.1.5+dfsg1, build a72d7cd\n": "26.1.5+dfsg1",
		"Docker version 29.0.0-ros, build unsupported": "29.0.0-ros",
		"Docker version 19.03.11, build 42e35e61f3":    "error: it is Docker 19.03.11; the oldest that works here is 23",
		"containerd github.com/x v2.3.5":               `error: dockerd does not say its version: "containerd github.com/x v2.3.5"`,
		"":                                             `error: dockerd does not say its version: ""`,
	} {
		got, err := engine.ReadVersion(text)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("ReadVersion(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestLay(t *testing.T) {
	services := func() []compose.Service {
		return []compose.Service{
			{Name: "docker", Image: "ros/docker", Command: []string{"/start"}, Env: []string{"A=b"}},
			{Name: "docker-containerd", Image: "ros/docker"},
			{Name: "ntp", Image: "ros/ntp"},
		}
	}
	same := services()
	engine.Engine{Name: engine.BuiltIn}.Lay(same)
	if diff := cmp.Diff(services(), same); diff != "" {
		t.Errorf("the engine of the OS (-want +got):\n%s", diff)
	}
	got, want := services(), services()
	engine.Engine{Name: "x", Pin: "x@sha256:1", Version: "26.1.5", Dockerd: "/usr/sbin/dockerd"}.Lay(got)
	want[0] = compose.Service{
		Name: "docker", Image: "x@sha256:1", Over: "ros/docker", Entrypoint: []string{"/start"}, User: "0:0", WorkingDir: "/",
		Env: []string{"A=b", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/engine",
			"ROS_DOCKERD=/usr/sbin/dockerd", "ROS_DOCKER_BUILT_IN=/usr/share/ros-docker/daemon-iptables.json"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another engine (-want +got):\n%s", diff)
	}
}

// The options that are laid down for each engine are in the image.
func TestOptionsAreThere(t *testing.T) {
	for _, version := range []string{"", "26.1.5", "29.1.0"} {
		path := engine.Engine{Version: version}.Options()
		text, err := os.ReadFile(filepath.Join("../../images/docker/rootfs", path))
		var options map[string]any
		if err == nil {
			err = json.Unmarshal(text, &options)
		}
		if err != nil {
			t.Errorf("%q: %v", version, err)
			continue
		}
		if _, nft := options["firewall-backend"]; nft == (version == "26.1.5") {
			t.Errorf("Docker %q has %s", version, path)
		}
	}
}

func TestImageOf(t *testing.T) {
	env := map[string]string{"REGISTRY_DOMAIN": "reg.example.com"}
	for text, want := range map[string]string{
		"services: {docker: {image: a/b:1}, x: {image: c}}":                              "a/b:1",
		"docker:\n  image: ${REGISTRY_DOMAIN}/rancher/os-docker:19\n  volumes_from: [a]": "reg.example.com/rancher/os-docker:19",
		"services: {docker: {image: '${NOTHING:-docker.io}/x:${TAG-1}'}}":                "docker.io/x:1",
		"services: {docker: {image: '${NOTHING}/x'}}":                                    "error: the image of docker: variable ${NOTHING} is not set: write ${NAME:-value} for a default, or $$ for a dollar sign",
		"services: {docker: {image: 'a/b'}, x: {image: '${NOTHING}/x'}}":                 "a/b",
		"services: {engine: {image: a}}":                                                 "a",
		"services: {a: {image: x}, b: {image: y}}":                                       "error: it names no image for the service docker",
		"[": "error: it is no service file: ",
	} {
		got, err := engine.ImageOf([]byte(text), env)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want && !(strings.HasSuffix(want, ": ") && strings.HasPrefix(got, want)) {
			t.Errorf("ImageOf(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestStore(t *testing.T) {
	s := &engine.Store{Path: filepath.Join(t.TempDir(), "engines/known.json")}
	if list, err := s.List(); err != nil || len(list) > 0 {
		t.Errorf("an empty store has %v, %v", list, err)
	}
	e := engine.Engine{Name: "b", Pin: "b@sha256:1", Version: "26.1.5", Time: time.Unix(1, 0).UTC()}
	for _, name := range []string{"b", "a", "b"} {
		e.Name = name
		if err := s.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List()
	if err != nil || len(list) != 2 || list[0].Name != "a" || list[1] != e {
		t.Errorf("List = %+v, %v", list, err)
	}
	if err := s.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Get("a"); ok {
		t.Error("a removed engine is there")
	}
	if err := os.WriteFile(s.Path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(); err == nil {
		t.Error("a damaged file is read")
	}
	if err := s.Put(e); err != nil {
		t.Errorf("a damaged file is not replaced: %v", err)
	}
}

func TestData(t *testing.T) {
	dir := t.TempDir()
	if d, err := engine.ReadData(dir); err != nil || d != (engine.Data{}) {
		t.Errorf("ReadData of nothing = %+v, %v", d, err)
	}
	for _, tt := range []struct{ used, next, want string }{
		{"", "26.1.5", ""},
		{"29.0.0-ros", "26.1.5", ""},
		{"26.1.5", "29.0.0", ""},
		{"31.0.0", "26.1.5", "its data were last used by Docker 31.0.0 (x), and what that writes Docker 26.1.5 may not understand"},
		{"31.0.0", "31.2.0", ""},
	} {
		d := engine.Data{Engine: "x", Version: tt.used, Driver: "overlayfs"}
		for range 2 {
			if err := d.Write(dir); err != nil {
				t.Fatal(err)
			}
		}
		read, err := engine.ReadData(dir)
		if err != nil || read != d {
			t.Errorf("ReadData = %+v, %v", read, err)
		}
		got := ""
		if err := read.Takes(tt.next); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("data of %s, engine %s: %q, want %q", tt.used, tt.next, got, tt.want)
		}
	}
}

func TestExtraCompose(t *testing.T) {
	for _, x := range []engine.Extra{{Name: "a"}, {Name: "b", Network: "lab"}, {Name: "c", Network: "lab", FixedIP: "10.9.0.7"}} {
		services, faults := compose.Parse("engine.yml", x.Compose("/engines", "sha256:1"), nil)
		if len(faults) > 0 || len(services) != 1 || services[0].Name != x.Name || services[0].Scope != compose.ScopeUser {
			t.Errorf("%+v: %d services, %v", x, len(services), faults)
		}
	}
	if text := string((engine.Extra{Name: "c", Network: "lab", FixedIP: "10.9.0.7"}).Compose("/engines", "sha256:1")); !strings.Contains(text, `networks: {net: {ipv4_address: "10.9.0.7"}}`) {
		t.Errorf("the file is\n%s", text)
	}
}

// The archive has the layers that its config names.
func TestArchive(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "bin"), 0o755), os.WriteFile(filepath.Join(dir, "bin/sh"), []byte("#!"), 0o755), os.Symlink("sh", filepath.Join(dir, "bin/ash"))); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := engine.Archive(&packed, []string{dir, dir}, "amd64", "ros/engine:latest"); err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(&packed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Name != "0/layer.tar" {
			continue
		}
		var inner []string
		for in := tar.NewReader(r); ; {
			h, err := in.Next()
			if err != nil {
				break
			}
			inner = append(inner, h.Name+"->"+h.Linkname)
		}
		if diff := cmp.Diff([]string{"bin/->", "bin/ash->sh", "bin/sh->"}, inner); diff != "" {
			t.Errorf("the layer (-want +got):\n%s", diff)
		}
	}
	if len(names) != 4 {
		t.Errorf("the archive has %v", names)
	}
}

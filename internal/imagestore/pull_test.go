package imagestore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/tests/registry"
)

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// box is an image of two layers, for a platform.
func box(p ocispec.Platform) registry.Image {
	return registry.Image{
		Platform: p,
		Config:   ocispec.ImageConfig{Cmd: []string{"/bin/hello"}, Env: []string{"FROM=image"}, Volumes: map[string]struct{}{"/data": {}}},
		Layers: []registry.Layer{
			{"bin/hello": "#!/bin/sh\necho " + p.Architecture + "\n", "etc/motd": "base\n"},
			{"etc/motd": "box\n"},
		},
	}
}

func TestPull(t *testing.T) {
	r := newRig(t)
	d := r.registry.AddIndex("team/box:1",
		r.registry.Add("team/box:arm", box(ocispec.Platform{OS: "linux", Architecture: "arm64"})),
		r.registry.Add("team/box:amd", box(amd64)))
	name := r.host + "/team/box:1"
	var events []string
	image, err := r.Pull(t.Context(), name, func(e imagestore.Event) {
		if e.Status != images.Downloading {
			events = append(events, strings.TrimSpace(e.Layer+" "+e.Status))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if image.Name != name || image.Digest != d.Digest.String() || image.Manifest == image.Digest || image.Size != 2000 {
		t.Errorf("Pull = %+v, want %s at %s with a manifest of its own and 2000 bytes", image, name, d.Digest)
	}
	if diff := cmp.Diff([]string{"/data"}, image.Baked().Config.Volumes); diff != "" {
		t.Error(diff)
	}
	// Of three layers that are different, two are fetched.
	wanted := map[string]int{"Waiting": 2, "Download complete": 2, "Extracting": 2, "Pull complete": 2}
	for status, n := range wanted {
		got := 0
		for _, e := range events {
			if strings.HasSuffix(e, status) {
				got++
			}
		}
		if got != n {
			t.Errorf("%d layers were %q, want %d: %q", got, status, n, events)
		}
	}

	files, err := r.View(t.Context(), "box", image)
	lower := files.Lower
	if err != nil || len(lower) != 2 {
		t.Fatalf("View = %q, %v, want two folders", lower, err)
	}
	if motd, _ := os.ReadFile(filepath.Join(lower[0], "etc/motd")); string(motd) != "box\n" {
		t.Errorf("motd of the top layer = %q, want box", motd)
	}
	if hello, _ := os.ReadFile(filepath.Join(lower[1], "bin/hello")); !strings.Contains(string(hello), "amd64") {
		t.Errorf("the layer below has %q, want the file for amd64", hello)
	}

	// Nothing of it is garbage, neither now nor without the network.
	r.collect(t)
	if n := r.blobs(t); n != 5 {
		t.Errorf("%d pieces of content after the garbage collection, want 5: index, manifest, config and two layers", n)
	}
	for _, by := range []string{name, image.ID, image.ID[7:15], image.Digest, r.host + "/team/box@" + d.Digest.String()} {
		if got, err := r.Get(t.Context(), by); err != nil || got.ID != image.ID {
			t.Errorf("Get(%q) = %s, %v, want %s", by, got.ID, err, image.ID)
		}
	}
	if again, err := r.View(t.Context(), "box", image); err != nil || again.Key != files.Key || !cmp.Equal(again.Lower, lower) {
		t.Errorf("View a second time = %q, %v, want %q", again.Lower, err, lower)
	}
}

func TestPullAgainFetchesNothing(t *testing.T) {
	r := newRig(t)
	r.registry.Add("box:1", box(amd64))
	for range 2 {
		if _, err := r.Pull(t.Context(), r.host+"/box:1", nil); err != nil {
			t.Fatal(err)
		}
	}
	layers := 0
	for _, q := range r.registry.Asked() {
		if strings.Contains(q, "/blobs/") {
			layers++
		}
	}
	if layers != 3 {
		t.Errorf("%d blobs were asked for, want 3, each once: %q", layers, r.registry.Asked())
	}
}

// cutOff lets the registry break off in the middle of the layer, once.
func (r *rig) cutOff(layer string, then func()) {
	cut := false
	r.registry.Fault = func(w http.ResponseWriter, q *http.Request) bool {
		if cut || !strings.HasSuffix(q.URL.Path, layer) {
			return false
		}
		cut = true
		r.registry.ServeHTTP(&limited{ResponseWriter: w, left: 5 << 19, then: then}, q)
		return true
	}
}

// arrived waits until so many bytes of something are on the disk.
func (r *rig) arrived(t *testing.T, bytes int64) {
	ctx := namespaces.WithNamespace(t.Context(), "ros")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		list, err := r.db.ContentStore().ListStatuses(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		for _, s := range list {
			if s.Offset >= bytes {
				return
			}
		}
	}
	t.Errorf("not %d bytes within 10 s", bytes)
}

// A pull that is cut off in the middle of a layer goes on there: within the same
// pull when the connection broke, with the next when the pull ended.
func TestPullGoesOn(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprint("the pull ended: ", gone), func(t *testing.T) {
			r := newRig(t)
			noise := make([]byte, 4<<20)
			for i, seed := 0, uint32(1); i < len(noise); i++ {
				seed = seed*1664525 + 1013904223
				noise[i] = byte(seed >> 24)
			}
			big := registry.Layer{"big": string(noise)}
			image := box(amd64)
			image.Layers = append(image.Layers, big)
			d := r.registry.Add("box:1", image)
			layer := digest.FromBytes(registry.Gzip(big.Tar())).String()
			name := r.host + "/box:1"

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if gone {
				r.cutOff(layer, func() {
					r.arrived(t, 2<<20)
					cancel()
				})
				if _, err := r.Pull(ctx, name, nil); !errors.Is(err, context.Canceled) {
					t.Fatalf("Pull that is cut off = %v, want that it was cancelled", err)
				}
				r.collect(t)
				if _, err := r.Get(t.Context(), name); err == nil {
					t.Error("half an image is in the store")
				}
			} else {
				r.cutOff(layer, func() {})
			}
			got, err := r.Pull(t.Context(), name, nil)
			if err != nil || got.Digest != d.Digest.String() {
				t.Fatalf("Pull = %s, %v, want %s", got.Digest, err, d.Digest)
			}
			asked := r.registry.Asked()
			if !slices.ContainsFunc(asked, func(q string) bool { return strings.Contains(q, layer+" bytes=") }) {
				t.Errorf("nothing was asked for from the middle: %q", asked)
			}
		})
	}
}

// limited passes on so many bytes of a long answer.
type limited struct {
	http.ResponseWriter
	left int
	then func()
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		p = p[:l.left]
	}
	n, err := l.ResponseWriter.Write(p)
	_ = http.NewResponseController(l.ResponseWriter).Flush()
	if l.left -= n; l.left == 0 {
		l.then()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func TestPullLogins(t *testing.T) {
	for _, tt := range []struct {
		name    string
		token   bool
		login   imagestore.Login
		wantErr string
	}{
		{name: "basic", login: imagestore.Login{Username: "me", Password: "secret"}},
		{name: "token", token: true, login: imagestore.Login{Username: "me", Password: "secret"}},
		{name: "bearer", token: true, login: imagestore.Login{RegistryToken: "letmein"}},
		{name: "none", wantErr: "refuses the login, or there is no such image (rancher.registry_auths)"},
		{name: "wrong", login: imagestore.Login{Username: "me", Password: "guess"}, wantErr: "refuses the login, or there is no such image (rancher.registry_auths)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.registry.User, r.registry.Password, r.registry.Token = "me", "secret", tt.token
			r.registry.Add("box:1", box(amd64))
			r.reach.Logins = map[string]imagestore.Login{r.host: tt.login}
			name := r.host + "/box:1"
			_, err := r.Pull(t.Context(), name, nil)
			want := ""
			if tt.wantErr != "" {
				want = fmt.Sprintf("cannot pull %q: registry %s %s", name, r.host, tt.wantErr)
			}
			if text(err) != want {
				t.Errorf("Pull = %q, want %q", text(err), want)
			}
		})
	}
}

func TestPullFaults(t *testing.T) {
	const configSize = 334
	html := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>Welcome to the hotel</html>")
		return true
	}
	for _, tt := range []struct {
		name, image string
		fault       func(w http.ResponseWriter, r *http.Request) bool
		want        string
	}{
		{name: "no such tag", image: "HOST/box:2", want: `cannot pull "HOST/box:2": registry HOST does not have it`},
		{name: "no such name", image: "HOST/nobody", want: `cannot pull "HOST/nobody": registry HOST does not have it`},
		{name: "not a name", image: "Box!", want: `cannot pull "Box!": "Box!" is not the name of an image: invalid reference format: repository name (library/Box!) must be lowercase`},
		{name: "nobody listens", image: "127.0.0.1:1/box", want: `cannot pull "127.0.0.1:1/box": registry 127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused`},
		{name: "another machine's", image: "HOST/arm:1", want: `cannot pull "HOST/arm:1": registry HOST: it is not for this machine, which is linux/amd64: it is for linux/arm64`},
		{name: "an artifact", image: "HOST/thing:1", want: `cannot pull "HOST/thing:1": registry HOST: it is an artifact and not an image that can be run`},
		{name: "a captive portal", image: "HOST/box:1", fault: html, want: `cannot pull "HOST/box:1": registry HOST: it is not an image (it is "text/html")`},
		{name: "a broken registry", image: "HOST/box:1", fault: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusTeapot)
			return true
		}, want: `cannot pull "HOST/box:1": registry HOST answers 418 I'm a teapot`},
		{name: "other bytes", image: "HOST/box:1", fault: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			// As many bytes as the config has.
			fmt.Fprint(w, strings.Repeat("x", configSize))
			return true
		}, want: `cannot pull "HOST/box:1": registry HOST sends other bytes than the image has`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.registry.Add("box:1", box(amd64))
			r.registry.Add("arm:1", box(ocispec.Platform{OS: "linux", Architecture: "arm64"}))
			thing := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: r.registry.Put("application/x-thing", []byte("{}"))}
			thing.SchemaVersion = 2
			r.registry.Tag("thing:1", r.registry.PutJSON(ocispec.MediaTypeImageManifest, thing))
			r.registry.Fault = tt.fault
			_, err := r.Pull(t.Context(), strings.ReplaceAll(tt.image, "HOST", r.host), nil)
			if got := strings.ReplaceAll(text(err), r.host, "HOST"); got != tt.want {
				t.Errorf("Pull = %q, want %q", got, tt.want)
			}
			if list, err := r.List(t.Context()); err != nil || len(list) != 0 {
				t.Errorf("List = %v, %v, want none", list, err)
			}
		})
	}
}

func TestMirrorAndDomain(t *testing.T) {
	r := newRig(t)
	r.registry.Add("library/box:latest", box(amd64))
	r.registry.Add("rancher/box:latest", box(amd64))
	r.reach.Mirrors = []string{"http://" + r.host}
	image, err := r.Pull(t.Context(), "box", nil)
	if err != nil || image.Name != "docker.io/library/box:latest" {
		t.Errorf("Pull by the mirror = %q, %v", image.Name, err)
	}
	r.reach = imagestore.Registries{Domain: r.host}
	image, err = r.Pull(t.Context(), "rancher/box", nil)
	if err != nil || image.Name != r.host+"/rancher/box:latest" {
		t.Errorf("Pull with REGISTRY_DOMAIN = %q, %v", image.Name, err)
	}
	// What was there before is still found by its short name.
	if got, err := r.Get(t.Context(), "box"); err != nil || got.Name != "docker.io/library/box:latest" {
		t.Errorf("Get(box) = %q, %v", got.Name, err)
	}
}

func TestRemove(t *testing.T) {
	r := newRig(t)
	r.registry.Add("box:1", box(amd64))
	name := r.host + "/box:1"
	image, err := r.Pull(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Tag(t.Context(), name, "mine:2"); err != nil {
		t.Fatal(err)
	}
	if list, err := r.List(t.Context()); err != nil || len(list) != 2 || list[1].Name != "docker.io/library/mine:2" {
		t.Errorf("List = %v, %v, want two names", list, err)
	}
	for _, n := range []string{name, "mine:2"} {
		if _, err := r.Remove(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	r.collect(t)
	if n := r.blobs(t); n != 0 {
		t.Errorf("%d pieces of content are left, want none", n)
	}
	var missing *imagestore.MissingError
	if _, err := r.Get(t.Context(), name); !errors.As(err, &missing) || text(err) != fmt.Sprintf("image %q is not on this machine", name) {
		t.Errorf("Get = %v, want that it is missing", err)
	}
	if _, err := r.View(t.Context(), "box", image); err == nil {
		t.Error("View of a removed image works")
	}
}

func TestResolve(t *testing.T) {
	r := newRig(t)
	d := r.registry.Add("box:1", box(amd64))
	got, err := r.Resolve(t.Context(), r.host+"/box:1")
	if err != nil || got != d.Digest.String() {
		t.Errorf("Resolve = %q, %v, want %s", got, err, d.Digest)
	}
	if n := r.blobs(t); n != 0 {
		t.Errorf("Resolve fetched %d pieces of content", n)
	}
}

// A view whose container is no more is garbage. Whoever asks for it again finds
// it or makes another, whenever the garbage collection comes by, and has it for
// as long as it is held.
func TestViewBesideTheGarbageCollection(t *testing.T) {
	r := newRig(t)
	r.registry.Add("box:1", box(amd64))
	image, err := r.Pull(t.Context(), r.host+"/box:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	old, err := r.View(t.Context(), "box", image)
	if err != nil {
		t.Fatal(err)
	}
	old.Release()
	for moment := range 3 {
		calls := 0
		r.calls.before = func() {
			if calls == moment {
				r.collect(t)
			}
			calls++
		}
		files, err := r.View(t.Context(), "box", image)
		r.calls.before = nil
		if err != nil || calls < 2 {
			t.Fatalf("collected at call %d of %d: %v", moment, calls, err)
		}
		r.collect(t)
		if !r.has(t, files.Key) {
			t.Errorf("collected at call %d: the view is gone while it is held", moment)
		}
		files.Release()
	}
	r.collect(t)
	if r.has(t, old.Key) {
		t.Error("a view that nobody holds is there for ever")
	}
}

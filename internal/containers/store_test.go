package containers_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/supervise"
)

// fakeStore has one image.
type fakeStore struct {
	image imagestore.Image
	lower []string
}

func (s *fakeStore) Get(_ context.Context, name string) (imagestore.Image, error) {
	if name != s.image.Name {
		return imagestore.Image{}, &imagestore.MissingError{Image: name}
	}
	return s.image, nil
}

func (s *fakeStore) View(_ context.Context, container string, image imagestore.Image) (imagestore.Files, error) {
	return imagestore.Files{Key: container + "@" + image.Manifest, Lower: s.lower}, nil
}

// withStore is newRuntime with an image in the store: reg/web:1.
func withStore(t *testing.T, f *fakeContainerd) (*containers.Runtime, containers.Options, *fakeStore) {
	t.Helper()
	_, o := newRuntime(t, f)
	layer := t.TempDir()
	if err := os.MkdirAll(filepath.Join(layer, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(layer, "etc/passwd"), []byte("web:x:33:33::/var/www:/bin/sh\n"))
	store := &fakeStore{lower: []string{layer}, image: imagestore.Image{
		Name: "reg/web:1", ID: "sha256:01", Manifest: "sha256:02",
		Config: ocispec.ImageConfig{
			Cmd: []string{"/serve"}, Env: []string{"A=1"}, User: "web", WorkingDir: "/srv",
			Volumes: map[string]struct{}{"/data": {}, "/cache": {}},
		},
	}}
	o.Store, o.RootsDir = store, t.TempDir()
	r, err := containers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, o, store
}

func TestStartStored(t *testing.T) {
	f := newFake(t)
	r, o, store := withStore(t, f)
	f.serve()
	svc := box("web")
	svc.Image, svc.Command, svc.User = "reg/web:1", nil, ""
	if _, err := r.Start(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
	want := []string{"lowerdir=" + store.lower[0], "upperdir=" + o.RunDir + "/web/upper", "workdir=" + o.RunDir + "/web/work"}
	if got := f.created.GetRootfs()[0].GetOptions(); !slices.Equal(got, want) {
		t.Errorf("root = %q, want %q", got, want)
	}
	if key := f.records[0].GetLabels()[imagestore.KeepLabel]; key != "web@sha256:02" {
		t.Errorf("the record keeps %q, want web@sha256:02", key)
	}
	spec, err := r.Spec(svc)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"/serve"`, `"A=1"`, `"HOME=/var/www"`, `"uid": 33`, `"cwd": "/srv"`} {
		if !strings.Contains(string(spec), part) {
			t.Errorf("the spec has no %s:\n%s", part, spec)
		}
	}
	if strings.Contains(string(spec), "tmpcopyup") {
		t.Error("volumes of the image are mounted although the root can be written")
	}
	before, _ := r.DefinitionHash(svc)
	svc.ReadOnly = true
	if spec, _ := r.Spec(svc); strings.Count(string(spec), "tmpcopyup") != 2 {
		t.Errorf("not every volume of the image can be written:\n%s", spec)
	}
	svc.ReadOnly = false
	store.image.Manifest = "sha256:03"
	if after, err := r.DefinitionHash(svc); err != nil || after == before {
		t.Errorf("DefinitionHash is %s, %v, also with another image", after, err)
	}
}

// The files of an image lie over those of a baked one.
func TestStartOver(t *testing.T) {
	f := newFake(t)
	r, o, store := withStore(t, f)
	f.serve()
	svc := box("web")
	svc.Image, svc.Over, svc.Command, svc.User = "reg/web:1", "ros/box", nil, ""
	if _, err := r.Start(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
	baked := r.Baked()["ros/box"].Layers
	want := store.lower[0]
	for _, layer := range slices.Backward(baked) {
		want += ":" + filepath.Join(o.LayersDir, layer)
	}
	if got := f.created.GetRootfs()[0].GetOptions()[0]; len(baked) == 0 || got != "lowerdir="+want {
		t.Errorf("root = %q, want lowerdir=%s", got, want)
	}
	svc.Over = "ros/none"
	if _, err := r.Start(t.Context(), svc); text(err) != `cannot start service "web": image "ros/none" is not in this OS image (it has ros/box)` || !supervise.IsPermanent(err) {
		t.Errorf("over an image that is not there: %v", err)
	}
}

func TestImageThatIsNotThere(t *testing.T) {
	f := newFake(t)
	r, o, _ := withStore(t, f)
	svc := box("web")
	svc.Image = "reg/other"
	want := `cannot start service "web": image "reg/other" is not on this machine; it is not fetched by itself: ros service pull web`
	if _, err := r.Start(t.Context(), svc); text(err) != want || !supervise.IsPermanent(err) {
		t.Errorf("Start = %v, want %s, for good", err, want)
	}
	svc.Image = "ros/other"
	want = `cannot start service "web": image "ros/other" is not in this OS image (it has ros/box)`
	if _, err := r.Start(t.Context(), svc); text(err) != want || !supervise.IsPermanent(err) {
		t.Errorf("Start = %v, want %s, for good", err, want)
	}
	o.Arriving = func() bool { return true }
	later, err := containers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	svc.Image = "reg/other"
	if _, err := later.Start(t.Context(), svc); !supervise.IsNotYet(err) {
		t.Errorf("Start while images are being loaded = %v, want that it is tried again", err)
	}
}

func TestPersistentRoot(t *testing.T) {
	f := newFake(t)
	r, o, store := withStore(t, f)
	f.serve()
	svc := box("web")
	svc.Image, svc.Command, svc.User, svc.Persistent = "reg/web:1", nil, "", true
	note := filepath.Join(o.RootsDir, "web/upper/note")
	start := func() {
		t.Helper()
		if _, err := r.Start(t.Context(), svc); err != nil {
			t.Fatal(err)
		}
	}
	start()
	write(t, note, []byte("here"))
	start()
	if _, err := os.Stat(note); err != nil {
		t.Errorf("what was written is gone: %v", err)
	}
	store.image.Manifest = "sha256:03"
	start()
	if _, err := os.Stat(note); !os.IsNotExist(err) {
		t.Errorf("what was written over another image is still there: %v", err)
	}
	if err := r.Remove(t.Context(), compose.Service{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(o.RootsDir, "web")); !os.IsNotExist(err) {
		t.Errorf("the root is still there after Remove: %v", err)
	}
}

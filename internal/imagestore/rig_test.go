package imagestore_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"go.etcd.io/bbolt"

	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/tests/registry"
)

var (
	amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = ocispec.Platform{OS: "linux", Architecture: "arm64"}
)

// rig is a store over containerd's own database, content store and garbage
// collection, in this process; only the mounts are made up, which need root.
type rig struct {
	*imagestore.Store
	db       *metadata.DB
	registry *registry.Registry
	host     string // of the registry
	reach    imagestore.Registries
	snaps    *snapshotter
	calls    *watchedCalls
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	quiet := logrus.New()
	quiet.SetOutput(io.Discard) // whether the disk has fs-verity
	log.L = logrus.NewEntry(quiet)
	cs, err := local.NewLabeledStore(filepath.Join(dir, "content"), nil)
	if err != nil {
		t.Fatal(err)
	}
	bolt, err := bbolt.Open(filepath.Join(dir, "meta.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bolt.Close() })
	snaps := newSnapshotter(t, filepath.Join(dir, "snapshots"))
	db := metadata.NewDB(bolt, cs, map[string]snapshots.Snapshotter{imagestore.Snapshotter: snaps})
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &rig{db: db, registry: &registry.Registry{}, snaps: snaps, calls: &watchedCalls{Snapshotter: db.Snapshotter(imagestore.Snapshotter)}}
	server := httptest.NewServer(r.registry)
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	r.Store = imagestore.NewOf(imagestore.Parts{
		Content: db.ContentStore(), Images: metadata.NewImageStore(db), Leases: metadata.NewLeaseManager(db),
		Snapshots: r.calls, Applier: applier{db.ContentStore()},
	}, imagestore.Options{Platform: &amd64, Reach: func() imagestore.Registries { return r.reach }})
	return r
}

// collect removes what nothing refers to, as containerd does by itself.
func (r *rig) collect(t *testing.T) {
	t.Helper()
	if _, err := r.db.GarbageCollect(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// has tells whether there is a snapshot.
func (r *rig) has(t *testing.T, key string) bool {
	t.Helper()
	_, err := r.calls.Snapshotter.Stat(namespaces.WithNamespace(t.Context(), "ros"), key)
	if err != nil && !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

// watchedCalls has something happen before each of the calls that a view takes.
type watchedCalls struct {
	snapshots.Snapshotter
	before func() // may be nil
}

func (w *watchedCalls) happen() {
	if w.before != nil {
		w.before()
	}
}

func (w *watchedCalls) Stat(ctx context.Context, key string) (snapshots.Info, error) {
	w.happen()
	return w.Snapshotter.Stat(ctx, key)
}

func (w *watchedCalls) Update(ctx context.Context, info snapshots.Info, fields ...string) (snapshots.Info, error) {
	w.happen()
	return w.Snapshotter.Update(ctx, info, fields...)
}

func (w *watchedCalls) Mounts(ctx context.Context, key string) ([]mount.Mount, error) {
	w.happen()
	return w.Snapshotter.Mounts(ctx, key)
}

func (w *watchedCalls) View(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	w.happen()
	return w.Snapshotter.View(ctx, key, parent, opts...)
}

// blobs are how many pieces of content there are.
func (r *rig) blobs(t *testing.T) (n int) {
	t.Helper()
	ctx := namespaces.WithNamespace(t.Context(), "ros")
	err := r.db.ContentStore().Walk(ctx, func(content.Info) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// applier unpacks a layer into the folder that a snapshot is, without owners.
type applier struct{ content content.Store }

func (a applier) Apply(ctx context.Context, d ocispec.Descriptor, mounts []mount.Mount, _ ...diff.ApplyOpt) (ocispec.Descriptor, error) {
	blob, err := content.BlobReadSeeker(ctx, a.content, d)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer blob.Close()
	var plain io.Reader = blob
	if strings.HasSuffix(d.MediaType, "gzip") {
		if plain, err = gzip.NewReader(blob); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	digester := d.Digest.Algorithm().Digester()
	tee := io.TeeReader(plain, digester.Hash())
	for in := tar.NewReader(tee); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		path := filepath.Join(mounts[0].Source, h.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return ocispec.Descriptor{}, err
		}
		text, err := io.ReadAll(in)
		if err == nil && h.Typeflag == tar.TypeReg {
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	_, err = io.Copy(io.Discard, tee)
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digester.Digest()}, err
}

// snapshotter keeps a folder for each snapshot, and says that a view is an
// overlay of them.
type snapshotter struct {
	snapshots.Snapshotter
	dir   string
	store *storage.MetaStore
}

func newSnapshotter(t *testing.T, dir string) *snapshotter {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	store, err := storage.NewMetaStore(filepath.Join(dir, "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &snapshotter{dir: dir, store: store}
}

func (s *snapshotter) mounts(sn storage.Snapshot) []mount.Mount {
	if sn.Kind == snapshots.KindActive {
		return []mount.Mount{{Type: "bind", Source: filepath.Join(s.dir, sn.ID)}}
	}
	var lower []string
	for _, id := range sn.ParentIDs {
		lower = append(lower, filepath.Join(s.dir, id))
	}
	if len(lower) == 1 {
		return []mount.Mount{{Type: "bind", Source: lower[0], Options: []string{"ro", "rbind"}}}
	}
	return []mount.Mount{{Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + strings.Join(lower, ":")}}}
}

func (s *snapshotter) create(ctx context.Context, kind snapshots.Kind, key, parent string, opts []snapshots.Opt) (m []mount.Mount, err error) {
	return m, s.store.WithTransaction(ctx, true, func(ctx context.Context) error {
		sn, err := storage.CreateSnapshot(ctx, kind, key, parent, opts...)
		if err != nil {
			return err
		}
		m = s.mounts(sn)
		return os.MkdirAll(filepath.Join(s.dir, sn.ID), 0o755)
	})
}

func (s *snapshotter) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	return s.create(ctx, snapshots.KindActive, key, parent, opts)
}

func (s *snapshotter) View(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	return s.create(ctx, snapshots.KindView, key, parent, opts)
}

func (s *snapshotter) Mounts(ctx context.Context, key string) (m []mount.Mount, err error) {
	return m, s.store.WithTransaction(ctx, false, func(ctx context.Context) error {
		sn, err := storage.GetSnapshot(ctx, key)
		m = s.mounts(sn)
		return err
	})
}

func (s *snapshotter) Stat(ctx context.Context, key string) (info snapshots.Info, err error) {
	return info, s.store.WithTransaction(ctx, false, func(ctx context.Context) error {
		_, info, _, err = storage.GetInfo(ctx, key)
		return err
	})
}

func (s *snapshotter) Update(ctx context.Context, info snapshots.Info, fields ...string) (out snapshots.Info, err error) {
	return out, s.store.WithTransaction(ctx, true, func(ctx context.Context) error {
		out, err = storage.UpdateInfo(ctx, info, fields...)
		return err
	})
}

func (s *snapshotter) Usage(ctx context.Context, key string) (u snapshots.Usage, err error) {
	return u, s.store.WithTransaction(ctx, false, func(ctx context.Context) error {
		_, _, u, err = storage.GetInfo(ctx, key)
		return err
	})
}

func (s *snapshotter) Commit(ctx context.Context, name, key string, opts ...snapshots.Opt) error {
	return s.store.WithTransaction(ctx, true, func(ctx context.Context) error {
		_, err := storage.CommitActive(ctx, key, name, snapshots.Usage{Size: 1000}, opts...)
		return err
	})
}

func (s *snapshotter) Remove(ctx context.Context, key string) error {
	return s.store.WithTransaction(ctx, true, func(ctx context.Context) error {
		id, _, err := storage.Remove(ctx, key)
		if err != nil {
			return err
		}
		return os.RemoveAll(filepath.Join(s.dir, id))
	})
}

func (s *snapshotter) Walk(ctx context.Context, fn snapshots.WalkFunc, filters ...string) error {
	return s.store.WithTransaction(ctx, false, func(ctx context.Context) error {
		return storage.WalkInfo(ctx, fn, filters...)
	})
}

func (s *snapshotter) Close() error { return nil }

// Package imagestore keeps the images of system services that are not baked
// into the OS image: it pulls them from registries, loads and saves them as
// tar archives, and unpacks them in the system containerd.
//
// It owns references, logins and connections to registries, the content of
// images, and the snapshots that their layers are unpacked into. It does not
// decide when an image is pulled (nothing here runs by itself) and makes no
// containers (package containers does, over what View gives it).
//
// What an operator can rely on:
//
//   - An image is in the store when all of it is: its record is written after
//     its last layer has been unpacked and synced. A power cut before that
//     leaves no half image.
//   - A pull that was cut off goes on where it stopped when it is asked for
//     again within half a day. What nobody refers to is removed by containerd's
//     garbage collection.
//   - What is in the store is used without a network, for as long as nobody
//     removes it.
package imagestore

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/content"
	contentproxy "github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/diff"
	diffproxy "github.com/containerd/containerd/v2/core/diff/proxy"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	leasesproxy "github.com/containerd/containerd/v2/core/leases/proxy"
	"github.com/containerd/containerd/v2/core/snapshots"
	snapshotsproxy "github.com/containerd/containerd/v2/core/snapshots/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"github.com/rosteros/ros/internal/containerd"
)

// Snapshotter is the one of containerd that layers are unpacked with.
const Snapshotter = "overlayfs"

// Options say where the store is and how registries are reached. A field that
// is zero has the value named beside it.
type Options struct {
	Socket    string            // containerd's: containerd.Socket
	Namespace string            // containerd's: containerd.Namespace
	Platform  *ocispec.Platform // of images: the machine's
	Reach     func() Registries // asked for every pull: no logins, no mirrors
	Log       *slog.Logger      // slog.DiscardHandler
}

// Store is the images in one containerd. Its methods may be called from any
// goroutine.
type Store struct {
	parts    Parts
	opts     Options
	platform platforms.MatchComparer
	silence  *log.Entry
	close    func() error
}

// Parts are what a Store is made of; New takes containerd's.
type Parts struct {
	Content   content.Store
	Images    images.Store
	Leases    leases.Manager
	Snapshots snapshots.Snapshotter
	Applier   diff.Applier
}

// New returns a Store at once: the first call that needs containerd waits for
// it.
func New(o Options) (*Store, error) {
	o = o.withDefaults()
	conn, err := containerd.Dial(o.Socket)
	if err != nil {
		return nil, err
	}
	applier, ok := diffproxy.NewDiffApplier(diffapi.NewDiffClient(conn)).(diff.Applier)
	if !ok {
		return nil, fmt.Errorf("internal error: containerd's client cannot apply layers")
	}
	s := NewOf(Parts{
		Content:   contentproxy.NewContentStore(conn),
		Images:    newRecords(conn),
		Leases:    leasesproxy.NewLeaseManager(leasesapi.NewLeasesClient(conn)),
		Snapshots: snapshotsproxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(conn), Snapshotter),
		Applier:   applier,
	}, o)
	s.close = conn.Close
	return s, nil
}

// NewOf is New over parts that somebody else has made.
func NewOf(p Parts, o Options) *Store {
	o = o.withDefaults()
	return &Store{parts: p, opts: o, platform: platforms.Only(*o.Platform), silence: silence(), close: func() error { return nil }}
}

func (o Options) withDefaults() Options {
	if o.Socket == "" {
		o.Socket = containerd.Socket
	}
	if o.Namespace == "" {
		o.Namespace = containerd.Namespace
	}
	if o.Platform == nil {
		p := platforms.DefaultSpec()
		o.Platform = &p
	}
	if o.Reach == nil {
		o.Reach = func() Registries { return Registries{} }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Close ends the connection.
func (s *Store) Close() error { return s.close() }

// in is ctx for calls to containerd's client, which is to write no log of its
// own: what went wrong comes back as an error.
func (s *Store) in(ctx context.Context) context.Context {
	return log.WithLogger(namespaces.WithNamespace(ctx, s.opts.Namespace), s.silence)
}

func silence() *log.Entry {
	entry := log.L.Dup()
	entry.Logger = &logrus.Logger{Out: io.Discard, Formatter: &logrus.TextFormatter{}, Hooks: logrus.LevelHooks{}, Level: logrus.PanicLevel}
	return entry
}

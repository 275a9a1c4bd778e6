package imagestore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
)

// expireLabel is containerd's, on a lease: when it ends.
const expireLabel = "containerd.io/gc.expire"

// leaseTime is how long content that nothing refers to yet is kept from the
// garbage collection.
const leaseTime = 24 * time.Hour

// lease keeps what is fetched or unpacked with the returned context from the
// garbage collection: until release, which is called when all of it is
// referred to, or for half a day at least. The same purpose finds the same lease.
func (s *Store) lease(ctx context.Context, purpose string) (_ context.Context, release func(), err error) {
	l := leases.Lease{ID: fmt.Sprintf("ros-%x", sha256.Sum256([]byte(purpose)))[:24]}
	create := func() error {
		_, err := s.parts.Leases.Create(s.in(ctx), leases.WithID(l.ID), leases.WithExpiration(leaseTime),
			leases.WithLabel("ros.purpose", purpose))
		return err
	}
	err = create()
	if errdefs.IsAlreadyExists(err) && s.expired(ctx, l.ID) {
		// It keeps nothing any more and is only still there because nothing
		// has been collected since.
		if err = s.parts.Leases.Delete(s.in(ctx), l); err == nil || errdefs.IsNotFound(err) {
			err = create()
		}
	}
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, nil, err
	}
	release = func() {
		// Who asked may be gone; the lease would keep what is removed later.
		err := s.parts.Leases.Delete(s.in(context.WithoutCancel(ctx)), l)
		if err != nil && !errdefs.IsNotFound(err) {
			s.opts.Log.Warn("cannot end the lease of an image; it ends by itself in a day", "lease", purpose, "error", err)
		}
	}
	return leases.WithLease(ctx, l.ID), release, nil
}

// expired says whether a lease has less than half of its time left.
func (s *Store) expired(ctx context.Context, id string) bool {
	list, err := s.parts.Leases.List(s.in(ctx), "id=="+id)
	if err != nil || len(list) == 0 {
		return true
	}
	until, err := time.Parse(time.RFC3339, list[0].Labels[expireLabel])
	return err != nil || time.Until(until) < leaseTime/2
}

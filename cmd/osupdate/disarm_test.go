package main

import (
	"testing"

	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/slots"
)

// TestDisarm: only what waits for its first start is taken back.
func TestDisarm(t *testing.T) {
	for _, tt := range []struct {
		name        string
		boot, after slots.Boot
		running     slots.Running
	}{
		{"armed", slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, slots.Boot{Committed: slots.A}, on(slots.A)},
		{"an older one, armed", slots.Boot{Committed: slots.A, Previous: slots.B, Trial: slots.B, Tries: 1},
			slots.Boot{Committed: slots.A, Previous: slots.B}, on(slots.A)},
		{"taken back already", slots.Boot{Committed: slots.A, Previous: slots.B}, slots.Boot{Committed: slots.A, Previous: slots.B}, on(slots.A)},
		{"failed, and not settled", slots.Boot{Committed: slots.A, Trial: slots.B}, slots.Boot{Committed: slots.A, Trial: slots.B}, on(slots.A)},
		{"running", slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}, trying},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.boot, tt.running)
			res, err := b.disarm(t.Context())
			if err != nil || (res.Nothing == "") != (tt.boot != tt.after) {
				t.Errorf("disarm = %+v, %v", res, err)
			}
			if got := b.boot(t); got != tt.after {
				t.Errorf("the boot loader keeps %+v, want %+v", got, tt.after)
			}
			if len(b.told) > 0 {
				t.Errorf("PID 1 was told %+v", b.told)
			}
		})
	}
}

// TestPinned: another release than the one that is meant is not touched.
func TestPinned(t *testing.T) {
	other := &release.Release{}
	other.Manifest.Version, other.Digest = "v3", "sha256:3"
	u := upgrading{release: other, options: osupdate.Upgrade{Digest: "sha256:2"}}
	const want = "cannot upgrade to v3: another release is meant"
	if _, err := u.run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("run = %v, want %s", err, want)
	}
	u.options.Automatic = true
	res, err := u.run(t.Context())
	if err != nil || res.Armed || res.Nothing != "another release is meant" || res.Version != "v3" {
		t.Errorf("run for the policy = %+v, %v", res, err)
	}
}

package main

import (
	"testing"
	"time"

	"github.com/rosteros/ros/internal/slots"
)

func TestNotice(t *testing.T) {
	failed := slots.Record{}.Add(slots.Failure{
		Release: slots.Release{Version: "v2"}, Reason: "network is unhealthy", At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	})
	rolledBack := slots.Record{}.Add(slots.Failure{
		Release: slots.Release{Version: "v1"}, Slot: slots.B, Reason: "an operator has rolled it back", At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	})
	const noKey = "This OS image was built without a key: it trusts nobody's releases by itself.\n"
	for _, tt := range []struct {
		name    string
		running slots.Running
		record  slots.Record
		trusted bool
		want    string
	}{
		{name: "as it should be", running: slots.Running{Slot: slots.A}, trusted: true},
		{name: "no key", want: noKey},
		{name: "on trial", running: slots.Running{Slot: slots.B, Trial: true}, trusted: true,
			want: "v1 is on trial here. It is not committed yet, and goes back by itself if it does not work.\n\"ros os status\" says more.\n"},
		{name: "given up", running: slots.Running{Slot: slots.A}, record: failed,
			want: "v2 was given up at 2026-11-23 07:00 EST: network is unhealthy.\nv1 runs instead. \"ros os status\" says more.\n" + noKey},
		{name: "rolled back, and not restarted yet", running: slots.Running{Slot: slots.B}, record: rolledBack, trusted: true,
			want: "v1 was given up at 2026-11-23 07:00 EST: an operator has rolled it back.\nIt runs until the next restart. \"ros os status\" says more.\n"},
		{name: "given up, and not written down", running: slots.Running{Slot: slots.A, Failed: slots.B}, trusted: true,
			want: "The release in slot B was given up. v1 runs instead. \"ros os status\" says why.\n"},
		{name: "committed since", running: slots.Running{Slot: slots.B}, record: failed.Kept(slots.B, time.Now()), trusted: true},
	} {
		if got := notice(tt.running, tt.record, "v1", tt.trusted, time.FixedZone("EST", -5*3600)); got != tt.want {
			t.Errorf("%s: notice = %q, want %q", tt.name, got, tt.want)
		}
	}
}

package slots_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/slots"
)

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	v1   = slots.Release{Version: "v1", Digest: "sha256:1"}
	v2   = slots.Release{Version: "v2", Digest: "sha256:2"}
)

func TestRecordSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "os/slots.json")
	empty, err := slots.LoadRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	want := empty.Holds(slots.A, v1).Staged(slots.B, v2, noon).Add(slots.Failure{Release: v2, Slot: slots.B, At: noon, Reason: "r", Lines: []string{"l"}})
	for range 2 {
		if err := slots.SaveRecord(path, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := slots.LoadRecord(path)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("LoadRecord = %v (-want +got):\n%s", err, diff)
	}
}

// TestRecordOfOthers: what cannot be read is kept beside, and the machine goes on.
func TestRecordOfOthers(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"torn", `{"format":1,"slo`, "unexpected end of JSON input"},
		{"newer", `{"format":2}`, "its format is 2, and this system knows format 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "slots.json")
			if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := slots.LoadRecord(path)
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) || len(r.Slots) > 0 {
				t.Errorf("LoadRecord = %+v, %v, want an empty one and %s", r, err, tt.want)
			}
			if err := slots.SaveRecord(path, r.Holds(slots.A, v1)); err != nil {
				t.Fatal(err)
			}
			if old, err := os.ReadFile(path + ".old"); err != nil || string(old) != tt.text {
				t.Errorf("kept beside: %q, %v", old, err)
			}
			if r, err := slots.LoadRecord(path); err != nil || r.Slots[slots.A].Release != v1 {
				t.Errorf("LoadRecord = %+v, %v", r, err)
			}
		})
	}
}

// TestRecordChanges: no change touches the record that it is made from.
func TestRecordChanges(t *testing.T) {
	start := slots.Record{Format: 1}.Holds(slots.A, v1).Staged(slots.B, v2, noon)
	before := start
	failure := slots.Failure{Release: v2, Slot: slots.B, At: noon, Reason: "first"}
	failed := start.Add(failure)
	if f, ok := failed.Failed(v2.Digest); !ok || f.Reason != "first" || failed.Last != slots.Failed {
		t.Errorf("after a failure: %+v", failed)
	}
	if _, ok := failed.Failed(v1.Digest); ok {
		t.Error("v1 has failed, too")
	}
	failure.Reason = "second"
	if again := failed.Add(failure); len(again.Failures) != 1 || again.Failures[0].Reason != "second" {
		t.Errorf("the same release failed twice: %+v", again.Failures)
	}
	if kept := failed.Kept(slots.B, noon); len(kept.Failures) != 0 || kept.Last != slots.Committed || !kept.Committed.Equal(noon) {
		t.Errorf("after a commit: %+v", kept)
	}
	if wanted := failed.Wants(slots.B); len(wanted.Failures) != 0 || *wanted.Wanted != v2 {
		t.Errorf("after somebody wants it: %+v", wanted)
	}
	if cleared := start.Cleared(slots.B); cleared.Last != "" || len(cleared.Slots) != 1 {
		t.Errorf("after the slot was cleared: %+v", cleared)
	}
	many := start
	for i := range 20 {
		many = many.Add(slots.Failure{Release: slots.Release{Digest: string(rune('a' + i))}})
	}
	if len(many.Failures) != 10 || many.Failures[0].Digest != "t" {
		t.Errorf("of 20 failures %d are remembered, the newest is %q", len(many.Failures), many.Failures[0].Digest)
	}
	if diff := cmp.Diff(before, start); diff != "" || len(failed.Failures) != 1 {
		t.Errorf("a change has touched what it was made from (-want +got):\n%s", diff)
	}
}

func TestWhere(t *testing.T) {
	armed := slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}
	spent := slots.Boot{Committed: slots.A, Trial: slots.B}
	var none slots.Record
	for _, tt := range []struct {
		name    string
		boot    slots.Boot
		running slots.Running
		record  slots.Record
		other   bool
		want    slots.State
	}{
		{"new disk", slots.Boot{Committed: slots.A}, on(slots.A), none, false, slots.Idle},
		{"staged", slots.Boot{Committed: slots.A}, on(slots.A), none.Staged(slots.B, v2, noon), true, slots.Staged},
		{"staged, without a record", slots.Boot{Committed: slots.A}, on(slots.A), none, true, slots.Staged},
		{"armed", armed, on(slots.A), none, true, slots.Staged},
		{"on trial", spent, trying(slots.B, 0), none, true, slots.Trying},
		{"on trial, with a try left", armed, trying(slots.B, 1), none, true, slots.Trying},
		{"given up, not yet settled", spent, on(slots.A), none, true, slots.Failed},
		{"given up", slots.Boot{Committed: slots.A}, on(slots.A), none.Add(slots.Failure{}), true, slots.Failed},
		{"committed", slots.Boot{Committed: slots.B, Previous: slots.A}, on(slots.B), none.Kept(slots.B, noon), true, slots.Committed},
		{"committed, without a record", slots.Boot{Committed: slots.B, Previous: slots.A}, on(slots.B), none, true, slots.Committed},
		{"staged again after a failure", slots.Boot{Committed: slots.A}, on(slots.A), none.Add(slots.Failure{}).Staged(slots.B, v2, noon), true, slots.Staged},
	} {
		if got := slots.Where(tt.boot, tt.running, tt.record, tt.other); got != tt.want {
			t.Errorf("%s: Where = %s, want %s", tt.name, got, tt.want)
		}
	}
}

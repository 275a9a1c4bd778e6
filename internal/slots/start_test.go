package slots_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/slots"
)

func TestStart(t *testing.T) {
	const a, b = slots.A, slots.B
	armed := slots.Boot{Committed: a, Trial: b, Tries: 1}
	spent := slots.Boot{Committed: a, Trial: b}
	for _, tt := range []struct {
		name   string
		boot   slots.Boot
		medium slots.Medium
		want   slots.Start
		words  string
	}{
		{name: "committed", boot: slots.Boot{Committed: b, Previous: a},
			want: slots.Start{Slot: b, After: slots.Boot{Committed: b, Previous: a}}},
		{name: "trial", boot: armed, want: slots.Start{Slot: b, Trial: true, After: spent}, words: "ros.trial=0"},
		{name: "trial of three", boot: slots.Boot{Committed: a, Trial: b, Tries: 3}, words: "ros.trial=2",
			want: slots.Start{Slot: b, Trial: true, Left: 2, After: slots.Boot{Committed: a, Trial: b, Tries: 2}}},
		{name: "trial with arguments", boot: slots.Boot{Committed: a, Trial: b, Tries: 1, Args: "quiet"}, words: "ros.trial=0",
			want: slots.Start{Slot: b, Trial: true, After: slots.Boot{Committed: a, Trial: b, Args: "quiet"}}},
		{name: "exhausted", boot: spent, want: slots.Start{Slot: a, Failed: b, After: spent}, words: "ros.failed=B"},
		{name: "cannot count", boot: armed, medium: slots.Medium{ReadOnly: true}, words: "ros.failed=B ros.uncounted",
			want: slots.Start{Slot: a, Failed: b, Uncounted: true, After: armed}},
		{name: "trial cannot be loaded", boot: armed, medium: slots.Medium{Unloadable: []slots.Slot{b}}, words: "ros.failed=B",
			want: slots.Start{Slot: a, Failed: b, After: spent}},
		{name: "committed cannot be loaded", boot: slots.Boot{Committed: b, Previous: a}, medium: slots.Medium{Unloadable: []slots.Slot{b}},
			want: slots.Start{Slot: a, After: slots.Boot{Committed: b, Previous: a}}},
		{name: "committed cannot be loaded, and the other was never committed", boot: slots.Boot{Committed: b},
			medium: slots.Medium{Unloadable: []slots.Slot{b}}, want: slots.Start{After: slots.Boot{Committed: b}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.boot.Start(tt.medium)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Start differs (-want +got):\n%s", diff)
			}
			if words := strings.Join(got.Words(), " "); words != tt.words {
				t.Errorf("Words() = %q, want %q", words, tt.words)
			}
			// What the loader says is what the system understands.
			r := slots.FromCmdline(cmdline.Parse("quiet ros.slot=" + string(got.Slot) + " " + tt.words))
			want := slots.Running{Slot: got.Slot, Trial: got.Trial, Left: got.Left, Failed: got.Failed, Uncounted: got.Uncounted}
			if got.Slot == "" {
				want = slots.Running{}
			}
			if r != want {
				t.Errorf("FromCmdline = %+v, want %+v", r, want)
			}
		})
	}
}

func TestFromCmdline(t *testing.T) {
	for _, tt := range []struct {
		line string
		want slots.Running
	}{
		{"", slots.Running{}},
		{"ros.slot=iso ros.trial=1", slots.Running{}},
		{"ros.slot=A", slots.Running{Slot: "A"}},
		{"ros.slot=B ros.trial=x", slots.Running{Slot: "B", Trial: true}},
		{"ros.slot=B ros.trial=7", slots.Running{Slot: "B", Trial: true}},
		{"ros.slot=B ros.failed=C", slots.Running{Slot: "B"}},
	} {
		if got := slots.FromCmdline(cmdline.Parse(tt.line)); got != tt.want {
			t.Errorf("FromCmdline(%q) = %+v, want %+v", tt.line, got, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		boot slots.Boot
		want string
	}{
		{slots.Boot{}, `no slot is committed: ""`},
		{slots.Boot{Committed: "C"}, `no slot is committed: "C"`},
		{slots.Boot{Committed: "A", Previous: "A"}, `slot A is committed, so the previous one cannot be "A"`},
		{slots.Boot{Committed: "A", Trial: "A", Tries: 1}, `slot A is committed, so "A" cannot be on trial`},
		{slots.Boot{Committed: "A", Trial: "B", Tries: 4}, "a trial has 0 to 3 tries, not 4"},
		{slots.Boot{Committed: "A", Tries: 1}, "there are tries, but nothing is on trial"},
		{slots.Boot{Committed: "A", Args: "quiet"}, "there are kernel arguments of a trial, but nothing is on trial"},
		{slots.Boot{Committed: "A", Previous: "B", Trial: "B", Tries: 3}, ""},
	} {
		if got := text(tt.boot.Check()); got != tt.want {
			t.Errorf("(%+v).Check() = %q, want %q", tt.boot, got, tt.want)
		}
	}
}

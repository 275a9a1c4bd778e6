package slots_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/slots"
)

type change struct {
	name    string
	boot    slots.Boot
	do      func(slots.Boot) (slots.Boot, error)
	want    slots.Boot
	wantErr string
}

const live = `this is the live system: it has no slots ("ros install" puts it on a disk)`

func on(s slots.Slot) slots.Running { return slots.Running{Slot: s} }
func trying(s slots.Slot, left int) slots.Running {
	return slots.Running{Slot: s, Trial: true, Left: left}
}

func stage(s slots.Slot, r slots.Running) func(slots.Boot) (slots.Boot, error) {
	return func(b slots.Boot) (slots.Boot, error) { return b.Stage(s, r) }
}

func arm(s slots.Slot, tries int) func(slots.Boot) (slots.Boot, error) { return armWith(s, tries, "") }

func armWith(s slots.Slot, tries int, args string) func(slots.Boot) (slots.Boot, error) {
	return func(b slots.Boot) (slots.Boot, error) { return b.Arm(s, tries, args) }
}

func commit(r slots.Running) func(slots.Boot) (slots.Boot, error) {
	return func(b slots.Boot) (slots.Boot, error) { return b.Commit(r) }
}

func giveBack(r slots.Running) func(slots.Boot) (slots.Boot, error) {
	return func(b slots.Boot) (slots.Boot, error) { return b.GiveBack(r), nil }
}

func count(r slots.Running) func(slots.Boot) (slots.Boot, error) {
	return func(b slots.Boot) (slots.Boot, error) { return b.Count(r), nil }
}

func rollback(r slots.Running) func(slots.Boot) (slots.Boot, error) {
	return func(b slots.Boot) (slots.Boot, error) { return b.Rollback(r) }
}

func TestChanges(t *testing.T) {
	const a, b = slots.A, slots.B
	quiet := slots.Boot{Committed: a, Trial: b, Args: "quiet"}
	for _, tt := range []change{
		{name: "stage takes the previous away", boot: slots.Boot{Committed: a, Previous: b}, do: stage(b, on(a)),
			want: slots.Boot{Committed: a}},
		{name: "stage takes an armed trial away", boot: slots.Boot{Committed: a, Trial: b, Tries: 2}, do: stage(b, on(a)),
			want: slots.Boot{Committed: a}},
		{name: "stage nothing", boot: slots.Boot{Committed: a}, do: stage("", on(a)),
			want: slots.Boot{Committed: a}, wantErr: `"" is no slot: A or B`},
		{name: "stage what runs", boot: slots.Boot{Committed: a}, do: stage(a, on(a)),
			want: slots.Boot{Committed: a}, wantErr: "slot A cannot be written: it is running"},
		{name: "stage the running trial", boot: slots.Boot{Committed: a, Trial: b}, do: stage(b, trying(b, 0)),
			want:    slots.Boot{Committed: a, Trial: b},
			wantErr: `slot B cannot be written: it is running and not committed ("ros os commit" keeps it, "ros os rollback" leaves it)`},
		{name: "stage the committed one from the previous", boot: slots.Boot{Committed: a, Previous: b}, do: stage(a, on(b)),
			want:    slots.Boot{Committed: a, Previous: b},
			wantErr: `slot A cannot be written: it is the committed one, and slot B was started by hand ("ros os rollback" keeps that one)`},

		{name: "arm", boot: slots.Boot{Committed: b}, do: arm(a, 1), want: slots.Boot{Committed: b, Trial: a, Tries: 1}},
		{name: "arm the previous", boot: slots.Boot{Committed: a, Previous: b}, do: arm(b, 3),
			want: slots.Boot{Committed: a, Previous: b, Trial: b, Tries: 3}},
		{name: "arm the committed one", boot: slots.Boot{Committed: a}, do: arm(a, 1),
			want: slots.Boot{Committed: a}, wantErr: `slot "A" cannot be tried: slot A is the committed one`},
		{name: "arm for nothing", boot: slots.Boot{Committed: a}, do: arm(b, 0),
			want: slots.Boot{Committed: a}, wantErr: "a trial can have 1 to 3 tries, not 0"},
		{name: "arm for too much", boot: slots.Boot{Committed: a}, do: arm(b, 4),
			want: slots.Boot{Committed: a}, wantErr: "a trial can have 1 to 3 tries, not 4"},

		{name: "arm with arguments", boot: slots.Boot{Committed: a}, do: armWith(b, 1, "quiet"),
			want: slots.Boot{Committed: a, Trial: b, Tries: 1, Args: "quiet"}},
		{name: "arm again without", boot: quiet, do: arm(b, 1), want: slots.Boot{Committed: a, Trial: b, Tries: 1}},
		{name: "stage takes the arguments away", boot: quiet, do: stage(b, on(a)), want: slots.Boot{Committed: a}},
		{name: "commit leaves the arguments to the boot loader", boot: quiet, do: commit(trying(b, 0)), want: slots.Boot{Committed: b, Previous: a}},
		{name: "roll back the arguments", boot: quiet, do: rollback(trying(b, 0)), want: slots.Boot{Committed: a}},
		{name: "give back keeps the arguments", boot: quiet, do: giveBack(trying(b, 0)),
			want: slots.Boot{Committed: a, Trial: b, Tries: 1, Args: "quiet"}},

		{name: "commit", boot: slots.Boot{Committed: a, Trial: b}, do: commit(trying(b, 0)), want: slots.Boot{Committed: b, Previous: a}},
		{name: "commit with tries left", boot: slots.Boot{Committed: a, Trial: b, Tries: 2}, do: commit(trying(b, 2)),
			want: slots.Boot{Committed: b, Previous: a}},
		{name: "commit again", boot: slots.Boot{Committed: b, Previous: a}, do: commit(trying(b, 0)), want: slots.Boot{Committed: b, Previous: a}},
		{name: "commit what runs beside an armed trial", boot: slots.Boot{Committed: a, Trial: b, Tries: 1}, do: commit(on(a)),
			want: slots.Boot{Committed: a, Trial: b, Tries: 1}, wantErr: "slot A is running, but it is not on trial"},
		{name: "commit a trial that was taken back", boot: slots.Boot{Committed: a}, do: commit(trying(b, 0)),
			want: slots.Boot{Committed: a}, wantErr: "slot B is running, but it is not on trial"},
		{name: "commit the live system", boot: slots.Boot{Committed: a}, do: commit(on("")), want: slots.Boot{Committed: a}, wantErr: live},

		{name: "give back", boot: slots.Boot{Committed: a, Trial: b}, do: giveBack(trying(b, 0)), want: slots.Boot{Committed: a, Trial: b, Tries: 1}},
		{name: "give back twice", boot: slots.Boot{Committed: a, Trial: b, Tries: 1}, do: giveBack(trying(b, 0)),
			want: slots.Boot{Committed: a, Trial: b, Tries: 1}},
		{name: "nothing to give back", boot: slots.Boot{Committed: b, Previous: a}, do: giveBack(trying(b, 0)), want: slots.Boot{Committed: b, Previous: a}},
		{name: "not a trial", boot: slots.Boot{Committed: a, Trial: b, Tries: 1}, do: giveBack(on(a)), want: slots.Boot{Committed: a, Trial: b, Tries: 1}},

		{name: "count", boot: slots.Boot{Committed: a, Trial: b, Tries: 1}, do: count(trying(b, 0)), want: slots.Boot{Committed: a, Trial: b}},
		{name: "counted already", boot: slots.Boot{Committed: a, Trial: b, Tries: 2}, do: count(trying(b, 2)),
			want: slots.Boot{Committed: a, Trial: b, Tries: 2}},
		{name: "nothing to count", boot: slots.Boot{Committed: b, Previous: a}, do: count(trying(b, 0)), want: slots.Boot{Committed: b, Previous: a}},
		{name: "another is on trial", boot: slots.Boot{Committed: a, Trial: b, Tries: 1}, do: count(on(a)),
			want: slots.Boot{Committed: a, Trial: b, Tries: 1}},

		{name: "roll back", boot: slots.Boot{Committed: b, Previous: a}, do: rollback(on(b)), want: slots.Boot{Committed: a, Previous: b}},
		{name: "keep the previous, started by hand", boot: slots.Boot{Committed: b, Previous: a}, do: rollback(on(a)), want: slots.Boot{Committed: a, Previous: b}},
		{name: "roll back a running trial", boot: slots.Boot{Committed: a, Trial: b}, do: rollback(trying(b, 0)), want: slots.Boot{Committed: a}},
		{name: "roll back an armed trial", boot: slots.Boot{Committed: a, Previous: b, Trial: b, Tries: 1}, do: rollback(on(a)),
			want: slots.Boot{Committed: a, Previous: b}},
		{name: "nothing to roll back to", boot: slots.Boot{Committed: a}, do: rollback(on(a)), want: slots.Boot{Committed: a},
			wantErr: "there is nothing to go back to: the other slot has no system that was committed once"},
		{name: "roll back the live system", boot: slots.Boot{Committed: b, Previous: a}, do: rollback(on("")),
			want: slots.Boot{Committed: b, Previous: a}, wantErr: live},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.do(tt.boot)
			if text(err) != tt.wantErr {
				t.Fatalf("error = %q, want %q", text(err), tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Boot differs (-want +got):\n%s", diff)
			}
			if err := got.Check(); err != nil {
				t.Errorf("Check() = %v, want nil", err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

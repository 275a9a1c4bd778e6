package supervise

import (
	"slices"
	"testing"

	"github.com/rosteros/ros/internal/compose"
)

// TestJudge is the whole table of what each condition makes of each state of a
// dependency: "-" goes on, "wait" waits, anything else is why it fails.
func TestJudge(t *testing.T) {
	states := []State{Waiting, Starting, Running, Healthy, Unhealthy, Backoff, Stopping, Stopped, Done, Failed}
	const (
		never = "depends on x, which ended and so never is healthy"
		fails = "depends on x, which failed: why"
	)
	for _, tt := range []struct {
		condition compose.Condition
		required  bool
		want      []string // by states
	}{
		//                          waiting starting running healthy unhealthy backoff stopping stopped done failed
		{compose.Started, true, []string{"wait", "wait", "-", "-", "-", "wait", "wait", "wait", "-", fails}},
		{compose.Started, false, []string{"wait", "wait", "-", "-", "-", "-", "wait", "-", "-", "-"}},
		{compose.Healthy, true, []string{"wait", "wait", "wait", "-", "wait", "wait", "wait", "wait", never, fails}},
		{compose.Healthy, false, []string{"wait", "wait", "wait", "-", "-", "-", "wait", "-", "-", "-"}},
		{compose.Completed, true, []string{"wait", "wait", "wait", "wait", "wait", "wait", "wait", "wait", "-", fails}},
		{compose.Completed, false, []string{"wait", "wait", "wait", "wait", "-", "-", "wait", "-", "-", "-"}},
	} {
		deps := []compose.Dependency{{Service: "x", Condition: tt.condition, Required: tt.required}}
		var got []string
		for _, state := range states {
			x := view{Service: Service{Name: "x", State: state, Reason: "why", OneShot: true}, checked: true}
			got = append(got, word(judge(deps, func(string) (view, bool) { return x, true })))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s, required %v:\n got %q\nwant %q", tt.condition, tt.required, got, tt.want)
		}
	}
}

func word(v verdict) string {
	switch {
	case v.failed != "":
		return v.failed
	case len(v.waitsFor) > 0:
		return "wait"
	}
	return "-"
}

func TestJudgeWhatCanNeverBeMet(t *testing.T) {
	running := view{Service: Service{Name: "x", State: Running}}
	for _, tt := range []struct {
		condition compose.Condition
		known     bool
		want      string
	}{
		{compose.Started, false, "depends on x, which does not exist"},
		{compose.Healthy, true, "depends on x, which has no healthcheck and so never is healthy"},
		{compose.Completed, true, "depends on x, which is restarted when it ends and so never is done"},
	} {
		for _, required := range []bool{true, false} {
			deps := []compose.Dependency{{Service: "x", Condition: tt.condition, Required: required}}
			want := "-"
			if required {
				want = tt.want
			}
			if got := word(judge(deps, func(string) (view, bool) { return running, tt.known })); got != want {
				t.Errorf("%s, required %v: %q, want %q", tt.condition, required, got, want)
			}
		}
	}
}

func TestWaitsForAllAtOnce(t *testing.T) {
	deps := []compose.Dependency{
		{Service: "a", Condition: compose.Healthy, Required: true},
		{Service: "b", Condition: compose.Completed, Required: true},
		{Service: "c", Condition: compose.Started, Required: true},
	}
	states := map[string]State{"a": Starting, "b": Waiting, "c": Stopped}
	got := judge(deps, func(name string) (view, bool) {
		return view{Service: Service{State: states[name], OneShot: true}, checked: true}, true
	})
	want := []string{"a to be healthy", "b to be done", "c to be started (it is stopped)"}
	if !slices.Equal(got.waitsFor, want) {
		t.Errorf("waits for %q, want %q", got.waitsFor, want)
	}
}

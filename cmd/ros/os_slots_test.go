package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/slots"
)

var (
	first  = slots.Content{Release: slots.Release{Version: "v1", Digest: "sha256:1111111111111111"}}
	second = slots.Content{Release: slots.Release{Version: "v2", Digest: "sha256:2222222222222222"}}
)

func TestOSStatus(t *testing.T) {
	kept := ago(0)
	both := map[slots.Slot]slots.Content{slots.A: first, slots.B: second}
	for _, tt := range []struct {
		name   string
		status slots.Status
		want   string
	}{
		{"live", slots.Status{State: slots.Idle, Version: "v1"},
			`v1 runs from a live medium: it has no slots, and nothing can be upgraded or rolled back.
"ros install" puts it on a disk.
warning: this OS image was built without a key, so it cannot tell whose releases are to be trusted (rancher.upgrade.trusted_keys)
`},
		{"idle", slots.Status{State: slots.Idle, Version: "v1", Running: slots.Running{Slot: slots.A}, Boot: &slots.Boot{Committed: slots.A}, Next: slots.A,
			Slots: map[slots.Slot]slots.Content{slots.A: first}, TrustedKey: true},
			`State       idle
Running     v1  slot A  sha256:111111111111
Committed   v1  slot A  sha256:111111111111
Next start  v1  slot A  sha256:111111111111
`},
		{"trying", slots.Status{State: slots.Trying, Version: "v2", Running: slots.Running{Slot: slots.B, Trial: true},
			Boot: &slots.Boot{Committed: slots.A, Trial: slots.B}, Next: slots.A, Slots: both, Wanted: &second.Release, TrustedKey: true},
			`State       trying (this is its last start unless it is committed)
Running     v2  slot B  sha256:222222222222
Committed   v1  slot A  sha256:111111111111
Wanted      v2          sha256:222222222222
Next start  v1  slot A  sha256:111111111111
`},
		{"staged with arguments", slots.Status{State: slots.Staged, Version: "v1", Running: slots.Running{Slot: slots.A},
			Boot: &slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1, Args: "quiet"}, Next: slots.B, Slots: both, TrustedKey: true},
			`State       staged (the next start tries it)
Arguments   quiet (on trial too: a commit keeps them)
Running     v1  slot A  sha256:111111111111
Committed   v1  slot A  sha256:111111111111
Staged      v2  slot B  sha256:222222222222
Next start  v2  slot B  sha256:222222222222
`},
		{"committed", slots.Status{State: slots.Committed, Version: "v2", Running: slots.Running{Slot: slots.B}, Committed: &kept,
			Boot: &slots.Boot{Committed: slots.B, Previous: slots.A}, Next: slots.B, Slots: both, TrustedKey: true, Warnings: []string{"a b"}},
			`State       committed
Running     v2  slot B  sha256:222222222222
Committed   v2  slot B  sha256:222222222222  since 2026-11-23 12:00
Previous    v1  slot A  sha256:111111111111
Next start  v2  slot B  sha256:222222222222
warning: a b
`},
		{"failed", slots.Status{State: slots.Failed, Version: "v1", Running: slots.Running{Slot: slots.A, Failed: slots.B},
			Boot: &slots.Boot{Committed: slots.A}, Next: slots.A, Slots: both, Wanted: &second.Release, TrustedKey: true,
			Failure: &slots.Failure{Release: second.Release, Slot: slots.B, At: ago(3e9), Check: "service network", Reason: "it is unhealthy", Lines: []string{"one", "two"}}},
			`State       failed
Running     v1  slot A  sha256:111111111111
Committed   v1  slot A  sha256:111111111111
Wanted      v2          sha256:222222222222
Next start  v1  slot A  sha256:111111111111

v2 (slot B) was given up at 2026-11-23 11:59:57:
    service network: it is unhealthy
The last lines of its log:
    one
    two
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newApp(t, &fakeRosd{os: tt.status}).try("ros os status")
			if diff := cmp.Diff(tt.want, got.out); diff != "" || got.code != 0 || got.err != "" {
				t.Errorf("exit %d, %s (-want +got):\n%s", got.code, got.err, diff)
			}
		})
	}
	json := newApp(t, &fakeRosd{os: slots.Status{State: slots.Idle}}).try("ros os status --json")
	if !strings.Contains(json.out, `"state": "idle"`) || json.code != 0 {
		t.Errorf("ros os status --json = %+v", json)
	}
}

func TestOSCommitAndRollback(t *testing.T) {
	const (
		done   = `{"event":"result","result":{"boot":{"committed":"B"},"slot":"B","version":"v2"}}`
		back   = `{"event":"result","result":{"boot":{"committed":"A"},"slot":"A","version":"v1","restart":true}}`
		reboot = `{"op":"reboot"}` + "\n"
		goes   = "v1 in slot A starts next.\n"
	)
	for _, tt := range []struct {
		line, typed string
		events      string
		want        result
		asked       []string
		told        string
	}{
		{line: "ros os commit", events: done, want: result{out: "v2 in slot B is committed.\n"}, asked: []string{"os commit {}"}},
		{line: "ros os commit", events: strings.Replace(done, `"slot"`, `"nothing":"slot B is committed already","slot"`, 1),
			want: result{out: "Nothing to do: slot B is committed already.\n"}, asked: []string{"os commit {}"}},
		{line: "ros os commit", events: `{"event":"error","error":"cannot commit: slot A is running, but it is not on trial"}`,
			want: result{code: 1, err: "ros: cannot commit: slot A is running, but it is not on trial\n"}, asked: []string{"os commit {}"}},
		{line: "ros os commit now", want: result{code: 2, err: "ros: cannot use \"now\": \"ros os commit\" takes no arguments\ntry: ros os commit --help\n"}},
		{line: "ros os rollback", want: result{code: 2,
			err: "ros: cannot ask before the restart: this is not a terminal, or for a program\ntry: ros os rollback --force\n"}},
		{line: "ros os rollback", typed: "n\n", want: result{out: "Go back to the release before and restart? [y/N] "}},
		{line: "ros os rollback -f", events: back, want: result{out: goes + "The machine will reboot now.\n"}, asked: []string{"os rollback {}"}, told: reboot},
		{line: "ros os rollback --no-reboot", events: back, want: result{out: goes}, asked: []string{"os rollback {}"}},
		{line: "ros os rollback -f", events: done, want: result{out: "v2 in slot B starts next.\n"}, asked: []string{"os rollback {}"}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			rosd := &fakeRosd{work: map[string]string{"commit": tt.events + "\n", "rollback": tt.events + "\n"}}
			pid1 := &fakeInit{answer: `{"ok":true}`}
			a := newApp(t, rosd)
			a.terminal, a.stdin = tt.typed != "", strings.NewReader(tt.typed)
			pid1.serve(t, a.initSocket)
			check(t, a, tt.line, tt.want)
			asks(t, rosd, tt.asked...)
			if got := strings.Join(pid1.told, ""); got != tt.told {
				t.Errorf("%s tells PID 1 %q, want %q", tt.line, got, tt.told)
			}
		})
	}
}

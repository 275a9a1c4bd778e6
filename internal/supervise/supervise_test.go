package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// TestNextRosd is what a rosd makes of what an earlier one of the same boot
// has left: before is its time, five seconds long; between is what happens
// while there is no rosd.
func TestNextRosd(t *testing.T) {
	type defs = []supervise.Definition
	for _, tt := range []struct {
		name    string
		before  defs
		runs    map[string][]run
		steps   []step
		between func(*rig)
		after   defs
		want    string
	}{
		{
			name:   "running services go on",
			before: defs{service("network", checked), service("ntp", after("network", compose.Healthy))},
			want: `
				0s network starting
				0s network healthy
				0s ntp starting
				0s ntp running`,
		},
		{
			name:   "a changed definition restarts nothing",
			before: defs{service("ntp")},
			after:  defs{service("ntp", command("chronyd"))},
			want: `
				0s ntp starting
				0s ntp running`,
		},
		{
			name:   "neither does a file that is bad or gone",
			before: defs{service("ntp"), service("cron")},
			after:  defs{{Service: compose.Service{Name: "ntp"}, Fault: "ntp.yml:1: bad"}},
			want: `
				0s cron starting
				0s cron running: runs, but no service file describes it
				0s ntp starting
				0s ntp running: runs, but its file cannot be used: ntp.yml:1: bad`,
		},
		{
			name:   "a one-shot does not run twice, and its dependants may start",
			before: defs{service("keys", once)},
			runs:   map[string][]run{"keys": {{ends: time.Second}}},
			after:  defs{service("keys", once), service("ssh", after("keys", compose.Completed))},
			want: `
				0s keys done
				0s ssh starting
				0s ssh running`,
		},
		{
			name:   "a one-shot that ended in between is done",
			before: defs{service("keys", once)},
			runs:   map[string][]run{"keys": {{ends: 6 * time.Second}}},
			want: `
				0s keys starting
				0s keys running
				0s keys done`,
		},
		{
			name:   "a service that ended in between is restarted by its policy",
			before: defs{service("ntp")},
			runs:   map[string][]run{"ntp": {{ends: 6 * time.Second}, {}}},
			want: `
				0s ntp starting
				0s ntp running
				0s ntp backoff: exited with code 0
				100ms ntp starting
				100ms ntp running`,
		},
		{
			name:   "what failed by itself stays so; what failed through others is looked at again",
			before: defs{service("keys", once), service("ssh", after("keys", compose.Completed)), service("cron", after("none", compose.Started))},
			runs:   map[string][]run{"keys": {{ends: time.Second, code: 4}}},
			after:  defs{service("keys", once), service("ssh", after("keys", compose.Completed)), service("cron")},
			want: `
				0s cron starting
				0s cron running
				0s keys failed: exited with code 4: last words of keys
				0s ssh failed: depends on keys, which failed: exited with code 4: last words of keys`,
		},
		{
			name:   "what an operator stopped stays stopped",
			before: defs{service("ntp")},
			steps:  []step{{time.Second, does(supervise.Stop, "ntp")}},
			want: `
				0s ntp stopped`,
		},
		{
			name:   "a stop goes on",
			before: defs{service("ntp"), service("cron")},
			runs:   map[string][]run{"ntp": {{deaf: true}}, "cron": {{stopping: 2 * time.Second}}},
			steps: []step{
				{4 * time.Second, does(supervise.Stop, "ntp")},
				{4 * time.Second, does(supervise.Stop, "cron")},
			},
			want: `
				0s cron stopping
				0s cron stopped
				0s ntp stopping
				10s ntp stopped`,
		},
		{
			name:   "containerd is waited for, and nothing is started twice meanwhile",
			before: defs{service("ntp")},
			between: func(r *rig) {
				r.room.setDown(true)
				time.AfterFunc(3100*time.Millisecond, func() { r.room.setDown(false) })
			},
			want: `
				1.5s ntp starting
				1.5s ntp running`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				room := newRoom(tt.runs)
				first := start(t, dir, room, tt.before...)
				for _, s := range tt.steps {
					time.Sleep(s.at - time.Since(first.begin))
					s.what(first)
				}
				time.Sleep(5*time.Second - time.Since(first.begin))
				first.end()
				if tt.between != nil {
					tt.between(first)
				}
				time.Sleep(2 * time.Second)
				if tt.after == nil {
					tt.after = tt.before
				}
				second := start(t, dir, room, tt.after...)
				time.Sleep(time.Minute)
				if diff := cmp.Diff(unindent(tt.want), second.story()); diff != "" {
					t.Errorf("story of the second rosd (-want +got):\n%s", diff)
				}
				second.end()
			})
		})
	}
}

// TestService looks at what is said of a service beside its state.
func TestService(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		room := newRoom(map[string][]run{"network": {{takes: time.Second, healthy: 2 * time.Second}}, "ntp": {{ends: 3 * time.Second, code: 9}, {}}})
		defs := []supervise.Definition{service("network", checked), service("ntp", after("network", compose.Healthy)), service("keys", once)}
		r := start(t, dir, room, defs...)
		ignore := cmpopts.IgnoreFields(supervise.Service{}, "Scope", "Image", "File", "Since")

		want := supervise.Service{Name: "ntp", State: supervise.Waiting, WaitingFor: []string{"network to be healthy"}}
		if diff := cmp.Diff(want, r.service("ntp"), ignore); diff != "" {
			t.Errorf("while it waits (-want +got):\n%s", diff)
		}
		time.Sleep(10 * time.Second)
		// The network is probed 0.2, 0.6, 1.4 and 2.4 s after its start at 1 s.
		// Seconds of the boot begin at 1 here.
		want = supervise.Service{
			Name: "ntp", State: supervise.Running, Pid: 4000, Restarts: 1,
			StartedAt: r.begin.Add(6550 * time.Millisecond), BootStart: 4.4, BootReady: 4.4,
		}
		if diff := cmp.Diff(want, r.service("ntp"), ignore); diff != "" {
			t.Errorf("after its restart (-want +got):\n%s", diff)
		}
		r.do(supervise.Stop, "ntp", supervise.Options{})
		r.end()

		time.Sleep(time.Second)
		defs[0] = service("network", checked, command("dhcpcd"))
		defs[1].Service.Restart.Mode = compose.RestartNo
		second := start(t, dir, room, defs...)
		want = supervise.Service{
			Name: "network", State: supervise.Healthy, Pid: 4000, Adopted: true, Changed: true,
			StartedAt: r.begin.Add(time.Second), BootStart: 1, BootReady: 4.4,
		}
		if diff := cmp.Diff(want, second.service("network"), ignore); diff != "" {
			t.Errorf("adopted (-want +got):\n%s", diff)
		}
		want = supervise.Service{Name: "ntp", State: supervise.Stopped, OneShot: true, Restarts: 1, BootStart: 4.4, BootReady: 4.4}
		oneFourThree := 143
		want.ExitCode = &oneFourThree
		if diff := cmp.Diff(want, second.service("ntp"), ignore); diff != "" {
			t.Errorf("stopped before (-want +got):\n%s", diff)
		}
		second.end()
	})
}

func TestConcurrency(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		runs := map[string][]run{}
		var defs []supervise.Definition
		for i := range 14 {
			name := fmt.Sprintf("a%02d", i)
			runs[name] = []run{{takes: time.Second}}
			defs = append(defs, service(name))
		}
		// Others wait for these two, so they come first whatever they are called.
		runs["z1"], runs["z2"] = []run{{takes: time.Second}}, []run{{takes: time.Second}}
		defs = append(defs, service("z1"), service("z2", after("z1", compose.Started)), service("z3", after("z2", compose.Started)))
		room := newRoom(runs)
		r := start(t, dir, room, defs...)
		time.Sleep(time.Minute)
		synctest.Wait()
		if room.mostly != supervise.DefaultConcurrency {
			t.Errorf("%d containers were made at once, want %d", room.mostly, supervise.DefaultConcurrency)
		}
		if len(room.began) != len(defs) {
			t.Errorf("started %v, want each of %d services once", room.began, len(defs))
		}
		if first := r.service("z1").StartedAt.Sub(r.begin); first != time.Second {
			t.Errorf("z1, which others wait for, was up after %v, want 1s", first)
		}
		if second := r.service("z2").StartedAt.Sub(r.begin); second != 3*time.Second {
			t.Errorf("z2, which asked last but another waits for, was up after %v, want 3s, before the rest", second)
		}
		r.end()
	})
}

func TestStartLast(t *testing.T) {
	last := func(s *compose.Service) { s.StartLast = true }
	for _, tt := range []struct {
		name  string
		other supervise.Definition
		takes time.Duration
		want  time.Duration
	}{
		{"waits until the other is healthy", service("other", checked), 5 * time.Second, 5200 * time.Millisecond},
		{"waits a minute for one that never comes up", service("other"), 3 * time.Minute, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				room := newRoom(map[string][]run{"other": {{takes: tt.takes}}})
				r := start(t, dir, room, tt.other, service("late", last), service("later", last, after("late", compose.Started)))
				time.Sleep(4 * time.Second)
				if got := r.service("late"); got.State != supervise.Waiting || !slices.Equal(got.WaitingFor, []string{"the others to start"}) {
					t.Errorf("late is %s for %v, want it to wait for the others to start", got.State, got.WaitingFor)
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if up := r.service("late").StartedAt.Sub(r.begin); up != tt.want {
					t.Errorf("late was up after %v, want %v", up, tt.want)
				}
				if got := r.service("later").State; got != supervise.Running {
					t.Errorf("later is %s, want running", got)
				}
				r.end()
			})
		})
	}
}

func TestProbesComeOftenWhileYoung(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		room := newRoom(map[string][]run{"docker": {{healthy: 3 * time.Second}}})
		r := start(t, dir, room, service("docker", checked))
		time.Sleep(25 * time.Second)
		synctest.Wait()
		ms := time.Millisecond
		want := []time.Duration{200 * ms, 600 * ms, 1400 * ms, 2400 * ms, 3400 * ms, 13400 * ms, 23400 * ms}
		if diff := cmp.Diff(want, room.probes["docker"]); diff != "" {
			t.Errorf("probes (-want +got):\n%s", diff)
		}
		r.end()
	})
}

func TestProbesThatTakeLongComeLessOften(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		half := 500 * time.Millisecond
		room := newRoom(map[string][]run{"docker": {{healthy: 8 * time.Second, probing: half}}})
		r := start(t, dir, room, service("docker", checked))
		time.Sleep(25 * time.Second)
		synctest.Wait()
		// Each is noted at its end; four times as long is left to the service.
		first, pause := 700*time.Millisecond, 2*time.Second+half
		want := []time.Duration{first, first + pause, first + 2*pause, first + 3*pause, first + 3*pause + 10*time.Second + half}
		if diff := cmp.Diff(want, room.probes["docker"]); diff != "" {
			t.Errorf("probes (-want +got):\n%s", diff)
		}
		r.end()
	})
}

func TestEndedTasksAreDeleted(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		room := newRoom(map[string][]run{"job": {{ends: time.Second}}, "ntp": {{ends: time.Second}, {}}})
		r := start(t, dir, room, service("job", once), service("ntp"))
		time.Sleep(500 * time.Millisecond)
		room.setDown(true)
		time.Sleep(5 * time.Second)
		room.setDown(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff(map[string]int{"job": 1, "ntp": 1}, room.deleted); diff != "" {
			t.Errorf("deleted tasks (-want +got):\n%s", diff)
		}
		r.do(supervise.Remove, "job", supervise.Options{})
		if diff := cmp.Diff([]string{"job"}, room.removed); diff != "" {
			t.Errorf("removed containers (-want +got):\n%s", diff)
		}
		r.end()
	})
}

// TestRecordComesBeforeDelete: a rosd that dies in between must not leave a
// one-shot of which nobody knows that it has run.
func TestRecordComesBeforeDelete(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		room := newRoom(map[string][]run{"keys": {{ends: time.Second}}})
		record := ""
		room.onDelete = func(name string) {
			text, err := os.ReadFile(filepath.Join(dir, name+".json"))
			if err != nil {
				t.Error(err)
			}
			record = string(text)
		}
		r := start(t, dir, room, service("keys", once))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !strings.Contains(record, `"state":"done"`) {
			t.Errorf("when its task was deleted the record of keys was %q, want state done", record)
		}
		r.end()
	})
}

func TestDoWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		room := newRoom(map[string][]run{"ntp": {{takes: time.Second, healthy: time.Second, stopping: 2 * time.Second}}})
		r := start(t, dir, room, service("ntp", checked))
		time.Sleep(30 * time.Second)
		for _, tt := range []struct {
			verb supervise.Verb
			wait bool
			want supervise.State
			took time.Duration
		}{
			{supervise.Start, true, supervise.Healthy, 0},
			{supervise.Stop, false, supervise.Stopping, 0},
			{supervise.Stop, true, supervise.Stopped, 2 * time.Second},
			{supervise.Start, false, supervise.Starting, 0},
			{supervise.Start, true, supervise.Healthy, 2400 * time.Millisecond},
			{supervise.Restart, true, supervise.Healthy, 4400 * time.Millisecond},
			{supervise.Up, true, supervise.Healthy, 0},
		} {
			began := time.Now()
			got, err := r.sup.Do(t.Context(), "ntp", tt.verb, supervise.Options{Wait: tt.wait})
			if err != nil || got.State != tt.want || time.Since(began) != tt.took {
				t.Errorf("Do(%q, wait %v) = %s, %v after %v; want %s after %v", tt.verb, tt.wait, got.State, err, time.Since(began), tt.want, tt.took)
			}
		}
		r.end()
	})
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, newRoom(nil), service("ntp"), service("network"), service("job", once),
			supervise.Definition{Service: compose.Service{Name: "ssh"}, Fault: "ssh.yml:3: bad"})
		r.do(supervise.Stop, "job", supervise.Options{})
		for _, tt := range []struct {
			verb supervise.Verb
			name string
			want string
		}{
			{supervise.Start, "netwrok", `no service "netwrok"; there are: job, network, ntp, ssh; did you mean "network"?`},
			{supervise.Start, "zebra", `no service "zebra"; there are: job, network, ntp, ssh`},
			{supervise.Start, "ssh", `cannot start service "ssh": ssh.yml:3: bad`},
			{supervise.Up, "ssh", `cannot bring up service "ssh": ssh.yml:3: bad`},
			{supervise.Kill, "job", `cannot kill service "job": it is not running`},
			{supervise.Remove, "ntp", `cannot remove service "ntp": it is running; stop it first`},
			{"polish", "ntp", `cannot polish service "ntp": there is no verb "polish"`},
		} {
			_, err := r.sup.Do(t.Context(), tt.name, tt.verb, supervise.Options{})
			if err == nil || err.Error() != tt.want {
				t.Errorf("Do(%q, %q) error = %v, want %s", tt.verb, tt.name, err, tt.want)
			}
		}
		if err := r.sup.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() error = %v", err)
		}
		_, err := r.sup.Do(t.Context(), "ntp", supervise.Start, supervise.Options{})
		if want := `cannot start service "ntp": the machine is being shut down`; err == nil || err.Error() != want {
			t.Errorf("Do(start) error = %v, want %s", err, want)
		}
		r.end()
		_, err = r.sup.Do(t.Context(), "ntp", supervise.Start, supervise.Options{})
		if want := `cannot start service "ntp": rosd is ending`; err == nil || err.Error() != want {
			t.Errorf("Do(start) error = %v, want %s", err, want)
		}
	})
}

// Whoever waits, and not long enough, hears what the service waits for.
func TestWaitIsBounded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, newRoom(map[string][]run{"network": {{healthy: time.Hour}}, "web": {{}}}),
			service("network", checked), service("web", after("network", compose.Healthy)))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("not there after 5s"))
		defer cancel()
		_, err := r.sup.Do(ctx, "web", supervise.Up, supervise.Options{Wait: true})
		if want := `service "web" is waiting for network to be healthy: not there after 5s`; err == nil || err.Error() != want {
			t.Errorf("Do(up) error = %v, want %s", err, want)
		}
		r.end()
	})
}

func TestShutdownIsBounded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, newRoom(map[string][]run{"docker": {{deaf: true}}, "ntp": {{}}}),
			service("docker", grace(time.Hour)), service("ntp"))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		err := r.sup.Shutdown(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "cannot stop docker in time: context deadline exceeded" {
			t.Errorf("Shutdown() error = %v", err)
		}
		r.end()
	})
}

func TestShutdownWhileContainerdIsDown(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		room := newRoom(nil)
		first := start(t, dir, room, service("ntp"))
		first.end()
		room.setDown(true)
		r := start(t, dir, room, service("ntp"))
		if err := r.sup.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() error = %v", err)
		}
		// It answers after all: what runs has to be stopped too.
		room.setDown(false)
		time.Sleep(5 * time.Second)
		if s := r.service("ntp"); s.State != supervise.Stopped {
			t.Errorf("ntp is %s, want stopped", s.State)
		}
		if len(room.live) != 0 {
			t.Errorf("%d tasks run after a shutdown", len(room.live))
		}
		r.end()
	})
}

func TestSlowReaderIsCutOff(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, newRoom(map[string][]run{"ntp": {{ends: time.Second}}}), service("ntp"))
		events, stop := r.sup.Events()
		defer stop()
		time.Sleep(time.Hour)
		n := 0
		for range events {
			n++
		}
		if n == 0 || n > 1000 {
			t.Errorf("read %d events before the end, want a few hundred", n)
		}
		r.end()
	})
}

func TestDamagedRecordIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ntp.json"), []byte(`{"state":`), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, newRoom(nil), service("ntp"))
		if s := r.service("ntp"); s.State != supervise.Running {
			t.Errorf("ntp is %s, want running", s.State)
		}
		r.end()
	})
}

func TestErrorClasses(t *testing.T) {
	plain := errors.New("plain")
	wrapped := fmt.Errorf("cannot start: %w", supervise.Down(plain))
	if !supervise.IsDown(wrapped) || supervise.IsPermanent(wrapped) || !errors.Is(wrapped, plain) || wrapped.Error() != "cannot start: plain" {
		t.Errorf("Down does not mark %v as it says", wrapped)
	}
	if supervise.Down(nil) != nil || supervise.Permanent(nil) != nil || supervise.IsDown(plain) || !supervise.IsPermanent(supervise.Permanent(plain)) {
		t.Error("marks are not what they say")
	}
}

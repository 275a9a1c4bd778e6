package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/reaper"
)

// notePartition is a file in place of the partition.
func notePartition(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "note")
	if err := os.WriteFile(path, make([]byte, bootnote.PartSize), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func at(device string) func() (string, error) {
	return func() (string, error) { return device, nil }
}

// trialMachine is a machine whose boot is a trial of slot B.
func trialMachine(t *testing.T) (m *machine, s *screen, note string) {
	t.Helper()
	m, s = testMachine(t)
	note = notePartition(t)
	m.trial.begin(bootnote.Note{BootID: "this boot", Slot: "B", RootHash: "b66236", Tries: 0}, 0, at(note))
	return m, s, note
}

func checkNote(t *testing.T, device string, want bootnote.Note) {
	t.Helper()
	got, err := bootnote.Read(device)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(bootnote.Note{}, "At", "Uptime", "Began")); diff != "" {
		t.Errorf("note (-want +got):\n%s", diff)
	}
}

// order is what PID 1 was told to do with the machine.
func (p *power) taken() string {
	select {
	case o := <-p.orders:
		return o.op
	default:
		return "nothing"
	}
}

// What opens a rescue shell on every other boot ends a trial.
func TestTrialFails(t *testing.T) {
	kernel := []string{"the kernel says"}
	for _, tt := range []struct {
		name string
		run  func(m *machine)
		want bootnote.Note // of what the trial adds to it
	}{
		{
			name: "required phase",
			run: func(m *machine) {
				err := m.runPhases(1, []phase{
					{"image", result("", nil), required, inline},
					{"verity", result("", errors.New("the root hash differs")), required, inline},
				})
				m.fail(err)
			},
			want: bootnote.Note{Phase: "verity", Reason: "the root hash differs", Check: "phase verity", Lines: kernel},
		},
		{
			name: "phase beside",
			run: func(m *machine) {
				_ = m.runPhases(2, []phase{{"rosd", result("", errors.New("rosd does not answer")), required, beside}})
			},
			want: bootnote.Note{Phase: "rosd", Reason: "rosd does not answer", Check: "phase rosd", Lines: kernel},
		},
		{
			name: "internal error",
			run:  func(m *machine) { m.guard("socket", func() { panic("oops") }) },
			want: bootnote.Note{Reason: "internal error in socket: oops", Check: "PID 1", Lines: kernel},
		},
		{
			name: "rosd says so, and then something else breaks",
			run: func(m *machine) {
				err := m.Trial(initctl.Trial{Outcome: "failed", Reason: "unhealthy\nfor long", Check: "service network", Lines: []string{"no lease"}})
				if err != nil {
					t.Error(err)
				}
				m.fail(errors.New("too late"))
			},
			want: bootnote.Note{Reason: "unhealthy; for long", Check: "service network", Lines: []string{"no lease"}},
		},
		{
			name: "crash loop",
			run: func(m *machine) {
				c := newChild("rosd", quietLog(), nil, never)
				c.lastExit = "exit status 2"
				for c.restarts = 1; c.restarts < 9; c.restarts++ {
					m.childEnded(c)
				}
			},
			want: bootnote.Note{Reason: "rosd has ended 6 times, at last with: exit status 2", Check: "rosd", Lines: kernel},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, s, note := trialMachine(t)
			tt.run(m)
			m.wg.Wait()
			want := tt.want
			want.BootID, want.Slot, want.RootHash, want.Outcome = "this boot", "B", "b66236", "failed"
			checkNote(t, note, want)
			if m.shells != nil {
				t.Error("a rescue shell is open")
			}
			if got := m.power.taken(); got != "reboot" {
				t.Errorf("PID 1 was told %s, want reboot", got)
			}
			line := "[N] FAIL the trial of this release has failed: " + want.Check + ": " + want.Reason
			if text := strings.Join(s.lines(m.out), "\n"); strings.Count(text, line) != 1 {
				t.Errorf("the console does not say once %q:\n%s", line, text)
			}
			if a := m.Status(); a.Trial != "failed" {
				t.Errorf("Status says the trial is %q", a.Trial)
			}
		})
	}
}

func TestTrialCommitted(t *testing.T) {
	m, _, note := trialMachine(t)
	if a := m.Status(); a.Trial != "open" || a.TrialSeconds == 0 {
		t.Errorf("Status before: %+v", a)
	}
	for range 2 { // rosd may say it again after a restart
		if err := m.Trial(initctl.Trial{Outcome: "committed"}); err != nil {
			t.Error(err)
		}
	}
	checkNote(t, note, bootnote.Note{BootID: "this boot", Slot: "B", RootHash: "b66236", Outcome: "committed"})
	err := m.Trial(initctl.Trial{Outcome: "failed", Reason: "x"})
	if want := "this trial is over: committed"; errText(err) != want {
		t.Errorf("failed after committed: %v, want %s", err, want)
	}
	m.fail(errors.New("broken")) // and from here on it is a boot like any other
	if m.shells == nil {
		t.Error("no rescue shell after the commit")
	}
	m.stopTrial(order{op: "reboot"})
	if err := m.giveBack(filepath.Join(t.TempDir(), "osupdate")); err != nil || m.trial.state() != "committed" {
		t.Errorf("shutdown after the commit: %v, %s", err, m.trial.state())
	}
}

// TestTrialEnded: an operator has rolled the release back and restarts when it
// suits him.
func TestTrialEnded(t *testing.T) {
	m, s, note := trialMachine(t)
	for range 2 {
		if err := m.Trial(initctl.Trial{Outcome: initctl.TrialEnded}); err != nil {
			t.Error(err)
		}
	}
	if text := strings.Join(s.lines(m.out), "\n"); strings.Count(text, "the trial of this release is over: an operator has rolled it back") != 1 {
		t.Errorf("console:\n%s", text)
	}
	checkNote(t, note, bootnote.Note{BootID: "this boot", Slot: "B", RootHash: "b66236", Outcome: "ended"})
	m.trial.now = func() float64 { return 3600 }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if m.trial.expire(ctx) {
		t.Error("the deadline counts")
	}
	for _, outcome := range []string{initctl.TrialFailed, initctl.TrialCommitted} {
		if err := m.Trial(initctl.Trial{Outcome: outcome, Reason: "x"}); errText(err) != "this trial is over: ended" {
			t.Errorf("%s after ended: %v", outcome, err)
		}
	}
	m.fail(errors.New("broken")) // from here on it is a boot like any other
	if m.shells == nil || m.power.taken() != "nothing" {
		t.Error("no rescue shell, or a restart")
	}
	m.stopTrial(order{op: "reboot"})
	if err := m.giveBack(filepath.Join(t.TempDir(), "osupdate")); err != nil || m.trial.state() != "ended" {
		t.Errorf("shutdown: %v, %s", err, m.trial.state())
	}
}

// TestNothingToEnd: rolling back is no less done without an open trial.
func TestNothingToEnd(t *testing.T) {
	m, _ := testMachine(t)
	if err := m.Trial(initctl.Trial{Outcome: initctl.TrialEnded}); err != nil || m.trial.state() != "" {
		t.Errorf("no trial: %v, %q", err, m.trial.state())
	}
	m, _, _ = trialMachine(t)
	if err := m.Trial(initctl.Trial{Outcome: initctl.TrialCommitted}); err != nil {
		t.Fatal(err)
	}
	if err := m.Trial(initctl.Trial{Outcome: initctl.TrialEnded}); err != nil || m.trial.state() != "committed" {
		t.Errorf("committed: %v, %q", err, m.trial.state())
	}
}

func TestNoTrial(t *testing.T) {
	m, _ := testMachine(t)
	for _, outcome := range []string{"committed", "failed"} {
		err := m.Trial(initctl.Trial{Outcome: outcome, Reason: "x"})
		if want := "this boot is no trial"; errText(err) != want {
			t.Errorf("%s: %v, want %s", outcome, err, want)
		}
	}
	m.fail(errors.New("broken"))
	if m.shells == nil || m.power.taken() != "nothing" {
		t.Error("a failure without a trial does not open the rescue shell alone")
	}
}

func TestBeginTrial(t *testing.T) {
	for line, want := range map[string]struct {
		state string
		left  time.Duration
	}{
		"ros.slot=B ros.roothash=b66236":   {"", 0},
		"ros.slot=B ros.trial=2":           {"open", 11 * time.Minute},
		"ros.trial=0 ros.deadline=90":      {"open", 90 * time.Second},
		"ros.trial=0 ros.deadline=soon":    {"open", 11 * time.Minute},
		"ros.trial=x ros.deadline=5m":      {"open", 5 * time.Minute},
		"ros.trial=1 rescue":               {"", 0},
		"ros.trial=1 rancher.rescue":       {"", 0},
		"ros.trial=1 rancher.rescue=false": {"open", 11 * time.Minute},
	} {
		m, _ := testMachine(t)
		m.line = cmdline.Parse(line)
		m.trial.now = func() float64 { return 0 }
		m.beginTrial()
		if got := m.trial.state(); got != want.state {
			t.Errorf("%s: %q, want %q", line, got, want.state)
		}
		if left := m.trial.left(); want.state != "" && left != want.left {
			t.Errorf("%s: %v left, want %v", line, left, want.left)
		}
	}
}

func TestDeadline(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fixed time.Duration
		rosd  time.Duration // said after a minute
		end   string        // said after two minutes
		want  time.Duration // 0: never
	}{
		{name: "default", want: 11 * time.Minute},
		{name: "of rosd", rosd: 3 * time.Minute, want: 4 * time.Minute},
		{name: "of rosd, later", rosd: time.Hour, want: 61 * time.Minute},
		{name: "of rosd, over already", rosd: time.Millisecond, want: 60*time.Second + time.Millisecond},
		{name: "of the command line", fixed: 5 * time.Minute, rosd: time.Minute, want: 5 * time.Minute},
		{name: "committed", end: bootnote.Committed},
		{name: "stopped", fixed: 3 * time.Minute, end: bootnote.Stopped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				tr := newTrial(nil)
				tr.now = func() float64 { return time.Since(began).Seconds() }
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Hour)
				defer cancel()
				var wg sync.WaitGroup
				wg.Go(func() { // the trial begins while the deadline is watched, as in PID 1
					tr.begin(bootnote.Note{}, tt.fixed, at("nowhere"))
					time.Sleep(time.Minute)
					tr.decideBy(tt.rosd)
					time.Sleep(time.Minute)
					if tt.end != "" {
						_ = tr.end(tt.end, "", "", nil)
					}
				})
				expired := tr.expire(ctx)
				took := time.Since(began).Round(time.Millisecond)
				if expired != (tt.want > 0) || expired && took != max(tt.want, time.Minute) {
					t.Errorf("expired %v after %v, want %v", expired, took, tt.want)
				}
				wg.Wait()
			})
		})
	}
}

// The deadline names the child that is to blame.
func TestDeadlineSaysWho(t *testing.T) {
	up, late := newChild("containerd", quietLog(), nil, always), newChild("rosd", quietLog(), nil, never)
	close(up.everReady)
	up.ready = true
	for _, tt := range []struct {
		containerd, rosd *child
		want             string
	}{
		{nil, nil, "nobody has committed this release within the deadline"},
		{up, up, "nobody has committed this release within the deadline"},
		{up, late, "the deadline has passed and rosd has never answered"},
	} {
		m, _, note := trialMachine(t)
		m.containerd, m.rosd = tt.containerd, tt.rosd
		m.trial.now = func() float64 { return 3600 }
		m.trial.decideBy(time.Minute)
		m.watchDeadline()
		m.wg.Wait()
		checkNote(t, note, bootnote.Note{
			BootID: "this boot", Slot: "B", RootHash: "b66236", Outcome: "failed",
			Reason: tt.want, Check: "deadline", Lines: []string{"the kernel says"},
		})
	}
}

// A note is written while phases pass, and holds the log so far.
func TestNoteFollowsThePhases(t *testing.T) {
	m, _, note := trialMachine(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.trial.keep(ctx) })
	waitFor := func(phase string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			n, err := bootnote.Read(note)
			if err == nil && n.Phase == phase {
				if !cmp.Equal(n.Lines, []string{"the kernel says"}) || n.Outcome != "" || n.Uptime <= 0 {
					t.Errorf("note in phase %s: %+v", phase, n)
				}
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the note never came to %s: %+v, %v", phase, n, err)
			}
		}
	}
	hang := make(chan struct{})
	wg.Go(func() {
		_ = m.runPhases(1, []phase{
			{"image", result("", nil), required, inline},
			{"state", func(*machine) (string, error) { <-hang; return "", nil }, required, inline},
			{"assemble", result("", nil), required, inline},
		})
	})
	waitFor("state")
	close(hang)
	waitFor("assemble")
	cancel()
	wg.Wait()
}

// Stage 2 goes on with the note of stage 1; a release that was stopped is
// counted, whatever boots lie between.
func TestNoteOfBefore(t *testing.T) {
	began := time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		old  bootnote.Note
		want bootnote.Note
	}{
		{"of stage 1", bootnote.Note{BootID: "this boot", RootHash: "b66236", Version: "v2", Began: began, Stops: 1},
			bootnote.Note{Version: "v2", Began: began, Stops: 1}},
		{"stopped", bootnote.Note{BootID: "x", RootHash: "b66236", Outcome: "stopped", Stops: 2}, bootnote.Note{Stops: 2}},
		{"another release, stopped", bootnote.Note{BootID: "x", RootHash: "c0ffee", Outcome: "stopped", Stops: 2}, bootnote.Note{}},
		{"failed", bootnote.Note{BootID: "x", RootHash: "b66236", Outcome: "failed", Reason: "old", Stops: 2}, bootnote.Note{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _, note := trialMachine(t)
			if err := bootnote.Write(note, tt.old); err != nil {
				t.Fatal(err)
			}
			if err := m.trial.flush(time.Minute); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.BootID, want.Slot, want.RootHash, want.Lines = "this boot", "B", "b66236", []string{"the kernel says"}
			checkNote(t, note, want)
			if got, _ := bootnote.Read(note); !got.Began.Equal(want.Began) {
				t.Errorf("began %v, want %v", got.Began, want.Began)
			}
		})
	}
}

func TestStoppedTrial(t *testing.T) {
	for _, tt := range []struct {
		name       string
		order      order
		before     int // stops
		wantReason string
		wantErr    string
	}{
		{"orderly", order{op: "poweroff"}, 0, "an orderly poweroff before it was decided", ""},
		{"forced", order{op: "reboot", force: true}, 0, "a forced reboot before it was decided", ""},
		{"again and again", order{op: "reboot"}, 2, "an orderly reboot before it was decided", "it was stopped 3 times in a row"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _, note := trialMachine(t)
			m.trial.change(func(n *bootnote.Note) { n.Stops = tt.before })
			m.stopTrial(tt.order)
			want := bootnote.Note{
				BootID: "this boot", Slot: "B", RootHash: "b66236", Outcome: "stopped",
				Reason: tt.wantReason, Stops: tt.before + 1,
			}
			checkNote(t, note, want)
			m.fail(errors.New("in the middle of it")) // no shell, no other outcome
			if m.shells != nil {
				t.Error("a rescue shell is open")
			}
			if tt.wantErr == "" {
				return
			}
			if err := m.giveBack(filepath.Join(t.TempDir(), "osupdate")); errText(err) != tt.wantErr {
				t.Errorf("giveBack: %v, want %s", err, tt.wantErr)
			}
			want.Reason += "; the try was not given back"
			checkNote(t, note, want)
		})
	}
}

// The worker is not there: the note says so.
func TestTryCannotBeGivenBack(t *testing.T) {
	m, _, note := trialMachine(t)
	m.reap = reaper.New()
	m.stopTrial(order{op: "reboot"})
	err := m.giveBack(filepath.Join(t.TempDir(), "osupdate"))
	n, rerr := bootnote.Read(note)
	if err == nil || rerr != nil || n.Reason != "an orderly reboot before it was decided; the try could not be given back: "+err.Error() {
		t.Errorf("giveBack: %v, note: %+v, %v", err, n, rerr)
	}
}

// Without a partition for the note the guard does the rest all the same.
func TestTrialWithoutNote(t *testing.T) {
	m, s := testMachine(t)
	m.trial.begin(bootnote.Note{}, 0, func() (string, error) { return "", errors.New("cannot find boot note") })
	m.fail(&phaseError{"image", errors.New("no such device")})
	m.wg.Wait()
	if got := m.power.taken(); got != "reboot" {
		t.Errorf("PID 1 was told %s, want reboot", got)
	}
	if text := strings.Join(s.lines(m.out), "\n"); !strings.Contains(text, `warn boot note not written error="cannot find boot note"`) {
		t.Errorf("console:\n%s", text)
	}
}

func TestKernelLine(t *testing.T) {
	for record, want := range map[string]string{
		"6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n":    "[    5.140900] NET: Registered",
		"31,1200,123456789012,c,more=x;ros: ok   image; found": "[123456.789012] ros: ok   image; found",
		"nonsense": "", "6,1,x,-;text": "",
	} {
		if got, ok := kernelLine([]byte(record)); got != want || ok != (want != "") {
			t.Errorf("kernelLine(%q) = %q, %v, want %q", record, got, ok, want)
		}
	}
	long, _ := kernelLine([]byte("6,1,1,-;" + strings.Repeat("ä", 400)))
	if len(long) > maxLogLine+len("…") || !strings.HasSuffix(long, "ä…") {
		t.Errorf("a long line is %q", long)
	}
	if got := kernelLog(filepath.Join(t.TempDir(), "none"), 5); got != nil {
		t.Errorf("log of a kernel without one: %q", got)
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/cmdline"
)

// screen collects what the console prints.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.WriteString(text + "\n")
}

var numbers = regexp.MustCompile(`[0-9]+\.[0-9]+`)

// lines are what was printed, with every fraction as N.
func (s *screen) lines(c *console) []string {
	c.flush(time.Minute)
	s.mu.Lock()
	defer s.mu.Unlock()
	text := numbers.ReplaceAllString(s.text.String(), "N")
	text = regexp.MustCompile(`\[ *N\]`).ReplaceAllString(text, "[N]")
	text = regexp.MustCompile(` +N s`).ReplaceAllString(text, " N s")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// testMachine is a machine without a console device, whose rescue shells
// never open (the context is over).
func testMachine(t *testing.T) (*machine, *screen) {
	t.Helper()
	s := &screen{}
	out := &console{kmsg: io.Discard}
	out.add(false, s.write)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m := &machine{
		ctx: ctx, out: out, log: out.logger(), power: newPower(), trial: newTrial(func() []string { return []string{"the kernel says"} }), damaged: never,
		record: &recorder{path: filepath.Join(t.TempDir(), "boot.json")},
	}
	t.Cleanup(m.wg.Wait)
	return m, s
}

func result(detail string, err error) func(*machine) (string, error) {
	return func(*machine) (string, error) { return detail, err }
}

func TestRunPhases(t *testing.T) {
	m, s := testMachine(t)
	ran := false
	err := m.runPhases(1, []phase{
		{"first", result("slot iso", nil), required, inline},
		{"second", result("", errors.New("no such disk")), optional, inline},
		{"unseen", result("", errNothingToDo), required, inline},
		{"third", func(*machine) (string, error) { panic("oops") }, optional, inline},
		{"fourth", result("", errors.New("root hash differs")), required, inline},
		{"fifth", func(*machine) (string, error) { ran = true; return "", nil }, required, inline},
	})
	if want := "phase fourth: root hash differs"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	if ran {
		t.Error("a phase ran after a required one had failed")
	}
	want := []string{
		"[N] ok   first N s  slot iso",
		"[N] warn second N s  no such disk",
		"[N] warn third N s  internal error: oops",
		"[N] FAIL fourth N s  root hash differs",
	}
	got := s.lines(m.out)
	for i := range got { // columns are for people
		got[i] = strings.Replace(got[i], "      N s", " N s", 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("console (-want +got):\n%s", diff)
	}

	// The record on disk says the same, and stage 2 can go on from it.
	next := &recorder{path: m.record.path}
	if err := next.load(); err != nil {
		t.Fatal(err)
	}
	r := next.copy()
	var phases []string
	for _, p := range r.Phases {
		if p.End < p.Start || p.Start <= 0 || p.Stage != 1 {
			t.Errorf("phase %+v", p)
		}
		phases = append(phases, fmt.Sprint(p.Name, " ", p.Required, " ", p.Detail, p.Error))
	}
	if diff := cmp.Diff([]string{
		"first true slot iso", "second false no such disk",
		"third false internal error: oops", "fourth true root hash differs",
	}, phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"phase second: no such disk", "phase third: internal error: oops"}, r.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestPhasesBesideDoNotDelay(t *testing.T) {
	m, s := testMachine(t)
	gate := make(chan struct{})
	var order []string
	err := m.runPhases(2, []phase{
		{"slow", func(*machine) (string, error) { <-gate; return "", nil }, required, beside},
		{"broken", result("", errors.New("no program")), required, beside},
		{"next", func(*machine) (string, error) { order = append(order, "next"); return "", nil }, required, inline},
	})
	if err != nil || !slices.Equal(order, []string{"next"}) {
		t.Fatalf("runPhases = %v, ran %q", err, order)
	}
	close(gate)
	m.wg.Wait()
	if m.shells == nil {
		t.Error("the failure of a required phase opened no rescue shell")
	}
	if text := strings.Join(s.lines(m.out), "\n"); !strings.Contains(text, "FAIL broken") {
		t.Errorf("console:\n%s", text)
	}
}

func TestListsMakeSense(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range slices.Concat(stage1, stage2) {
		if seen[p.name] || p.name == "" || p.run == nil {
			t.Errorf("phase %q stands twice or does nothing", p.name)
		}
		seen[p.name] = true
	}
	for _, p := range stage1 {
		if p.when == beside {
			t.Errorf("phase %s of stage 1 runs beside: the exec at its end would cut it off", p.name)
		}
	}
}

func TestRescueOnPurpose(t *testing.T) {
	for line, want := range map[string]error{
		"":                       errNothingToDo,
		"quiet rancher.rescue=0": errNothingToDo,
		"rescue":                 errRescueAsked,
		"rancher.rescue":         errRescueAsked,
		"rancher.rescue=true":    errRescueAsked,
		"rancher.recovery":       errRescueAsked,
	} {
		m := &machine{line: cmdline.Parse(line)}
		if _, err := rescueOnPurpose(m); !errors.Is(err, want) {
			t.Errorf("command line %q: %v, want %v", line, err, want)
		}
	}
}

// Shells that were opened because a child did not come up make room for the
// login prompts once it has; others stay.
func TestRescueEndsOnlyWhenItsReasonDoes(t *testing.T) {
	up := func() *child {
		c := newChild("x", nil, nil, nil)
		close(c.everReady)
		return c
	}
	down := func() *child { return newChild("x", nil, nil, nil) }
	for _, tt := range []struct {
		name       string
		failures   []error
		containerd *child
		rosd       *child
		wantOpen   bool
	}{
		{"both up", []error{&phaseError{"containerd", errors.New("slow")}}, up(), up(), false},
		{"one still down", []error{&phaseError{"containerd", errors.New("slow")}}, up(), down(), true},
		{"another reason", []error{&phaseError{"socket", errors.New("no")}}, up(), up(), true},
		{"another reason too", []error{&phaseError{"rosd", errors.New("slow")}, errors.New("panic")}, up(), up(), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := testMachine(t)
			m.containerd, m.rosd = tt.containerd, tt.rosd
			for _, err := range tt.failures {
				m.fail(err)
			}
			m.recovered()
			if open := m.shells != nil; open != tt.wantOpen {
				t.Errorf("shells open = %v, want %v", open, tt.wantOpen)
			}
		})
	}
}

func TestGuardSurvivesAPanic(t *testing.T) {
	m, s := testMachine(t)
	m.guard("thing", func() { panic("oops") })
	m.wg.Wait()
	if m.shells == nil {
		t.Error("no rescue shell")
	}
	if text := strings.Join(s.lines(m.out), "\n"); !strings.Contains(text, "FAIL internal error in thing: oops") {
		t.Errorf("console:\n%s", text)
	}
}

func TestQuietHidesInfoOnly(t *testing.T) {
	m, s := testMachine(t)
	m.out.setQuiet(true)
	m.out.say(info, "ok")
	m.out.say(warning, "bad")
	m.log.Info("hidden")
	m.log.With("child", "rosd").Warn("ended", "how", "exit status 1")
	want := []string{"[N] bad", `[N] warn ended child=rosd how="exit status 1"`}
	if diff := cmp.Diff(want, s.lines(m.out)); diff != "" {
		t.Errorf("console (-want +got):\n%s", diff)
	}
}

// A console that takes nothing must not hold up PID 1.
func TestStoppedConsoleDropsLines(t *testing.T) {
	hold := make(chan struct{})
	var got int
	out := &console{kmsg: io.Discard}
	out.add(false, func(string) { <-hold; got++ })
	for range 10 * queueLines {
		out.say(info, "x")
	}
	out.flush(time.Millisecond)
	close(hold)
	out.flush(time.Minute)
	if got < queueLines || got > 2*queueLines {
		t.Errorf("%d lines written, want about the %d of the queue", got, queueLines)
	}
}

func TestRecordIsReadableWhileItGrows(t *testing.T) {
	r := &recorder{path: filepath.Join(t.TempDir(), "boot.json")}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				r.addPhase(bootlog.Phase{Name: fmt.Sprint(i)})
				if _, err := bootlog.Read(r.path); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := bootlog.Read(r.path); err != nil || len(got.Phases) != 160 {
		t.Errorf("%d phases (%v), want 160", len(got.Phases), err)
	}
}

package bootloadertest

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/slots"
)

// A trace is a machine with an operator, and what must be true of it.
type trace struct {
	t       *testing.T
	m       Machine
	random  *rand.Rand
	release int // number of the last release

	running   slots.Running
	holds     map[slots.Slot]int  // the release that each slot held last, and whole
	committed map[slots.Slot]bool // slots whose present content was committed once

	committing slots.Slot      // what the last commit was of, until it is known how it went
	tried      string          // the arguments that were on trial with it
	kept       map[string]bool // arguments of trials that were committed
	log        []string
}

func newTrace(t *testing.T, make Maker, seed int64) *trace {
	random := rand.New(rand.NewSource(seed))
	return &trace{
		t: t, m: make(t, random, 1<<30), random: random, running: slots.Running{Slot: slots.A},
		holds: map[slots.Slot]int{slots.A: 0}, committed: map[slots.Slot]bool{slots.A: true}, kept: map[string]bool{},
	}
}

// op is something that is done to the boot loader. A cut leaves the old Boot or
// the new one.
type op struct {
	name string
	do   func(*trace, bootloader.Loader) error
}

// ops are weighed by how often they stand here.
var ops = []op{
	{"upgrade", (*trace).upgrade}, {"upgrade", (*trace).upgrade}, {"upgrade", (*trace).upgrade},
	{"commit", (*trace).commit}, {"commit", (*trace).commit},
	{"rollback", change(func(tr *trace, b slots.Boot) (slots.Boot, error) { return b.Rollback(tr.running) })},
	{"disarm", change(func(_ *trace, b slots.Boot) (slots.Boot, error) { return b.Disarm(), nil })},
	{"give back", change(func(tr *trace, b slots.Boot) (slots.Boot, error) { return b.GiveBack(tr.running), nil })},
	{"arguments", func(tr *trace, l bootloader.Loader) error {
		return l.SetArgs(fmt.Sprintf("panic=%d", tr.random.Intn(9)))
	}},
}

// change is an op that only changes Boot.
func change(to func(*trace, slots.Boot) (slots.Boot, error)) func(*trace, bootloader.Loader) error {
	return func(tr *trace, l bootloader.Loader) error {
		b, err := l.Boot()
		if err != nil {
			return err
		}
		if b, err = to(tr, b); err != nil {
			return nil // the machine is not in the state for it
		}
		return l.SetBoot(b)
	}
}

// upgrade is what package upgrade does to the boot loader.
func (tr *trace) upgrade(l bootloader.Loader) error {
	b, err := l.Boot()
	if err != nil {
		return err
	}
	s := b.Committed.Other()
	if b, err = b.Stage(s, tr.running); err != nil {
		return nil
	}
	if err := l.SetBoot(b); err != nil {
		return err
	}
	delete(tr.committed, s) // before the loader may clear it, and after nothing names it
	if err := l.ClearSlot(s); err != nil {
		return err
	}
	tr.release++
	tr.holds[s] = tr.release // what it holds if it is whole
	if err := l.WriteSlot(s, entry(tr.release)); err != nil {
		return err
	}
	args := ""
	if tr.random.Intn(2) == 0 {
		args = fmt.Sprintf("of=%d", tr.release)
	}
	if b, err = b.Arm(s, 1+tr.random.Intn(slots.MaxTries), args); err != nil {
		return err
	}
	return l.SetBoot(b)
}

func (tr *trace) commit(l bootloader.Loader) error {
	b, err := l.Boot()
	if err != nil {
		return err
	}
	tried := b.Args
	if b, err = b.Commit(tr.running); err != nil {
		return nil
	}
	tr.committing, tr.tried = tr.running.Slot, tried
	if err := l.SetBoot(b); err != nil {
		return err
	}
	tr.settle(l, b)
	return nil
}

// settle finds out whether the commit before took place, and whether the
// arguments of the trial came with it.
func (tr *trace) settle(l bootloader.Loader, b slots.Boot) {
	tr.t.Helper()
	if s := tr.committing; s != "" && b.Committed == s {
		tr.committed[s] = true
		if args, err := l.Args(); err != nil || tr.tried != "" && !strings.HasSuffix(" "+args, " "+tr.tried) {
			tr.fatal("the arguments are %q, %v, without those of the trial: %q", args, err, tr.tried)
		}
		tr.kept[tr.tried] = true
	}
	tr.committing = ""
}

// wantArgs: no argument of a trial that was not committed.
func (tr *trace) wantArgs(l bootloader.Loader) {
	tr.t.Helper()
	args, err := l.Args()
	if err != nil {
		tr.fatal("Args() = %v", err)
	}
	for w := range strings.FieldsSeq(args) {
		if strings.HasPrefix(w, "of=") && !tr.kept[w] {
			tr.fatal("the arguments are %q, and the release of %q was never committed", args, w)
		}
	}
}

// powerOn starts the machine as its boot loader does, and checks the promise.
func (tr *trace) powerOn() {
	tr.t.Helper()
	tr.m.PowerOn()
	l := tr.m.Loader()
	b, err := l.Boot()
	if err != nil {
		tr.fatal("Boot() = %v", err)
	}
	tr.settle(l, b)
	tr.wantArgs(l)
	var medium slots.Medium
	for _, s := range slots.All {
		if _, err := l.ReadSlot(s); err != nil {
			medium.Unloadable = append(medium.Unloadable, s)
			continue
		}
		wantSlot(tr.t, l, s, entry(tr.holds[s])) // whole is whole, named or not
	}
	for _, s := range b.Named() {
		if slices.Contains(medium.Unloadable, s) {
			tr.fatal("%+v names slot %s, which is not whole", b, s)
		}
		if s != b.Trial && !tr.committed[s] {
			tr.fatal("%+v would start slot %s, which was never committed", b, s)
		}
	}
	start := b.Start(medium)
	switch {
	case tr.t.Failed():
		tr.fatal("a slot does not hold what was written to it")
	case start.Slot == "":
		tr.fatal("%+v starts nothing", b)
	case start.Trial && start.Slot != b.Trial, !start.Trial && !tr.committed[start.Slot]:
		tr.fatal("%+v started slot %s", b, start.Slot)
	}
	tr.note("start %s %s", start.Slot, strings.Join(start.Words(), " "))
	must(tr.t, l.SetBoot(start.After)) // the boot loader's own write
	tr.running = slots.Running{Slot: start.Slot, Trial: start.Trial, Left: start.Left, Failed: start.Failed}
	if start.Failed != "" {
		must(tr.t, l.SetBoot(start.After.Disarm())) // what settles a failed trial
	}
}

func (tr *trace) note(format string, args ...any) {
	tr.log = append(tr.log, fmt.Sprintf(format, args...))
}

func (tr *trace) fatal(format string, args ...any) {
	tr.t.Helper()
	tr.t.Fatalf("%s\nafter: %s", fmt.Sprintf(format, args...), strings.Join(tr.log, "; "))
}

// step does one thing, perhaps cut off, and perhaps starts the machine again.
func (tr *trace) step() {
	tr.t.Helper()
	o := ops[tr.random.Intn(len(ops))]
	cut := 0
	if tr.random.Intn(2) == 0 {
		cut = 1 + tr.random.Intn(14)
	}
	tr.note("%s (cut %d)", o.name, cut)
	tr.m.CutAfter(cut)
	if err := o.do(tr, tr.m.Loader()); err != nil && cut == 0 {
		tr.fatal("%s: %v", o.name, err)
	}
	if cut > 0 || tr.random.Intn(3) == 0 {
		tr.powerOn()
	}
}

func testTraces(t *testing.T, make Maker) {
	traces := 120
	if testing.Short() {
		traces = 30
	}
	for seed := range traces {
		tr := newTrace(t, make, int64(seed))
		for range 30 {
			tr.step()
		}
	}
}

// testEveryCut cuts an upgrade, a commit, a rollback and a change of the
// arguments in each of their steps, several times each, since a cut comes out
// in many ways.
func testEveryCut(t *testing.T, make Maker) {
	const ways = 10
	whole := newTrace(t, make, 0)
	for _, o := range cycle {
		whole.m.CutAfter(0)
		must(t, o.do(whole, whole.m.Loader()))
		for cut := 1; cut <= whole.m.Steps(); cut++ {
			for way := range ways {
				cutOne(t, make, o.name, cut, int64(way))
			}
		}
		whole.powerOn()
	}
}

// cycle is one life of a machine: each op leads to the next one's state.
var cycle = []op{ops[0], ops[3], ops[5], {"arguments", ops[len(ops)-1].do}, ops[0], {"give back", ops[7].do}}

// cutOne does the cycle up to an op, cuts that one off, and goes on.
func cutOne(t *testing.T, make Maker, name string, cut int, way int64) {
	t.Helper()
	tr := newTrace(t, make, way)
	done := false
	for _, o := range cycle {
		tr.m.CutAfter(0)
		now := !done && o.name == name
		if now {
			done = true
			tr.m.CutAfter(cut)
		}
		tr.note("%s", o.name)
		if err := o.do(tr, tr.m.Loader()); err != nil && !now {
			tr.fatal("%s: %v", o.name, err)
		}
		tr.powerOn()
	}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/initctl"
)

const (
	// trialDeadline is when rosd wants to have decided, counted from the start
	// of the kernel, until the configuration says otherwise.
	trialDeadline = 10 * time.Minute
	// trialGrace is what rosd gets beyond its own deadline, to say what failed.
	trialGrace = time.Minute
	// noteTime bounds the last write of a note: a dead disk must not keep a
	// machine in a trial that has failed.
	noteTime = 5 * time.Second
	// noteInterval is how old the log in a note may get.
	noteInterval = 30 * time.Second
	// maxStops is how often in a row the same release may be stopped and tried
	// again. A release that reboots the machine by itself looks like an operator
	// who does, and must not do so for ever.
	maxStops = 2
)

// trial is the second of the two guards of an upgrade (the boot loader's
// counter is the first): what PID 1 knows about this boot if it is the first
// of a new release. It keeps the boot note and the deadline. It is off until
// begin, and everything may be called at any time.
type trial struct {
	log func() []string // the last lines of the kernel log
	now func() float64  // seconds since the kernel started

	news chan struct{} // the note has changed

	mu       sync.Mutex
	on       bool
	note     bootnote.Note
	deadline time.Duration // since the kernel started
	fixed    bool          // by the kernel command line
	moved    chan struct{} // closed and made anew when the deadline moves

	writing sync.Mutex             // one writer at a time; never taken with mu held
	find    func() (string, error) // where the note is
	device  string                 // the same, once it was found
}

func newTrial(log func() []string) *trial {
	return &trial{
		log: log, now: bootlog.Now, news: make(chan struct{}, 1),
		deadline: trialDeadline + trialGrace, moved: make(chan struct{}),
	}
}

// begin says that this boot is a trial, and how to find the device of its
// note. A deadline of 0 is the usual one.
func (t *trial) begin(n bootnote.Note, deadline time.Duration, find func() (string, error)) {
	t.writing.Lock()
	t.find = find
	t.writing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.note = true, n
	if deadline > 0 {
		t.deadline, t.fixed = deadline, true
	}
	t.move()
}

// move tells watch; mu is held.
func (t *trial) move() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// state is "" when this boot is no trial, "open", or the outcome.
func (t *trial) state() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return ""
	}
	return cmp.Or(t.note.Outcome, trialOpen)
}

const trialOpen = initctl.TrialOpen

func (t *trial) open() bool { return t.state() == trialOpen }

// left is how long the trial may still go undecided.
func (t *trial) left() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deadline - time.Duration(t.now()*float64(time.Second))
}

// decideBy is rosd's deadline. That of the kernel command line stands above it.
func (t *trial) decideBy(deadline time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if deadline > 0 && !t.fixed {
		t.deadline = deadline + trialGrace
		t.move()
	}
}

// expire returns true when the deadline has passed with the trial undecided,
// and false when the context has ended.
func (t *trial) expire(ctx context.Context) bool {
	for {
		left := 24 * time.Hour // not a trial: until it moves
		t.mu.Lock()
		moved := t.moved
		t.mu.Unlock()
		if t.open() {
			left = t.left()
		}
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-moved:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// change edits the note and has it written soon.
func (t *trial) change(edit func(*bootnote.Note)) {
	t.mu.Lock()
	on := t.on
	if on {
		edit(&t.note)
	}
	t.mu.Unlock()
	if on {
		select {
		case t.news <- struct{}{}:
		default: // the writer has not taken up the news before it
		}
	}
}

// keep writes the note whenever it has changed, beside the boot: phases that
// pass faster than the disk takes a note cost it nothing. It also writes now
// and then, so that a boot that stops without a word leaves a recent log. A
// write that fails is nothing to report here: at first there is no disk yet.
func (t *trial) keep(ctx context.Context) {
	tick := time.NewTicker(noteInterval)
	defer tick.Stop()
	for {
		select {
		case <-t.news:
		case <-tick.C:
			if !t.open() {
				continue
			}
		case <-ctx.Done():
			return
		}
		_ = t.write()
	}
}

// end decides the trial; flush writes that down. The first word counts.
func (t *trial) end(outcome, reason, check string, lines []string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !t.on:
		return errors.New("this boot is no trial")
	case t.note.Outcome != "":
		return fmt.Errorf("this trial is over: %s", t.note.Outcome)
	}
	t.note.Outcome, t.note.Reason, t.note.Check, t.note.Lines = outcome, reason, check, lines
	if outcome == bootnote.Stopped {
		t.note.Stops++
	} else {
		t.note.Stops = 0
	}
	return nil
}

// flush writes the note now, but waits no longer than the bound.
func (t *trial) flush(bound time.Duration) error {
	if t.state() == "" {
		return nil
	}
	return within(bound, t.write)
}

// write puts the note as it is now on the disk. The first write finds the
// device and what is on it.
func (t *trial) write() error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if t.device == "" {
		device, err := t.find()
		if err != nil {
			return err
		}
		if old, err := bootnote.Read(device); err == nil {
			t.adopt(old)
		}
		t.device = device
	}
	t.mu.Lock()
	n := t.note
	t.mu.Unlock()
	if n.Outcome == "" {
		n.Lines = t.log()
	}
	n.At, n.Uptime = time.Now().UTC(), t.now()
	return bootnote.Write(t.device, n)
}

// adopt takes over what a note from before says: one of this very boot, which
// stage 1 wrote, or that of the same release when it was stopped.
func (t *trial) adopt(old bootnote.Note) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case old.BootID == t.note.BootID:
		t.note.Began, t.note.Stops = old.Began, t.note.Stops+old.Stops
		t.note.Version = cmp.Or(t.note.Version, old.Version)
	case old.RootHash == t.note.RootHash && old.Outcome == bootnote.Stopped:
		t.note.Stops += old.Stops
	}
}

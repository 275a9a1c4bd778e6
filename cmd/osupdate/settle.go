package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
)

// settle finds out, once the system is up, how it came to be started: it counts
// a trial that the boot loader did not start, writes down why a trial failed and
// takes that trial back, and mends variables of the boot loader that are lost. A
// second time there is nothing left to do.
func (m *machine) settle(ctx context.Context) (res osupdate.Settled, err error) {
	err = m.with(ctx, func(l bootloader.Loader) error {
		b, err := l.Boot()
		if errors.Is(err, bootloader.ErrNoBoot) && !m.running.Trial {
			res.Mended = true
			return l.SetBoot(slots.Boot{Committed: m.running.Slot})
		}
		if err != nil {
			return err
		}
		if counted := b.Count(m.running); counted != b {
			return l.SetBoot(counted)
		}
		if b.Trial == "" || m.running.Slot == b.Trial || b.Tries > 0 && m.running.Failed != b.Trial {
			return nil
		}
		f := m.why(l, b.Trial)
		res.Failure = &f
		// First the reason, then the change after which nobody would ask for it. On
		// a full state disk the trial stays as it is, with no try left, and the boot
		// note says why to whoever asks.
		if err := slots.SaveRecord(m.record, m.seen(l, m.loadRecord()).Add(f)); err != nil {
			return err
		}
		return l.SetBoot(b.Disarm())
	})
	if err != nil {
		return res, fmt.Errorf("cannot settle the last trial: %w", err)
	}
	return res, nil
}

// why is what can be found out about a trial that did not come through.
func (m *machine) why(l bootloader.Loader, s slots.Slot) slots.Failure {
	found, err := holds(l, s)
	f := slots.Failure{Release: found, Slot: s, At: m.now()}
	if err != nil {
		f.Check, f.Reason = "boot loader", "its kernel or initrd cannot be read"
		return f
	}
	if m.running.Uncounted {
		f.Check, f.Reason = "boot loader", "it was not started: the boot loader could not write down that it tried"
		return f
	}
	note, err := m.note()
	if err == nil && !m.about(l, s, note) {
		err = errors.New("the last boot note is of another trial")
	}
	if err != nil {
		m.log.Info("no boot note", "error", err)
		f.Check, f.Reason = "kernel", "it ended before its first program could write anything: it could not be loaded, panicked, or hung"
		return f
	}
	f.Lines = note.Lines
	f.Check = cmp.Or(note.Check, "phase "+note.Phase)
	f.Reason = reason(note)
	if note.Outcome != "" && !note.At.IsZero() {
		f.At = note.At
	}
	return f
}

// about says whether a note is of what is in slot s now.
func (m *machine) about(l bootloader.Loader, s slots.Slot, n bootnote.Note) bool {
	e, err := l.ReadSlot(s)
	if err != nil || n.Slot != string(s) {
		return false
	}
	hash, _ := cmdline.Parse(e.Cmdline).Value("ros.roothash")
	return hash == n.RootHash
}

func reason(n bootnote.Note) string {
	switch n.Outcome {
	case bootnote.Failed:
		return n.Reason
	case bootnote.Stopped:
		return fmt.Sprintf("it was restarted %d times in a row before it could be committed", max(n.Stops, 1))
	case bootnote.Ended:
		return rolledBack
	case bootnote.Committed:
		return "it was committed, but the boot loader could not keep that"
	}
	return fmt.Sprintf("it ended without a word after phase %s, %.0f s after its start: a panic, a hang, a reset or a power cut", n.Phase, n.Uptime)
}

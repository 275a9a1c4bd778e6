package main

import (
	"context"
	"fmt"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
)

// commit makes the running trial the committed system. It may be called again:
// PID 1 has to hear of it, and whoever calls tries until it has.
func (m *machine) commit(ctx context.Context) (res osupdate.Changed, err error) {
	err = m.with(ctx, func(l bootloader.Loader) error {
		before, err := l.Boot()
		if err != nil {
			return err
		}
		after, err := before.Commit(m.running)
		if err != nil {
			return err
		}
		if after == before {
			res.Nothing = fmt.Sprintf("slot %s is committed already", m.running.Slot)
		} else if err := l.SetBoot(after); err != nil {
			return err
		}
		if before.Trial != "" || m.running.Trial {
			m.saveRecord(m.seen(l, m.loadRecord()).Kept(m.running.Slot, m.now()))
		}
		return m.describe(l, after, &res)
	})
	if err == nil && m.running.Trial {
		err = m.tell(ctx, initctl.Trial{Outcome: initctl.TrialCommitted})
	}
	if err != nil {
		return res, fmt.Errorf("cannot commit: %w", err)
	}
	return res, nil
}

// rolledBack is why a release was given up that an operator has turned away
// from.
const rolledBack = "an operator has rolled it back"

// rollback takes a trial back or makes the previous system the committed one.
// It does not restart the machine.
func (m *machine) rollback(ctx context.Context) (res osupdate.Changed, err error) {
	err = m.with(ctx, func(l bootloader.Loader) error {
		before, err := l.Boot()
		if err != nil {
			return err
		}
		after, err := before.Rollback(m.running)
		if err != nil {
			return err
		}
		e, err := l.ReadSlot(after.Committed)
		if err != nil {
			return err
		}
		if err := m.imageOf(e); err != nil {
			return fmt.Errorf("slot %s cannot be started: %w", after.Committed, err)
		}
		if err := l.SetBoot(after); err != nil {
			return err
		}
		m.saveRecord(m.left(m.seen(l, m.loadRecord()), before, after))
		if m.running.Trial && before.Trial == m.running.Slot {
			m.endTrial(ctx)
		}
		return m.describe(l, after, &res)
	})
	if err != nil {
		return res, fmt.Errorf("cannot roll back: %w", err)
	}
	return res, nil
}

// endTrial tells PID 1 that its guards have nothing to wait for any more. What
// starts next is kept already, so that a PID 1 that does not hear, as in the
// rescue shell, is no reason to fail.
func (m *machine) endTrial(ctx context.Context) {
	if err := m.tell(ctx, initctl.Trial{Outcome: initctl.TrialEnded}); err != nil {
		m.log.Warn("PID 1 may restart the machine at the deadline of the trial", "error", err)
	}
}

// left notes which release an operator has turned away from, so that nothing
// brings it back by itself. A trial that never ran stays staged.
func (m *machine) left(r slots.Record, before, after slots.Boot) slots.Record {
	from := before.Committed
	if before.Trial != "" {
		if from = before.Trial; from != m.running.Slot {
			return r
		}
	}
	r = r.Add(slots.Failure{
		Release: r.Slots[from].Release, Slot: from, At: m.now(), Check: "operator", Reason: rolledBack,
	})
	return r.Wants(after.Committed)
}

// rearm gives back the try of a trial that an operator ends by a restart. PID 1
// calls it on the way down.
func (m *machine) rearm(ctx context.Context) (res osupdate.Changed, err error) {
	res, err = m.change(ctx, "no try of a trial to give back", func(b slots.Boot) slots.Boot { return b.GiveBack(m.running) })
	if err != nil {
		return res, fmt.Errorf("cannot give the try back: %w", err)
	}
	return res, nil
}

// disarm takes back a trial that was armed and waits for its first start. The
// release stays staged.
func (m *machine) disarm(ctx context.Context) (res osupdate.Changed, err error) {
	res, err = m.change(ctx, "no trial waits for its start", func(b slots.Boot) slots.Boot {
		if b.Tries > 0 && b.Trial != m.running.Slot {
			return b.Disarm()
		}
		return b
	})
	if err != nil {
		return res, fmt.Errorf("cannot take the trial back: %w", err)
	}
	return res, nil
}

// change keeps what follows from what starts next. nothing says why there was
// nothing to do, if there was not.
func (m *machine) change(ctx context.Context, nothing string, follow func(slots.Boot) slots.Boot) (res osupdate.Changed, err error) {
	err = m.with(ctx, func(l bootloader.Loader) error {
		before, err := l.Boot()
		if err != nil {
			return err
		}
		after := follow(before)
		if after == before {
			res.Nothing = nothing
		} else if err := l.SetBoot(after); err != nil {
			return err
		}
		return m.describe(l, after, &res)
	})
	return res, err
}

// describe says what starts next.
func (m *machine) describe(l bootloader.Loader, b slots.Boot, res *osupdate.Changed) error {
	start := b.Start(slots.Medium{})
	res.Boot, res.Slot, res.Restart = b, start.Slot, start.Slot != m.running.Slot
	found, err := holds(l, start.Slot)
	res.Version = found.Version
	return err
}

// seen brings what the record says of the slots up to what they hold.
func (m *machine) seen(l bootloader.Loader, r slots.Record) slots.Record {
	for _, s := range slots.All {
		if found, err := holds(l, s); err == nil {
			r = r.Holds(s, found)
		}
	}
	return r
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/slots"
)

// status tells where an upgrade stands. It leaves out what cannot be read, and
// says so.
func (m *machine) status(ctx context.Context) slots.Status {
	s := slots.Status{State: slots.Idle, Running: m.running, Version: m.version, TrustedKey: m.trusted}
	if m.running.Slot == "" {
		return s
	}
	record, err := slots.LoadRecord(m.record)
	if err != nil {
		s.Warnings = append(s.Warnings, err.Error())
	}
	s.Wanted, s.Committed = record.Wanted, record.Committed
	err = m.within(ctx, m.look, func(l bootloader.Loader) error {
		s.Warnings = append(s.Warnings, m.partitionFaults(l)...)
		if err := loaderStatus(l, record, &s); err != nil {
			return err
		}
		if s.State == slots.Failed {
			s.Failure = m.failure(l, *s.Boot, record)
		}
		return nil
	})
	if err != nil {
		s.Warnings = append(s.Warnings, err.Error())
	}
	return s
}

// partitionFaults say which slot has no partition, or not the one that it was
// written to. The boot loader knows nothing of that.
func (m *machine) partitionFaults(l bootloader.Loader) []string {
	var faults []string
	for _, s := range slots.All {
		e, err := l.ReadSlot(s)
		switch {
		case errors.Is(err, bootloader.ErrEmpty):
			if _, err := m.slotPartition(s); err != nil {
				faults = append(faults, err.Error())
			}
		case err != nil: // its kernel or initrd: of that is told below
		default:
			if err := m.imageOf(e); err != nil {
				faults = append(faults, fmt.Sprintf("slot %s cannot be started: %v", s, err))
			}
		}
	}
	return faults
}

// failure is why the last trial was given up: as it was settled or, before
// that, as it can be found out now.
func (m *machine) failure(l bootloader.Loader, b slots.Boot, record slots.Record) *slots.Failure {
	switch {
	case b.Trial != "":
		f := m.why(l, b.Trial)
		return &f
	case len(record.Failures) > 0:
		return &record.Failures[0]
	}
	return nil
}

func loaderStatus(l bootloader.Loader, record slots.Record, s *slots.Status) error {
	s.Slots = map[slots.Slot]slots.Content{}
	var medium slots.Medium
	for _, slot := range slots.All {
		found, err := holds(l, slot)
		if err != nil {
			medium.Unloadable = append(medium.Unloadable, slot)
			continue
		}
		s.Slots[slot] = content(found, record.Slots[slot])
	}
	b, err := l.Boot()
	if err != nil {
		return err
	}
	b.Args = cmdline.Visible(b.Args) // what stands behind " -- " may be a secret
	s.Boot = &b
	s.Next = b.Start(medium).Slot
	_, other := s.Slots[b.Committed.Other()]
	s.State = slots.Where(b, s.Running, record, other)
	for _, slot := range b.Named() {
		if _, whole := s.Slots[slot]; !whole {
			s.Warnings = append(s.Warnings, fmt.Sprintf("slot %s cannot be started: its kernel or initrd is not there", slot))
		}
	}
	if !s.Running.Trial && s.Running.Slot != b.Committed && s.Running.Slot == b.Previous {
		s.Warnings = append(s.Warnings, fmt.Sprintf("slot %s runs, and slot %s starts next", s.Running.Slot, b.Committed))
	}
	return nil
}

// content is what the slot itself says, with what is remembered of the same.
func content(r slots.Release, remembered slots.Content) slots.Content {
	c := slots.Content{Release: r}
	if remembered.Digest == r.Digest {
		c.Written = remembered.Written
	}
	return c
}

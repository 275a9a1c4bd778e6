// Package upgrade brings a release into the other slot of this machine and puts
// it on trial.
//
// It owns the order of the steps, and what is refused before the first of
// them. How a release travels is package release's business, what the boot loader keeps package bootloader's,
// and what becomes of a trial package slots' and rosd's.
//
// The order is: everything small is fetched first, or copied from a slot that
// has it; then the slot is taken out of the boot loader's sight; then the OS
// image is written, synced, read back and hashed; then come kernel and initrd,
// and last the one write that arms the trial. A machine that loses power
// anywhere in between starts what was committed.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/slots"
)

// Machine is the machine that is upgraded. Every field but Scratch must be set.
type Machine struct {
	Loader  bootloader.Loader
	Running slots.Running
	// Open opens the partition of a slot; only the one that is to be written is
	// opened for writing.
	Open    func(s slots.Slot, write bool) (Partition, error)
	Record  string // path of slots' record
	Version string // of the running system
	Floor   string // of the running system: releases older than this are refused; "": none are
	Scratch string // a folder on the state disk for kernel and initrd on their way; "": the system's own for such
	// ForgetNote makes the boot note of an earlier trial no longer count.
	ForgetNote func() error
	Now        func() time.Time
	Events     Events
	Log        *slog.Logger
}

// Events is who is told how far it is; *osupdate.Events is one.
type Events interface {
	Progress(step string, done, total int64)
	Note(format string, args ...any)
}

// Partition is the raw partition of a slot.
type Partition interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() int64
	// UUID is that of the partition, which the kernel command line names.
	UUID() string
	// Settle makes everything written durable, and lets reads come from the disk
	// afterwards.
	Settle() error
}

// Options are what an operator may insist on.
type Options struct {
	BelowFloor bool // take a release older than the running system's floor
	Retry      bool // take a release that has failed here
}

// Stage makes the other slot hold the release: written, read back and whole. It
// is not tried until Arm. What ran before stays committed in any case; of the
// other slot nothing is left from the moment its first byte is written.
func (m *Machine) Stage(ctx context.Context, r *release.Release, o Options) (osupdate.Upgraded, error) {
	res, err := m.stage(ctx, r, o)
	if err != nil {
		return osupdate.Upgraded{}, fmt.Errorf("cannot upgrade to %s: %w", r.Manifest.Version, err)
	}
	return res, nil
}

func (m *Machine) stage(ctx context.Context, r *release.Release, o Options) (osupdate.Upgraded, error) {
	record, err := slots.LoadRecord(m.Record)
	if err != nil {
		m.Log.Warn("going on without the record", "error", err)
	}
	if err := m.refuse(r.Checked, record, o); err != nil {
		return osupdate.Upgraded{}, err
	}
	res := m.planned(r.Checked)
	part, err := m.Open(res.Slot, true)
	if err != nil {
		return osupdate.Upgraded{}, err
	}
	defer part.Close()
	if size := r.Manifest.Parts[release.Image].Size; part.Size() < size {
		return osupdate.Upgraded{}, fmt.Errorf("its OS image has %d bytes, slot %s has room for %d", size, res.Slot, part.Size())
	}
	m.tidy(r)
	if m.holds(ctx, res.Slot, part, r) {
		res.Already = true
		return res, nil
	}
	if err := m.Loader.Fits(res.Slot, bootSize(r.Manifest)); err != nil {
		return osupdate.Upgraded{}, err
	}
	before := r.Fetched()
	if err := m.replace(ctx, r, res, part, record); err != nil {
		return osupdate.Upgraded{}, err
	}
	res.Transferred = r.Fetched() - before
	m.note(func(rec slots.Record) slots.Record { return rec.Staged(res.Slot, res.Release, m.Now()) })
	return res, nil
}

// replace writes the release to the slot, once all that is small is at hand.
func (m *Machine) replace(ctx context.Context, r *release.Release, res osupdate.Upgraded, part Partition, record slots.Record) error {
	entry, done, err := m.fetch(ctx, r, res.Slot, part.UUID())
	defer done()
	if err != nil {
		return fullDisk(err)
	}
	if err := m.clear(res.Slot, record, res.Release); err != nil {
		return err
	}
	if err := m.writeImage(ctx, r, res.Slot, part); err != nil {
		return err
	}
	return m.Loader.WriteSlot(res.Slot, entry)
}

// Check says what Stage would do, or why it would not, and does nothing.
func (m *Machine) Check(r release.Checked, o Options) (osupdate.Upgraded, error) {
	record, err := slots.LoadRecord(m.Record)
	if err != nil {
		m.Log.Warn("going on without the record", "error", err)
	}
	if err := m.refuse(r, record, o); err != nil {
		return osupdate.Upgraded{}, fmt.Errorf("cannot upgrade to %s: %w", r.Manifest.Version, err)
	}
	return m.planned(r), nil
}

// planned is what will be said when the release is in its slot.
func (m *Machine) planned(r release.Checked) osupdate.Upgraded {
	return osupdate.Upgraded{
		Release: slots.Release{Version: r.Manifest.Version, Digest: r.Digest}, Slot: m.Running.Slot.Other(), Key: r.Key,
		Size: bootSize(r.Manifest) + r.Manifest.Parts[release.Image].Size,
	}
}

// clear takes the slot out of the boot loader's sight, in one write, and then
// away.
func (m *Machine) clear(s slots.Slot, record slots.Record, wanted slots.Release) error {
	boot, err := m.Loader.Boot()
	if err != nil {
		return err
	}
	if boot, err = boot.Stage(s, m.Running); err != nil {
		return err
	}
	if err := m.Loader.SetBoot(boot); err != nil {
		return err
	}
	if err := m.Loader.ClearSlot(s); err != nil {
		return err
	}
	record = record.Cleared(s)
	record.Wanted = &wanted
	if err := slots.SaveRecord(m.Record, record); err != nil {
		m.Log.Warn("going on without the record", "error", err) // a full disk must not keep a repair out
	}
	return nil
}

// note changes the record. It explains, and decides nothing, so that a state
// disk that is full is no reason to stop.
func (m *Machine) note(change func(slots.Record) slots.Record) {
	record, err := slots.LoadRecord(m.Record)
	err = errors.Join(err, slots.SaveRecord(m.Record, change(record)))
	if err != nil {
		m.Log.Warn("the record of the slots is not up to date", "error", err)
		m.Events.Note("the record of the slots is not up to date: %v", err)
	}
}

// Arm puts what Stage left in the other slot on trial: the next start, and no
// other, is of it. args are kernel arguments that are on trial with it.
func (m *Machine) Arm(res osupdate.Upgraded, args string) (osupdate.Upgraded, error) {
	// A release that is tried a second time and then never reaches PID 1 would be
	// explained by what its first trial wrote.
	if err := m.ForgetNote(); err != nil {
		m.Log.Warn("an old boot note stays", "error", err)
	}
	boot, err := m.Loader.Boot()
	if err == nil {
		boot, err = boot.Arm(res.Slot, tries, args)
	}
	if err == nil {
		err = m.Loader.SetBoot(boot)
	}
	if err != nil {
		return res, fmt.Errorf("cannot put %s on trial: %w", res.Version, err)
	}
	res.Armed = true
	m.note(func(rec slots.Record) slots.Record {
		rec.Wanted = &res.Release
		return rec.Staged(res.Slot, res.Release, m.Now())
	})
	return res, nil
}

// tries is how often a trial is started. Once: what failed once and works the
// second time is nothing to keep a machine on.
const tries = 1

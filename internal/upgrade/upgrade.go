// Package upgrade brings a release into the other slot of this machine and puts
// it on trial.
//
// It owns the order of the steps, and what is refused before the first of
// them. How a release travels is package release's business, what the boot loader keeps package bootloader's,
// and what becomes of a trial package slots' and rosd's.
//
// The order is: everything small is fetched first; then the slot is taken out of
// the boot loader's sight; then the OS image is written, synced, read back and
// hashed; then come kernel and initrd, and last the one write that arms the
// trial. A machine that loses power anywhere in between starts what was
// committed.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
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
	Scratch string // a folder for kernel and initrd on their way; "": the system's own for such
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
	id := slots.Release{Version: r.Manifest.Version, Digest: r.Digest}
	res := osupdate.Upgraded{Release: id, Slot: m.Running.Slot.Other(), Key: r.Key, Size: r.Manifest.Parts[release.Image].Size}
	part, err := m.Open(res.Slot, true)
	if err != nil {
		return osupdate.Upgraded{}, err
	}
	defer part.Close()
	if part.Size() < res.Size {
		return osupdate.Upgraded{}, fmt.Errorf("its OS image has %d bytes, slot %s has room for %d", res.Size, res.Slot, part.Size())
	}
	if m.holds(ctx, res.Slot, part, r) {
		res.Already = true
		return res, nil
	}
	entry, done, err := m.fetch(ctx, r, res.Slot, part.UUID())
	if err != nil {
		return osupdate.Upgraded{}, err
	}
	defer done()
	if err := m.clear(res.Slot, record, id); err != nil {
		return osupdate.Upgraded{}, err
	}
	before := r.Fetched()
	if err := m.writeImage(ctx, r, res.Slot, part); err != nil {
		return osupdate.Upgraded{}, err
	}
	res.Transferred = r.Fetched() - before
	if err := m.Loader.WriteSlot(res.Slot, entry); err != nil {
		return osupdate.Upgraded{}, err
	}
	m.note(func(rec slots.Record) slots.Record { return rec.Staged(res.Slot, id, m.Now()) })
	return res, nil
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
	id := slots.Release{Version: r.Manifest.Version, Digest: r.Digest}
	return osupdate.Upgraded{Release: id, Slot: m.Running.Slot.Other(), Key: r.Key, Size: r.Manifest.Parts[release.Image].Size}, nil
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

// fetch brings kernel and initrd, which are small, into a folder of their own
// before anything is given up for them.
func (m *Machine) fetch(ctx context.Context, r *release.Release, s slots.Slot, uuid string) (e bootloader.Entry, done func(), err error) {
	if m.Scratch != "" {
		if err := os.MkdirAll(m.Scratch, 0o700); err != nil {
			return e, nil, err
		}
	}
	dir, err := os.MkdirTemp(m.Scratch, "release-")
	if err != nil {
		return e, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	e = bootloader.Entry{
		Version: r.Manifest.Version, Cmdline: bootloader.SlotCmdline(s, uuid, r.Manifest.Cmdline),
		Release: r.Bundle.Release, Signature: r.Bundle.Signature,
	}
	for name, file := range map[string]*bootloader.File{release.Kernel: &e.Kernel, release.Initrd: &e.Initrd} {
		if *file, err = m.fetchPart(ctx, r, name, filepath.Join(dir, name)); err != nil {
			return e, nil, err
		}
	}
	return e, remove, nil
}

func (m *Machine) fetchPart(ctx context.Context, r *release.Release, name, path string) (bootloader.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return bootloader.File{}, err
	}
	err = r.Part(ctx, name, f, func(done, total int64) { m.Events.Progress(name, done, total) })
	if err = errors.Join(err, f.Close()); err != nil {
		return bootloader.File{}, err
	}
	return bootloader.Path(path)
}

// Arm puts what Stage left in the other slot on trial: the next start, and no
// other, is of it.
func (m *Machine) Arm(res osupdate.Upgraded) (osupdate.Upgraded, error) {
	// A release that is tried a second time and then never reaches PID 1 would be
	// explained by what its first trial wrote.
	if err := m.ForgetNote(); err != nil {
		m.Log.Warn("an old boot note stays", "error", err)
	}
	boot, err := m.Loader.Boot()
	if err == nil {
		boot, err = boot.Arm(res.Slot, tries)
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

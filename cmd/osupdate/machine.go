package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/slots"
)

// machine is the running system and its disk, for the verbs about slots.
type machine struct {
	running slots.Running
	image   string                                                         // what the running system came from: "PARTUUID=…"
	version string                                                         // of the running system
	record  string                                                         // path of slots' record
	trusted bool                                                           // the image has a key to check releases with
	open    func(context.Context) (bootloader.Loader, func() error, error) // the boot loader, and what closes it
	look    func(context.Context) (bootloader.Loader, func() error, error) // the same, for reading only
	note    func() (bootnote.Note, error)                                  // what the last trial boot wrote
	find    func(spec string) (blockdev.Device, error)                     // a partition, as a kernel command line names it
	beside  func(partLabel string) (blockdev.Device, error)                // one on the disk of the running system
	tell    func(context.Context, initctl.Trial) error                     // PID 1
	now     func() time.Time
	log     *slog.Logger
}

// thisMachine is the machine that this program runs on.
func thisMachine(c call) (*machine, error) {
	line, err := readCmdline()
	if err != nil {
		return nil, err
	}
	image, _ := line.Value("ros.image")
	image, _, _ = strings.Cut(image, ":")
	host := blockdev.Local()
	about, _ := release.ReadRunning(release.RunningFile) // a version that nobody knows is shown as such
	keys, _ := filepath.Glob(filepath.Join(release.KeysDir, "*.pub"))
	return &machine{
		running: slots.FromCmdline(line),
		image:   image,
		version: about.Version,
		record:  slots.RecordPath,
		trusted: len(keys) > 0,
		open: func(ctx context.Context) (bootloader.Loader, func() error, error) {
			esp, note, err := bootloader.OpenESP(ctx, host, image)
			if err != nil {
				return nil, nil, err
			}
			if note != "" {
				c.events.Note("%s", note)
			}
			return esp, esp.Close, nil
		},
		look: func(ctx context.Context) (bootloader.Loader, func() error, error) {
			esp, err := bootloader.ReadESP(ctx, host, image)
			if err != nil {
				return nil, nil, err
			}
			return esp, esp.Close, nil
		},
		note: func() (bootnote.Note, error) {
			device, err := bootnote.Find(host, image)
			if err != nil {
				return bootnote.Note{}, err
			}
			return bootnote.Read(device)
		},
		find:   host.Find,
		beside: func(partLabel string) (blockdev.Device, error) { return host.Sibling(image, partLabel) },
		tell:   func(ctx context.Context, t initctl.Trial) error { return initctl.EndTrial(ctx, initctl.Socket, t) },
		now:    func() time.Time { return time.Now().UTC() },
		log:    c.log,
	}, nil
}

// errLive is of verbs that need a disk.
var errLive = errors.New("this is the live system: it has no slots (\"ros install\" puts it on a disk)")

// with opens the boot loader for the length of work.
func (m *machine) with(ctx context.Context, work func(bootloader.Loader) error) error {
	return m.within(ctx, m.open, work)
}

func (m *machine) within(ctx context.Context, open func(context.Context) (bootloader.Loader, func() error, error), work func(bootloader.Loader) error) error {
	if m.running.Slot == "" {
		return errLive
	}
	loader, closeIt, err := open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(work(loader), closeIt())
}

// loadRecord never fails: without a record there are fewer explanations.
func (m *machine) loadRecord() slots.Record {
	r, err := slots.LoadRecord(m.record)
	if err != nil {
		m.log.Warn("going on without the record", "error", err)
	}
	return r
}

// saveRecord is the same for writing: what counts is in the boot loader.
func (m *machine) saveRecord(r slots.Record) {
	if err := slots.SaveRecord(m.record, r); err != nil {
		m.log.Warn("going on without the record", "error", err)
	}
}

// imageOf says why the initrd of what a slot holds would not find its OS image.
// The boot loader cannot: it has the kernel, and starts it.
func (m *machine) imageOf(e bootloader.Entry) error {
	spec, _ := cmdline.Parse(e.Cmdline).Value("ros.image")
	spec, _, _ = strings.Cut(spec, ":")
	d, err := m.find(spec)
	if err != nil {
		return err
	}
	// What was not installed from a release has no manifest, and no size to check.
	manifest, err := release.ParseManifest(e.Release)
	if size := manifest.Parts[release.Image].Size; err == nil && d.Size < size {
		return fmt.Errorf("%s has %d bytes, and its OS image %d", d.Path, d.Size, size)
	}
	return nil
}

// holds is what is in a slot, as the slot itself says.
func holds(l bootloader.Loader, s slots.Slot) (slots.Release, error) {
	e, err := l.ReadSlot(s)
	if err != nil {
		return slots.Release{}, err
	}
	r := slots.Release{Version: e.Version}
	if len(e.Release) > 0 {
		sum := sha256.Sum256(e.Release)
		r.Digest = "sha256:" + hex.EncodeToString(sum[:])
	}
	return r, nil
}

package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/modules"
	"github.com/rosteros/ros/internal/reaper"
	"github.com/rosteros/ros/internal/servicelog"
)

// path is the PATH of PID 1's children.
const path = "/usr/lib/ros:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// sysroot is where stage 1 puts the root together.
const sysroot = "/sysroot"

// machine is what the phases hand on to each other, and the parts of PID 1
// that live longer than a phase. Stage 2 begins with a new one: only the
// kernel command line and the boot record come through the root switch.
type machine struct {
	ctx    context.Context
	out    *console
	log    *slog.Logger
	reap   *reaper.Reaper
	record *recorder
	power  *power
	trial  *trial
	// damaged says whether the OS image has turned out not to match its root hash.
	damaged func() bool
	wg      sync.WaitGroup // of everything that guard started

	earlyWarnings []string // of the mounts that were made before there was a console
	earlyErr      error

	line    cmdline.Line
	drivers *modules.Loader

	// Stage 1.
	spec        imageSpec
	slot        string
	imageDevice string   // block device with the OS image
	imageFrom   string   // the same in words
	verified    string   // device-mapper device over it
	usable      bool     // the OS image is mounted, and for this machine
	stateOpen   bool     // the state disk, or memory in its place, is mounted
	diskKeys    []string // SSH keys of the mark on the state disk, before it was formatted

	// Stage 2.
	sink       *servicelog.Sink
	containerd *child
	rosd       *child

	mu          sync.Mutex
	shells      context.CancelFunc // not nil: rescue shells are open
	maybe       bool               // the rescue ends when containerd and rosd come up after all
	watchdog    *watchdog
	watchdogOff bool // PID 1 has let go of it, or of one that comes late
}

// shutdownTimeout is how long an orderly shutdown may take until the
// configuration says otherwise.
const shutdownTimeout = 60 * time.Second

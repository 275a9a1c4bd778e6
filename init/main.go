// Package main is PID 1 of Roster, in the initrd (as /init) and on the running
// machine (as /usr/lib/ros/init).
//
// It boots by the two lists in boot.go, keeps containerd and rosd running,
// reaps every orphan, holds the logs of all services, and takes the machine
// down in order. It never exits: what goes wrong ends in a shell on the
// console (rescue.go), with everything else kept going.
//
// It knows nothing of services, images and configuration beyond the kernel
// command line; rosd does.
//
// The same program, started as "init log NAME:MAXBYTES:FILES" by containerd's
// shim, hands a container's output to PID 1 (log.go).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/mounts"
	"github.com/rosteros/ros/internal/reaper"
)

// self is this program in the OS image.
const self = "/usr/lib/ros/init"

func main() {
	// PID 1 lives as long as the machine and allocates little: a small heap
	// is worth more than a few milliseconds of collecting.
	debug.SetGCPercent(20)
	switch {
	case os.Getpid() != 1:
		os.Exit(command(os.Args))
	case os.Args[0] == self:
		boot(2)
	default: // the kernel calls it /init
		boot(1)
	}
}

// command is the program when it is not PID 1.
func command(args []string) int {
	if len(args) > 1 && args[1] == "log" {
		return handover(args[1:], defaultHandover())
	}
	fmt.Fprintln(os.Stderr, "init: this is PID 1 of Roster; use ros to talk to it")
	return 2
}

// boot runs one stage and never returns.
func boot(stage int) {
	ctx := context.Background()
	// Nobody reads this channel: a signal that is asked for does not end the
	// program, and one that is ignored would be ignored by all children too.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE, unix.SIGHUP)
	if stage == 1 {
		// Before anything can be said, there must be somewhere to say it.
		warnings, err := mounts.All(mounts.Linux{}, mounts.Early())
		m := newMachine(ctx)
		m.earlyWarnings, m.earlyErr = warnings, err
		m.start()
		m.runStage1()
	} else {
		m := newMachine(ctx)
		m.start()
		m.runStage2()
	}
	select {}
}

// newMachine is a machine with a console and a reaper.
func newMachine(ctx context.Context) *machine {
	out := openConsole()
	return &machine{
		ctx:    ctx,
		out:    out,
		log:    out.logger(),
		reap:   reaper.New(),
		record: &recorder{path: bootlog.Path},
		power:  newPower(),
		trial:  newTrial(lastKernelLines),

		damaged: imageDamaged,
	}
}

// start begins what must go on whatever happens: reaping, and obeying signals.
func (m *machine) start() {
	m.forever("reaper", func() { m.reap.Run(m.ctx) })
	m.forever("power", m.obey)
}

func (m *machine) runStage1() {
	// Before the phase that reports on it: a phase that fails before that one
	// must not leave a machine in a trial at a shell.
	if m.reloadCmdline() == nil {
		m.beginTrial()
	}
	err := m.runPhases(1, stage1)
	if err == nil {
		_ = m.trial.flush(time.Second)
		m.out.flush(time.Second)
		// Read once before it runs: a damaged block shows as an error here,
		// as a fault at a random place of a running PID 1 otherwise.
		if err = readThrough(self); err == nil {
			err = unix.Exec(self, []string{self}, append(m.handWatchdog(), "PATH="+path))
		}
		err = &phaseError{"exec", fmt.Errorf("cannot run %q of the OS image: %w", self, m.explain(err))}
		m.out.say(warning, "FAIL "+err.Error())
	}
	m.fail(err)
}

func (m *machine) runStage2() {
	if err := m.record.load(); err != nil {
		m.log.Warn("boot record of stage 1 is lost", "error", err)
	}
	if err := m.reloadCmdline(); err != nil {
		m.log.Warn("going on without the command line", "error", err)
	}
	m.takeWatchdog()
	m.beginTrial()
	if err := m.runPhases(2, stage2); err != nil {
		m.fail(err)
	}
	m.trial.change(func(n *bootnote.Note) { n.Phase = "running" })
	m.noteNow()
	m.guard("image", m.watchImage)
	debug.FreeOSMemory()
}

// guard runs f in a goroutine. A panic in it is reported, opens the rescue
// shell and ends f alone.
func (m *machine) guard(name string, f func()) {
	m.wg.Go(func() { m.protect(name, f) })
}

// forever is guard for what PID 1 cannot be without: after a panic it begins
// again.
func (m *machine) forever(name string, f func()) {
	m.wg.Go(func() {
		for !m.protect(name, f) {
			time.Sleep(time.Second)
		}
	})
}

// protect runs f; it is false when f panicked.
func (m *machine) protect(name string, f func()) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			m.out.trace(debug.Stack())
			m.fail(fmt.Errorf("internal error in %s: %v", name, v))
		}
	}()
	f()
	return true
}

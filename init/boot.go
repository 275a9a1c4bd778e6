package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/bootnote"
)

// The whole boot, top to bottom, in two lists. A phase may use only what the
// phases above it left in the machine value and in the file system.

// stage1 runs in the initrd and ends with the OS image as the root.
var stage1 = []phase{
	{"mounts", mountEarly, required, inline},      // /proc /sys /dev /run /sys/fs/cgroup
	{"cmdline", readCmdline, required, inline},    // what the boot loader asks for
	{"modules", loadDrivers, optional, inline},    // for the devices that are there
	{"trial", openGuard, optional, inline},        // the first boot of a release: watchdog, deadline, boot note
	{"image", findImage, required, inline},        // the OS image: a file on a medium, or a partition
	{"verity", openVerity, required, inline},      // checked against ros.roothash from here on
	{"root", mountRoot, required, inline},         // EROFS, read-only, on /sysroot
	{"release", checkRelease, required, inline},   // it is for this machine
	{"medium", readMedium, required, inline},      // all of it, when it is the live ISO
	{"rescue", rescueOnPurpose, required, inline}, // rancher.rescue: stop before a disk is touched
	{"state", openState, required, inline},        // the state disk, or RAM
	{"assemble", assembleRoot, required, inline},  // /etc /var /home /opt /tmp
	{"switch-root", switchRoot, required, inline}, // then exec of the same program there
}

// stage2 runs from the OS image, as PID 1 for good.
var stage2 = []phase{
	{"cgroups", makeCgroups, required, inline},        // one for each of ours, none shared
	{"log", startLog, optional, inline},               // /var/log/ros
	{"kernel", setKernel, optional, inline},           // sysctls, limits, hostname
	{"loopback", raiseLoopback, optional, inline},     // lo
	{"machine-id", setMachineID, optional, inline},    // made once, kept on the state disk
	{"random-seed", mixRandomSeed, optional, inline},  // from the last boot
	{"socket", openSocket, required, inline},          // logs and power requests
	{"containerd", startContainerd, required, beside}, // the phase ends when it answers
	{"rosd", startRosd, required, beside},             // waits for containerd by itself
	{"drivers", loadAllDrivers, optional, beside},     // from the whole module tree
	{"watchdog", openWatchdog, optional, beside},      // its driver may come late
}

// phase is one step of the boot.
type phase struct {
	name string
	run  func(*machine) (detail string, err error)
	need need
	when when
}

type need bool

const (
	required need = true  // without it the boot ends in rescue
	optional need = false // without it the boot goes on, with a warning
)

type when bool

const (
	inline when = false // the next phase waits for it
	beside when = true  // the next phase starts at once
)

// errNothingToDo is what a phase returns that had no work: it is not
// reported.
var errNothingToDo = errors.New("nothing to do")

// phaseError is the failure of a required phase.
type phaseError struct {
	phase string
	err   error
}

func (e *phaseError) Error() string { return fmt.Sprintf("phase %s: %v", e.phase, e.err) }
func (e *phaseError) Unwrap() error { return e.err }

// runPhases runs the list in order and returns the first failure of a required
// phase, a *phaseError. Phases that run beside are waited for by nobody; their
// failure goes to m.fail.
func (m *machine) runPhases(stage int, list []phase) error {
	for _, p := range list {
		m.trial.change(func(n *bootnote.Note) { n.Phase = p.name })
		if p.when == beside {
			m.guard(p.name, func() {
				if err := m.runPhase(stage, p); err != nil {
					m.fail(err)
				}
			})
			continue
		}
		if err := m.runPhase(stage, p); err != nil {
			return err
		}
	}
	return nil
}

// runPhase runs one phase, reports and records it.
func (m *machine) runPhase(stage int, p phase) error {
	began := bootlog.Now()
	detail, err := m.callPhase(p)
	if errors.Is(err, errNothingToDo) {
		return nil
	}
	err = m.explain(err)
	done := bootlog.Phase{
		Name: p.name, Stage: stage, Required: bool(p.need),
		Start: began, End: bootlog.Now(), Detail: detail,
	}
	verdict, text := "ok", detail
	if err != nil {
		done.Error = oneLine(err)
		verdict, text = "warn", done.Error
		switch {
		case errors.Is(err, errRescueAsked):
			verdict = "stop"
		case p.need == required:
			verdict = "FAIL"
		}
	}
	line := fmt.Sprintf("%-4s %-11s %6.3f s  %s", verdict, p.name, done.End-done.Start, text)
	level := info
	if err != nil {
		level = warning
	}
	m.out.say(level, line)
	m.record.addPhase(done)
	if err == nil {
		return nil
	}
	if p.need == required {
		return &phaseError{p.name, err}
	}
	m.record.addWarning(fmt.Sprintf("phase %s: %s", p.name, done.Error))
	return nil
}

// oneLine is an error's text with joined errors beside each other.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// callPhase makes a panic an error: it is one phase that failed, not the end
// of PID 1.
func (m *machine) callPhase(p phase) (detail string, err error) {
	defer func() {
		if v := recover(); v != nil {
			m.out.trace(debug.Stack())
			err = fmt.Errorf("internal error: %v", v)
		}
	}()
	return p.run(m)
}

// recorder keeps the boot record and the file of it together. Writing the file
// fails before /run is there and on no other occasion that anyone could mend,
// so such errors are dropped.
type recorder struct {
	path string

	mu sync.Mutex
	r  bootlog.Record
}

// change edits the record and writes it.
func (r *recorder) change(edit func(*bootlog.Record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	edit(&r.r)
	_ = bootlog.Write(r.path, r.r)
}

func (r *recorder) addPhase(p bootlog.Phase) {
	r.change(func(b *bootlog.Record) { b.Phases = append(b.Phases, p) })
}

func (r *recorder) addWarning(text string) {
	r.change(func(b *bootlog.Record) { b.Warnings = append(b.Warnings, text) })
}

// load takes over what stage 1 recorded.
func (r *recorder) load() error {
	b, err := bootlog.Read(r.path)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.r = b
	return nil
}

func (r *recorder) copy() bootlog.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.r
	b.Phases = append([]bootlog.Phase(nil), b.Phases...)
	b.Warnings = append([]string(nil), b.Warnings...)
	return b
}

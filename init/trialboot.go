package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/reaper"
	"github.com/rosteros/ros/internal/servicelog"
)

const (
	// readTime is how long a failed trial stands on the console before the
	// machine reboots: nobody needs to be there, but somebody may.
	readTime = 8 * time.Second
	// downTime is what an orderly reboot may take beyond the timeout of the
	// services; behind it the kernel reboots at once.
	downTime = 2 * time.Minute
	// maxEnds is how often containerd or rosd may end in a trial. It is more than
	// it takes to set containerd's data aside.
	maxEnds = 6

	osupdate   = "/usr/lib/ros/osupdate"
	rearmTime  = 30 * time.Second
	bootIDFile = "/proc/sys/kernel/random/boot_id"
)

// beginTrial looks whether the boot loader calls this boot a trial. Somebody
// who asks for rescue stands in front of the machine and decides himself.
func (m *machine) beginTrial() {
	text, ok := m.line.Value("ros.trial")
	if !ok || m.rescueAsked() {
		return
	}
	tries, err := strconv.Atoi(text)
	if err != nil {
		m.log.Warn("ros.trial on the kernel command line is not a number of tries", "value", text)
	}
	var deadline time.Duration
	if v, ok := m.line.Value("ros.deadline"); ok {
		if deadline, err = parseSeconds(v); err != nil {
			m.log.Warn("cannot use ros.deadline", "error", err)
		}
	}
	id, _ := os.ReadFile(bootIDFile)
	n := bootnote.Note{BootID: strings.TrimSpace(string(id)), Tries: tries, Began: time.Now().UTC()}
	n.Slot, _ = m.line.Value("ros.slot")
	n.RootHash, _ = m.line.Value("ros.roothash")
	n.Version = m.record.copy().Version
	image, _ := m.line.Value("ros.image")
	image, _, _ = strings.Cut(image, ":")
	m.trial.begin(n, deadline, func() (string, error) { return bootnote.Find(blockdev.Local(), image) })
	m.forever("boot note", func() { m.trial.keep(m.ctx) })
	m.forever("deadline", m.watchDeadline)
}

// openGuard is a phase of a trial: from here on a hang ends in a reset.
func openGuard(m *machine) (string, error) {
	if !m.trial.open() {
		return "", errNothingToDo
	}
	detail := fmt.Sprintf("to be decided within %s", m.trial.left().Round(time.Second))
	dog, err := m.armAnyWatchdog()
	if err != nil {
		return "", fmt.Errorf("no watchdog: %w", err)
	}
	return detail + "; " + dog, nil
}

// watchDeadline fails a trial that nobody decides.
func (m *machine) watchDeadline() {
	if !m.trial.expire(m.ctx) {
		return
	}
	reason, late := "nobody has committed this release within the deadline", ""
	for _, c := range m.children() {
		switch s := c.status(); {
		case !c.wasReady():
			reason, late = fmt.Sprintf("the deadline has passed and %s has never answered", s.Name), s.Name
		case !s.Ready:
			reason, late = fmt.Sprintf("the deadline has passed and %s does not answer", s.Name), s.Name
		}
		if late != "" {
			break
		}
	}
	if err := m.failTrial("deadline", reason, nil, late); err != nil {
		m.log.Info("deadline passed over", "error", err)
	}
}

// children are containerd and rosd, as far as they were started.
func (m *machine) children() []*child {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*child
	for _, c := range []*child{m.containerd, m.rosd} {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

// Trial is what rosd or an operator says about this boot.
func (m *machine) Trial(t initctl.Trial) error {
	switch t.Outcome {
	case initctl.TrialFailed:
		return m.failTrial(t.Check, oneLine(errors.New(t.Reason)), t.Lines, "")
	case initctl.TrialEnded:
		return m.leaveTrial()
	}
	if m.trial.state() == bootnote.Committed { // rosd was restarted in between
		return nil
	}
	if err := m.trial.end(bootnote.Committed, "", "", nil); err != nil {
		return err
	}
	m.noteNow()
	m.dropSoftdog()
	m.out.say(info, "ok   this release is committed")
	return nil
}

// leaveTrial is for an operator who has rolled this release back and goes on
// with it until the next restart: no guard may choose another moment.
func (m *machine) leaveTrial() error {
	if !m.trial.open() {
		return nil
	}
	if err := m.trial.end(bootnote.Ended, "", "", nil); err != nil {
		return err
	}
	m.noteNow()
	m.dropSoftdog()
	m.out.say(info, "ok   the trial of this release is over: an operator has rolled it back")
	return nil
}

// noteNow writes the note and says when that does not work.
func (m *machine) noteNow() {
	if err := m.trial.flush(noteTime); err != nil {
		m.log.Warn("boot note not written", "error", err)
	}
}

// failTrial ends the trial: it writes down why and reboots, into the release
// before it. Without log lines of its own it takes the kernel's and, if named,
// those of a child.
func (m *machine) failTrial(check, reason string, lines []string, child string) error {
	if len(lines) == 0 {
		lines = m.lastLines(child)
	}
	if err := m.trial.end(bootnote.Failed, reason, check, lines); err != nil {
		return err
	}
	m.noteNow()
	m.out.say(warning, fmt.Sprintf("FAIL the trial of this release has failed: %s: %s", check, reason))
	m.out.say(warning, fmt.Sprintf("FAIL the machine reboots in %s, into the release before it", readTime))
	m.guard("reset", m.resetLater)
	m.guard("failed trial", func() {
		m.sleep(readTime)
		if err := m.power.give(order{op: initctl.OpReboot}); err != nil {
			m.log.Warn("no reboot of our own", "error", err)
		}
	})
	return nil
}

// resetLater reboots when the orderly way gets stuck.
func (m *machine) resetLater() {
	_, timeout := m.power.state()
	if m.sleep(readTime + timeout + downTime) {
		m.out.say(warning, "FAIL the reboot is stuck, resetting")
		m.out.flush(time.Second)
		m.letGoOfWatchdog(unix.LINUX_REBOOT_CMD_RESTART)
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
}

// sleep is false when PID 1 ended first, as it does in tests.
func (m *machine) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-m.ctx.Done():
		return false
	}
}

// childEnded is told of every end of containerd or rosd.
func (m *machine) childEnded(c *child) {
	s := c.status()
	if s.Restarts >= maxEnds && m.trial.open() {
		reason := fmt.Sprintf("%s has ended %d times, at last with: %s", s.Name, s.Restarts, s.LastExit)
		if err := m.failTrial(s.Name, reason, nil, s.Name); err != nil {
			m.log.Warn("trial goes on", "error", err)
		}
	}
}

// endsTrial turns what would open a rescue shell into the end of a trial:
// nobody stands at the console of a machine that upgrades itself. It is false
// when there is no trial to end.
func (m *machine) endsTrial(pe *phaseError, err error) bool {
	switch m.trial.state() {
	case "", bootnote.Committed, bootnote.Ended:
		return false
	case trialOpen:
		check, child := "PID 1", ""
		if pe != nil {
			check, err = "phase "+pe.phase, pe.err
		}
		if pe != nil && (pe.phase == "containerd" || pe.phase == "rosd") {
			child = pe.phase
		}
		if err := m.failTrial(check, oneLine(err), nil, child); err != nil {
			m.log.Info("failure passed over", "error", err)
		}
	}
	return true // also when it is over already: the machine is on its way down
}

const (
	kernelLines = 60
	childLines  = 40
)

// lastLines are the ends of the kernel log, which has PID 1's own lines, and
// of a child's.
func (m *machine) lastLines(child string) []string {
	lines := m.trial.log()
	if child == "" {
		return lines
	}
	logged, err := servicelog.Tail(servicelog.Dir, child, childLines)
	if err != nil {
		m.log.Info("no log for the boot note", "child", child, "error", err)
	}
	for _, l := range logged {
		lines = append(lines, child+": "+cut(l.Text))
	}
	return lines
}

func lastKernelLines() []string { return kernelLog("/dev/kmsg", kernelLines) }

// stopTrial is for an operator who takes the machine down before the trial is
// decided: not a failure.
func (m *machine) stopTrial(o order) {
	how := "an orderly " + o.op
	if o.force {
		how = "a forced " + o.op
	}
	if m.trial.open() && m.trial.end(bootnote.Stopped, how+" before it was decided", "", nil) == nil {
		m.noteNow()
	}
}

// giveBack makes the boot loader try the same release again, after a stop.
// worker is the program that knows how.
func (m *machine) giveBack(worker string) error {
	if m.trial.state() != bootnote.Stopped {
		return nil
	}
	said := func(text string) {
		m.trial.change(func(n *bootnote.Note) { n.Reason += "; " + text })
		m.noteNow()
	}
	if stops := m.trial.stops(); stops > maxStops {
		said("the try was not given back")
		return fmt.Errorf("it was stopped %d times in a row", stops)
	}
	ctx, cancel := context.WithTimeout(m.ctx, rearmTime)
	defer cancel()
	out, code, err := m.reap.Output(ctx, reaper.Command{
		Path: worker, Args: []string{worker, "rearm"}, Dir: "/",
		Env: []string{"PATH=" + path, "HOME=/", "LC_ALL=C"},
	})
	if err == nil && code != 0 {
		err = fmt.Errorf("osupdate rearm: exit status %d: %s", code, strings.TrimSpace(string(out)))
	}
	if err != nil {
		said("the try could not be given back: " + oneLine(err))
		return err
	}
	said("the try was given back")
	return nil
}

func (t *trial) stops() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.note.Stops
}

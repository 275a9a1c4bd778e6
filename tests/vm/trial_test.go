//go:build vm

package vm

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/bootnote"
)

// trialDisk makes a disk for the boot note.
func (l lab) trialDisk(t *testing.T) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "note.qcow2")
	if err := l.build.NoteDisk(disk); err != nil {
		t.Fatal(err)
	}
	return disk
}

// checkNote reads what the trial has left behind.
func (l lab) checkNote(t *testing.T, disk, outcome, check, reason string) bootnote.Note {
	t.Helper()
	n, err := l.build.Note(disk)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the note: %s %q, %s: %s, phase %s after %.0f s, %d lines, the last: %v", n.Outcome, n.Version, n.Check, n.Reason,
		n.Phase, n.Uptime, len(n.Lines), n.Lines[max(0, len(n.Lines)-1):])
	if n.Outcome != outcome || n.Check != check || !strings.Contains(n.Reason, reason) {
		t.Errorf("the boot note says %q, %q, %q, want %q, %q, %q", n.Outcome, n.Check, n.Reason, outcome, check, reason)
	}
	if n.BootID == "" || n.Uptime <= 0 || n.Phase == "" || (outcome != bootnote.Stopped && len(n.Lines) < 10) {
		t.Errorf("the boot note is not whole: %+v", n)
	}
	return n
}

// trialFails is a release whose OS image does not fit its root hash: the
// machine does not wait at a shell but reboots and leaves the reason behind.
func trialFails(t *testing.T, l lab) {
	disk := l.trialDisk(t)
	hash := strings.Repeat("0123456789abcdef", 4)
	cfg := l.direct("ros.roothash="+hash, "ros.trial=0")
	cfg.Disks, cfg.NoReboot, cfg.NoNetwork = []string{disk}, true, true
	g := l.start(t, cfg)
	g.allow(`device-mapper: verity: .*corrupted`, `device-mapper: .*ioctl: error`, `I/O error on dev dm-`, `Buffer I/O error`)
	g.step(t, "reboot", func(t *testing.T) {
		g.expect(t, regexp.MustCompile(`FAIL the trial of this release has failed: phase verity`), bootPatience)
		g.awaitEnd(t)
		if text := g.Console.Since(0); strings.Contains(text, "--- rescue ---") {
			t.Errorf("there was a rescue shell:\n%s", text)
		}
	})
	g.step(t, "note", func(t *testing.T) {
		n := l.checkNote(t, disk, bootnote.Failed, "phase verity", "verity")
		if n.RootHash != hash {
			t.Errorf("root hash %q, want %q", n.RootHash, hash)
		}
	})
}

// trialHangs is a release that waits for a disk which never comes, longer than
// it may take.
func trialHangs(t *testing.T, l lab) {
	disk := l.trialDisk(t)
	cfg := l.direct("ros.image=PARTLABEL=ROOT_B", "ros.trial=1", "ros.deadline=15")
	cfg.Disks, cfg.NoReboot, cfg.NoNetwork, cfg.ISO = []string{disk}, true, true, ""
	g := l.start(t, cfg)
	g.step(t, "reboot", func(t *testing.T) {
		g.expect(t, regexp.MustCompile(`FAIL the trial of this release has failed: deadline`), bootPatience)
		g.awaitEnd(t)
	})
	g.step(t, "note", func(t *testing.T) {
		if n := l.checkNote(t, disk, bootnote.Failed, "deadline", "nobody has committed"); n.Phase != "image" || n.Tries != 1 {
			t.Errorf("the phase is %q with %d tries left, want image with 1", n.Phase, n.Tries)
		}
	})
}

// trialRuns is a release that comes up and then goes wrong in three ways, each
// from the same snapshot.
func trialRuns(t *testing.T, l lab) {
	disk := l.trialDisk(t)
	cfg := l.direct("ros.trial=0", "ros.deadline=1h")
	cfg.Disks, cfg.NoReboot, cfg.Watchdog = []string{disk}, true, "pause"
	g := l.start(t, cfg)
	g.allow(`soft lockup`) // its clock leaps when a stopped machine is put back
	g.logIn(t)
	if !g.step(t, "watchdog-since-stage-1", func(t *testing.T) {
		if out := g.sh(t, "sudo dmesg | grep -E 'ros: ok +(trial|watchdog)'"); !regexp.MustCompile(
			`trial +.*to be decided within .*i6300ESB(?s:.*)watchdog +.*i6300ESB.*since stage 1`).MatchString(out) {
			t.Errorf("the watchdog was not handed on:\n%s", out)
		}
		g.scan(t)
		g.hangUp()
		if err := g.Save("up"); err != nil {
			t.Fatal(err)
		}
	}) {
		return
	}
	g.step(t, "hang", func(t *testing.T) {
		g.restore(t, "up")
		// The kernel stops PID 1 where it is: it does nothing any more, feeds
		// nothing, and nobody but the hardware can end that.
		g.sh(t, "sudo sh -c 'echo 1 >/sys/fs/cgroup/init/cgroup.freeze'")
		g.hangUp()
		g.eventually(t, stepPatience, func() error {
			status, err := g.Status()
			if err == nil && status != "watchdog" {
				err = fmt.Errorf("the machine is %s, not stopped by its watchdog", status)
			}
			return err
		})
		l.checkNote(t, disk, "", "", "")
	})
	g.step(t, "crash-loop", func(t *testing.T) {
		g.restore(t, "up")
		g.hangUpAfter(t, "sudo setsid sh -c 'while :; do killall -q -9 rosd; sleep 0.1; done' >/dev/null 2>&1 &")
		g.expect(t, regexp.MustCompile(`FAIL the trial of this release has failed: rosd: rosd has ended 6 times, at last with: killed by SIGKILL`), stepPatience)
		g.awaitEnd(t)
		n := l.checkNote(t, disk, bootnote.Failed, "rosd", "rosd has ended 6 times")
		if n.Version == "" || n.Phase != "running" {
			t.Errorf("version %q, phase %q", n.Version, n.Phase)
		}
	})
}

// awaitEnd waits for the reset that ends a machine with NoReboot.
func (g *guest) awaitEnd(t *testing.T) {
	t.Helper()
	g.hangUp()
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	if err := g.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

//go:build vm

package vm

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/tests/vm/qemu"
)

const (
	// A trial of a test is short: everything is healthy within seconds, or will
	// not be.
	commitWindow  = 5 // seconds
	trialDeadline = 150 * time.Second
	// trialPatience is for a trial that is given up at its deadline, with the two
	// boots around it.
	trialPatience = 15 * time.Minute
)

// steadyClock is for a machine that is put back to a snapshot. QEMU's time stamp
// counter never goes back, so a clock by it leaps as far as the snapshot is old,
// and the kernel may hang while it complains of a stall. HPET goes back.
const steadyClock = "tsc=unstable"

// installedConfig is the cloud-config of a machine that trusts the test's key.
func (l lab) installedConfig(t *testing.T, r *releases) string {
	deadline := l.build.Timeout(trialDeadline)
	if l.arch == "arm64" { // which takes twice as long to emulate
		deadline *= 2
	}
	return fmt.Sprintf(`#cloud-config
hostname: installed
ssh_authorized_keys:
  - %s
rancher:
  upgrade:
    url: %s/releases.yml
    commit_window: %d
    deadline: %d
    trusted_keys:
      - |
%s
`, l.key.Authorized, r.url, commitWindow, int(deadline.Seconds()), indent(r.publicKey(t), 8))
}

// patientConfig is installedConfig with trials that wait for a commit by hand.
func (l lab) patientConfig(t *testing.T, r *releases) string {
	text := l.installedConfig(t, r)
	for key, seconds := range map[string]string{"commit_window: ": "7199", "deadline: ": "7200"} {
		text = regexp.MustCompile(key+`\d+`).ReplaceAllString(text, key+seconds)
	}
	return text
}

// installDisk installs the live system on a new disk and returns the disk.
func (l lab) installDisk(t *testing.T, cloudConfig string) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	if err := l.build.BlankDisk(disk, 6<<10); err != nil {
		t.Fatal(err)
	}
	t.Run("install", func(t *testing.T) {
		cfg := l.direct()
		cfg.Disks = []string{disk}
		g := l.start(t, cfg)
		g.logIn(t)
		g.feed(t, "cat > /tmp/cloud-config.yml", strings.NewReader(cloudConfig))
		g.sh(t, "sudo ros install -f --no-reboot -d /dev/vda -c /tmp/cloud-config.yml -a "+steadyClock)
		g.powerOff(t)
	})
	if t.Failed() {
		t.FailNow()
	}
	return disk
}

// bootDisk starts a machine from its disk alone.
func (l lab) bootDisk(t *testing.T, firmware, disk string) *guest {
	t.Helper()
	g := l.start(t, qemu.Config{Firmware: firmware, Disks: []string{disk}, MemoryMB: 2048, Watchdog: "reset"})
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	return g
}

// osStatus is what "ros os status" knows.
func (g *guest) osStatus(t *testing.T) slots.Status {
	t.Helper()
	var s slots.Status
	text := g.sh(t, "ros os status --json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("ros os status --json: %v: %s", err, text)
	}
	return s
}

// upgrade gives the order and returns what the worker says it did.
func (g *guest) upgrade(t *testing.T, words string) osupdate.Upgraded {
	t.Helper()
	out := g.sh(t, "sudo ros os upgrade --json --force "+words)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines {
		var e osupdate.Event
		var done osupdate.Upgraded
		if json.Unmarshal([]byte(line), &e) != nil || e.Event != osupdate.Result {
			continue
		}
		if err := json.Unmarshal(e.Result, &done); err != nil {
			t.Fatal(err)
		}
		return done
	}
	t.Fatalf("ros os upgrade %s has no result:\n%s", words, out)
	return osupdate.Upgraded{}
}

// backFrom waits until the machine is up again after an order that restarts it,
// once or, if a trial fails, twice.
func (g *guest) backFrom(t *testing.T, bootID string, settled func(slots.Status) bool) slots.Status {
	t.Helper()
	var s slots.Status
	g.eventually(t, trialPatience, func() error {
		g.hangUp()
		ctx, cancel := g.within(time.Minute)
		defer cancel()
		client, err := g.SSH(ctx, "rancher", g.lab.key)
		if err != nil {
			return err
		}
		g.ssh = client
		r, err := g.ssh.Run(ctx, "cat /proc/sys/kernel/random/boot_id; ros os status --json", nil)
		if err != nil {
			return err
		}
		id, text, _ := strings.Cut(r.Stdout, "\n")
		if id == bootID {
			return fmt.Errorf("it is still the boot before")
		}
		s = slots.Status{}
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return fmt.Errorf("ros os status --json: %w: %s%s", err, r.Stdout, r.Stderr)
		}
		if !settled(s) {
			return fmt.Errorf("state %s in slot %s", s.State, s.Running.Slot)
		}
		return nil
	})
	return s
}

func (g *guest) bootID(t *testing.T) string { return g.sh(t, "cat /proc/sys/kernel/random/boot_id") }

// upgrades is a chain on one disk: install, upgrade, look at what was kept, go
// back by hand, upgrade by the policy, and then releases that are broken.
func upgrades(firmware string, broken []brokenRelease) func(*testing.T, lab) {
	return func(t *testing.T, l lab) {
		r := l.openReleases(t)
		next := r.make(t, "v9.0.0", change{files: map[string]string{
			"usr/lib/ros/layers/ntp/usr/share/doc/changed": strings.Repeat("one service image has changed\n", 10000),
		}})
		disk := l.installDisk(t, l.installedConfig(t, r))
		g := l.bootDisk(t, firmware, disk)
		ok := g.step(t, "from-disk", func(t *testing.T) {
			g.settle(t)
			if s := g.osStatus(t); s.Running.Slot != slots.A || s.State != slots.Idle {
				t.Errorf("ros os status: slot %s, state %s; want A, idle", s.Running.Slot, s.State)
			}
			checkDockerRun(t, g)
			g.sh(t, "docker run -d --name kept --restart always busybox sleep 987654 && echo kept > /home/rancher/kept && sync")
		})
		ok = ok && g.step(t, "upgrade", func(t *testing.T) { g.checkUpgrade(t, next) })
		ok = ok && g.step(t, "rollback", func(t *testing.T) {
			id := g.bootID(t)
			_ = g.try(t, "sudo ros os rollback --force", nil)
			s := g.backFrom(t, id, func(s slots.Status) bool { return s.Running.Slot == slots.A })
			if s.Boot == nil || s.Boot.Committed != slots.A || s.Boot.Previous != slots.B {
				t.Errorf("after the rollback the boot loader has %+v", s.Boot)
			}
			g.settle(t)
			g.checkKept(t)
		})
		if !ok {
			t.Fatal("the machine is in an unknown state")
		}
		g.breakReleases(t, r, broken)
		g.powerOff(t)
	}
}

// brokenOnly runs all broken releases on one disk.
func brokenOnly(firmware string) func(*testing.T, lab) {
	return func(t *testing.T, l lab) {
		r := l.openReleases(t)
		g := l.bootDisk(t, firmware, l.installDisk(t, l.installedConfig(t, r)))
		g.settle(t)
		checkDockerRun(t, g)
		g.sh(t, "docker run -d --name kept --restart always busybox sleep 987654 && echo kept > /home/rancher/kept && sync")
		g.breakReleases(t, r, brokenReleases)
		g.powerOff(t)
	}
}

// automatic has a machine upgrade itself: rancher.upgrade.policy is auto, and
// the list has a new current release.
func automatic(t *testing.T, l lab) {
	r := l.openReleases(t)
	r.list(t, "./v9.0.0")
	r.make(t, "v9.0.0", change{})
	cfg := strings.Replace(l.installedConfig(t, r), "    commit_window:", "    policy: auto\n    jitter: 0\n    interval: 60\n    commit_window:", 1)
	g := l.bootDisk(t, "bios", l.installDisk(t, cfg))
	g.step(t, "upgrades-itself", func(t *testing.T) {
		if out := g.sh(t, "sudo ros os list"); !strings.Contains(out, "v9.0.0") {
			t.Errorf("ros os list: %s", out)
		}
		s := g.backFrom(t, g.bootID(t), func(s slots.Status) bool { return s.State == slots.Committed })
		if s.Version != "v9.0.0" || s.Running.Slot != slots.B {
			t.Errorf("ros os status: %+v", s)
		}
		g.settle(t)
	})
	g.step(t, "stays-as-it-is", func(t *testing.T) { g.checkNoSecondUpgrade(t, r) })
	g.step(t, "pause", func(t *testing.T) {
		g.sh(t, "sudo ros os pause 1h && sudo ros os resume")
	})
	g.step(t, "verify", func(t *testing.T) {
		// Slot A is of the build, which the test's key has not signed.
		if r := g.try(t, "sudo ros os verify", nil); !strings.Contains(r.Stdout, "every byte is as it was signed with") {
			t.Errorf("ros os verify: %s%s", r.Stdout, r.Stderr)
		}
	})
	g.powerOff(t)
}

// checkNoSecondUpgrade has the machine look at the same list again, in the boot
// in which it has committed the list's release: it has nothing to do.
func (g *guest) checkNoSecondUpgrade(t *testing.T, r *releases) {
	id, before := g.bootID(t), g.osStatus(t)
	// One upgrade reads the list three times at most: to ask whether there is a
	// release, to stage it and to arm it. A machine with nothing to do reads it once
	// a look.
	const enough = 3
	start := r.listReads(before.Version)
	g.eventually(t, trialPatience, func() error {
		if n := r.listReads(before.Version) - start; n < enough {
			return fmt.Errorf("%s has read the list %d times, want %d", before.Version, n, enough)
		}
		return nil
	})
	if diff := cmp.Diff(before, g.osStatus(t)); diff != "" {
		t.Errorf("ros os status is another one after a second look at the same list (-before +after):\n%s", diff)
	}
	if now := g.bootID(t); now != id {
		t.Errorf("the machine has restarted: boot %s, before %s", now, id)
	}
}

// checkUpgrade upgrades to a release and waits until it is committed.
func (g *guest) checkUpgrade(t *testing.T, ref string) {
	id := g.bootID(t)
	done := g.upgrade(t, ref)
	if !done.Armed || done.Slot != slots.B || done.Key == "" {
		t.Errorf("ros os upgrade: %+v; want armed, slot B, signed", done)
	}
	t.Logf("the release has %d bytes, %d travelled", done.Size, done.Transferred)
	if done.Transferred*2 >= done.Size {
		t.Errorf("%d of %d bytes travelled for one changed service image, want less than half", done.Transferred, done.Size)
	}
	s := g.backFrom(t, id, func(s slots.Status) bool { return s.State == slots.Committed })
	if s.Running.Slot != slots.B || s.Version != "v9.0.0" || s.Boot == nil || s.Boot.Previous != slots.A {
		t.Errorf("ros os status after the upgrade: %+v", s)
	}
	g.settle(t)
	g.checkKept(t)
}

// checkKept looks for what a slot has nothing to do with.
func (g *guest) checkKept(t *testing.T) {
	t.Helper()
	if out := g.sh(t, "cat /home/rancher/kept; hostname"); out != "kept\ninstalled" {
		t.Errorf("home and config: %q", out)
	}
	g.eventually(t, stepPatience, func() error {
		if state := g.sh(t, "docker inspect -f '{{.State.Status}}' kept"); state != "running" {
			return fmt.Errorf("the container is %s", state)
		}
		return nil
	})
}

// breakReleases upgrades to each broken release and waits for the old system,
// which must say why.
func (g *guest) breakReleases(t *testing.T, r *releases, broken []brokenRelease) {
	if len(broken) == 0 {
		return
	}
	if !g.step(t, "snapshot", func(t *testing.T) {
		g.sh(t, "sync")
		g.hangUp()
		if err := g.Save("whole"); err != nil {
			t.Fatal(err)
		}
	}) {
		return
	}
	for i, b := range broken {
		g.allowed = nil
		g.allow(b.provokes...)
		g.step(t, b.name, func(t *testing.T) {
			ref := r.make(t, "v9-"+b.name, b.change)
			g.restore(t, "whole")
			id := g.bootID(t)
			g.upgrade(t, ref)
			s := g.backFrom(t, id, func(s slots.Status) bool { return s.Running.Slot == slots.A && s.Failure != nil })
			said := s.Failure.Check + ": " + s.Failure.Reason
			if s.State != slots.Failed || s.Failure.Version != "v9-"+b.name || !b.reason.MatchString(said) {
				t.Errorf("ros os status: state %s, failure %+v; want reason %s", s.State, s.Failure, b.reason)
			}
			t.Logf("%s: %s", b.name, said)
			if b.after != nil {
				b.after(t, g)
			}
			// It is the same old system each time; only what touched the state disk
			// could have harmed it.
			if i == 0 || b.after != nil {
				g.settle(t)
				g.checkKept(t)
			}
		})
	}
}

// brokenRelease is a release that must end in the old slot.
type brokenRelease struct {
	name     string
	change   change
	reason   *regexp.Regexp // what ros os status says: the check, and why
	provokes []string       // lines on the console that are meant to be there
	after    func(*testing.T, *guest)
}

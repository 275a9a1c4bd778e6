//go:build vm

package vm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/tests/vm/qemu"
)

// cuts is how often powerCuts pulls the plug; $ROS_CUTS says otherwise.
func cuts(t *testing.T) int {
	text := os.Getenv("ROS_CUTS")
	if text == "" {
		return 50
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ROS_CUTS=%q is not a number of power cuts", text)
	}
	return n
}

// powerCuts kills the machine at random moments of upgrades, of the restarts
// into them, of commits and of config writes. Every start after that must reach
// a committed slot or the trial that was armed, a mounted state disk and a
// config without a fault.
//
// Each cut begins from a snapshot of the running machine right before what is
// cut, and costs one start: the one that is looked at. QEMU is killed, and the
// host's page cache stays: what the guest has flushed is there, what it has not
// flushed may be.
func powerCuts(t *testing.T, l lab) {
	dir := t.TempDir()
	c := cutter{lab: l, releases: l.openReleases(t), machine: qemu.Config{
		Firmware: "bios", MemoryMB: 1024,
		Disks: []string{filepath.Join(dir, "disk.qcow2")}, Snapshots: filepath.Join(dir, "memory.qcow2"),
	}}
	if !t.Run("snapshots", c.prepare) {
		t.Fatal("there is nothing to cut")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	plan := c.plan()
	done := map[string]int{}
	for i := range cuts(t) {
		w := plan[i%len(plan)]
		after := time.Duration(random.Int64N(int64(w.within)))
		if !t.Run(fmt.Sprintf("cut-%d", i+1), func(t *testing.T) { c.cut(t, w, after) }) {
			t.Fatalf("survived: %v; then not this", done)
		}
		done[w.name]++
	}
	t.Logf("after each of these power cuts the next start was sound: %v", done)
}

// cutter has a disk with snapshots on it.
type cutter struct {
	lab
	releases       *releases
	machine        qemu.Config
	ref            string        // the release that is upgraded to
	upgrade, start time.Duration // how long they take here
}

// cutWork is something that writes, and is cut.
type cutWork struct {
	name   string
	from   string        // snapshot
	order  string        // shell
	within time.Duration // the cut comes at a moment of this, each as likely as the other
}

// plan is what is cut, in turns. An upgrade is longest and writes most.
func (c *cutter) plan() []cutWork {
	upgrade := cutWork{"upgrade", "idle", "sudo ros os upgrade -f " + c.ref, c.upgrade + c.upgrade/4}
	restart := cutWork{"restart", "armed", "sudo reboot", c.start + c.start/4}
	commit := cutWork{"commit", "trying", "sudo ros os commit", 4 * time.Second}
	config := cutWork{"config", "idle", "while :; do sudo ros config set rancher.shutdown_timeout $((60 + RANDOM % 100)); done", 8 * time.Second}
	return []cutWork{upgrade, config, restart, commit, upgrade, upgrade, config, restart, commit, upgrade}
}

// prepare installs, and takes a snapshot before each kind of work.
func (c *cutter) prepare(t *testing.T) {
	c.ref = c.releases.make(t, "v9.0.0", change{})
	cfg := c.patientConfig(t, c.releases)
	if err := os.Rename(c.installDisk(t, cfg), c.machine.Disks[0]); err != nil {
		t.Fatal(err)
	}
	g := c.startAlone(t, c.machine)
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.settle(t)
	g.save(t, "idle")
	began := time.Now()
	g.upgrade(t, "--no-reboot "+c.ref)
	c.upgrade = time.Since(began)
	g.save(t, "armed")
	began = time.Now()
	g.reboot(t, "sudo reboot")
	c.start = time.Since(began)
	if s := g.osStatus(t); s.State != slots.Trying {
		t.Fatalf("the trial is not on trial: %+v", s)
	}
	g.settle(t)
	g.save(t, "trying")
	g.scan(t)
	t.Logf("an upgrade takes %s, the start of a trial %s", c.upgrade.Round(time.Second), c.start.Round(time.Second))
}

// save takes a snapshot and logs in again.
func (g *guest) save(t *testing.T, name string) {
	t.Helper()
	g.sh(t, "sync")
	g.hangUp()
	if err := g.Save(name); err != nil {
		t.Fatal(err)
	}
	g.logIn(t)
}

// cut begins the work, pulls the plug and looks at the next start.
func (c *cutter) cut(t *testing.T, w cutWork, after time.Duration) {
	g := c.startAlone(t, c.machine)
	g.restore(t, w.from)
	g.sh(t, "nohup bash -c '"+w.order+"' >/dev/null 2>&1 </dev/null &")
	time.Sleep(after)
	g.hangUp()
	g.Stop()
	t.Run("next-start", func(t *testing.T) {
		g := c.startAlone(t, c.machine)
		g.expect(t, loginPrompt, bootPatience)
		g.logIn(t)
		s := g.checkSound(t)
		g.scan(t)
		why := ""
		if s.Failure != nil {
			why = ", " + s.Failure.Check + ": " + s.Failure.Reason
		}
		t.Logf("%s cut after %s: slot %s of %s, %s%s", w.name, after.Round(10*time.Millisecond), s.Running.Slot, s.Version, s.State, why)
	})
}

// checkSound is what must hold after a start, whatever was cut.
func (g *guest) checkSound(t *testing.T) slots.Status {
	t.Helper()
	s := g.osStatus(t)
	if s.Boot == nil {
		t.Fatalf("the boot loader's variables cannot be read: %q", s.Warnings)
	}
	if running := s.Running.Slot; running != s.Boot.Committed && !(s.Running.Trial && running == s.Boot.Trial) {
		t.Errorf("slot %s runs, which is neither committed nor on trial: %+v", running, *s.Boot)
	}
	if status := g.status(t); !strings.Contains(status.State, "/dev/vda6") {
		t.Errorf("state is on %q, want the disk's partition 6", status.State)
	}
	g.sh(t, "sudo sh -c 'echo x >/var/lib/rancher/probe && sync && rm /var/lib/rancher/probe'")
	g.sh(t, "sudo ros config validate")
	if name := g.sh(t, "sudo ros config get hostname; hostname"); name != "installed\ninstalled" {
		t.Errorf("the host name after a cut: %q", name)
	}
	timeout, err := strconv.Atoi(g.sh(t, "sudo ros config get rancher.shutdown_timeout"))
	if err != nil || timeout < 60 || timeout >= 160 {
		t.Errorf("rancher.shutdown_timeout after a cut: %d, %v", timeout, err)
	}
	return s
}

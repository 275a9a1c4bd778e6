//go:build vm

package vm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

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

// powerCuts kills the machine at random moments of upgrades, of their restarts
// and commits, and of config writes. Every start after that must reach a
// committed slot or the trial that was armed, a mounted state disk and a config
// without a fault.
//
// QEMU dies, and the host's page cache does not: what the guest had written is
// there, in the order in which it was written. Lost caches of a real disk are
// not tried here.
func powerCuts(t *testing.T, l lab) {
	r := l.openReleases(t)
	refs := []string{r.make(t, "v9.0.0", change{}), r.make(t, "v9.0.1", change{})}
	disk := l.installDisk(t, l.installedConfig(t, r))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	sound := 0
	for i := range cuts(t) {
		ok := t.Run(fmt.Sprintf("cut-%d", i+1), func(t *testing.T) {
			g := l.start(t, qemu.Config{Firmware: "bios", Disks: []string{disk}})
			g.expect(t, loginPrompt, bootPatience)
			g.logIn(t)
			g.checkSound(t)
			g.cutDuring(t, random, refs)
		})
		if !ok {
			t.Fatalf("%d cuts were survived, then this", sound)
		}
		sound++
	}
	g := l.start(t, qemu.Config{Firmware: "bios", Disks: []string{disk}})
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.checkSound(t)
	g.settle(t)
	g.powerOff(t)
	t.Logf("%d of %d power cuts: the next start was sound", sound, sound)
}

// checkSound is what must hold after a start, whatever was cut.
func (g *guest) checkSound(t *testing.T) {
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
	if out := g.sh(t, "sudo ros config validate 2>&1; sudo ros config get hostname"); !strings.HasSuffix(out, "installed") {
		t.Errorf("the config after a cut: %s", out)
	}
}

// cutDuring begins something that writes and pulls the plug in the middle.
func (g *guest) cutDuring(t *testing.T, random *rand.Rand, refs []string) {
	t.Helper()
	ref := refs[0]
	if s := g.osStatus(t); s.Version == "v9.0.0" {
		ref = refs[1]
	}
	work := "sudo ros os upgrade -f --retry " + ref
	longest := g.lab.build.Timeout(100 * time.Second) // until it is committed, on a quiet machine
	if random.IntN(3) == 0 {
		work = "while :; do sudo ros config set rancher.shutdown_timeout $((60 + RANDOM % 100)); done"
		longest = g.lab.build.Timeout(5 * time.Second)
	}
	g.sh(t, "nohup bash -c '"+work+"' >/dev/null 2>&1 </dev/null &")
	wait := time.Duration(random.Int64N(int64(longest)))
	t.Logf("%s: cut after %s", work, wait.Round(time.Millisecond))
	time.Sleep(wait)
	g.hangUp()
	g.Stop()
}

//go:build vm

package vm

import (
	"testing"
	"time"

	"github.com/rosteros/ros/tests/vm/qemu"
)

// bootISO goes through the firmware and the menu to the login prompt, and logs
// in over ssh.
func (l lab) bootISO(t *testing.T, firmware string, disks ...string) *guest {
	t.Helper()
	g := l.start(t, qemu.Config{Firmware: firmware, ISO: l.system.ISO, Disks: disks})
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	return g
}

// inspect is what every machine that came up must show.
func inspect(t *testing.T, g *guest) {
	g.step(t, "services", func(t *testing.T) { g.settle(t) })
	g.step(t, "shell", func(t *testing.T) { checkShell(t, g) })
	g.step(t, "containment", func(t *testing.T) { checkContainment(t, g) })
	g.step(t, "docker-run", func(t *testing.T) { checkDockerRun(t, g) })
}

// biosBoot is the machine most things are checked on. It has no disk: the live
// system runs in RAM.
func biosBoot(t *testing.T, l lab) {
	g := l.bootISO(t, "bios")
	inspect(t, g)
	g.step(t, "remove-all", func(t *testing.T) { checkRemoveAll(t, g) })
	g.provoke(t)
}

// isoKills is the same for an architecture where every second counts double.
func isoKills(t *testing.T, l lab) {
	g := l.bootISO(t, "uefi")
	g.step(t, "docker-run", func(t *testing.T) { g.settle(t); checkDockerRun(t, g) })
	g.provoke(t)
}

// provoke starts a user container, takes a snapshot and kills one thing after
// the other from there.
func (g *guest) provoke(t *testing.T) {
	ready := g.step(t, "snapshot", func(t *testing.T) {
		g.sh(t, "docker run -d --name keep busybox sleep 987654")
		g.settle(t)
		time.Sleep(2 * time.Second) // let writes that hang on the start get over
		g.scan(t)
		g.hangUp()
		if err := g.Save("ready"); err != nil {
			t.Fatal(err)
		}
	})
	if !ready {
		t.Fatal("no snapshot, so nothing can be killed")
	}
	checkKills(t, g, "ready")
}

// uefiBoot is the short form, for the architecture that is slower to emulate.
func uefiBoot(t *testing.T, l lab) {
	g := l.bootISO(t, "uefi")
	inspect(t, g)
	g.step(t, "poweroff", func(t *testing.T) { g.powerOff(t) })
}

// powerOff ends the machine from the inside, as an operator does.
func (g *guest) powerOff(t *testing.T) {
	t.Helper()
	// The connection may end before the answer comes.
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	_, _ = g.ssh.Run(ctx, "sudo poweroff", nil)
	g.hangUp()
	if err := g.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

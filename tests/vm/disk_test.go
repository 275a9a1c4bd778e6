//go:build vm

package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newStateDisk makes an empty state disk for one chain of machines.
func (l lab) newStateDisk(t *testing.T) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "state.qcow2")
	if err := l.build.StateDisk(disk, 4096, ""); err != nil {
		t.Fatal(err)
	}
	return disk
}

// stateDisk is a chain: boot from UEFI with a new state disk, reboot, look at
// what was kept, press the power button, check the disk, damage what is on it,
// boot again.
func stateDisk(t *testing.T, l lab) {
	disk := l.newStateDisk(t)
	if !t.Run("uefi", func(t *testing.T) { keepState(t, l, disk) }) {
		t.Fatal("the disk is in an unknown state, so bad-input makes no sense")
	}
	t.Run("bad-input", func(t *testing.T) { badInput(t, l, disk) })
}

func keepState(t *testing.T, l lab, disk string) {
	g := l.bootISO(t, "uefi", disk)
	g.step(t, "services", func(t *testing.T) {
		g.settle(t)
		if s := g.status(t); !strings.Contains(s.State, "/dev/vda") {
			t.Errorf("ros status: state is on %q, want the disk /dev/vda", s.State)
		}
	})
	g.step(t, "docker-run", func(t *testing.T) { checkDockerRun(t, g) })
	g.step(t, "reboot", func(t *testing.T) {
		g.sh(t, "echo kept > /home/rancher/kept && sudo sh -c 'echo kept > /opt/kept'")
		g.sh(t, "docker run -d --name back --restart always busybox sleep 987654")
		hostKey := g.ssh.HostKey
		g.reboot(t, "sudo reboot")
		g.settle(t)
		if out := g.sh(t, "cat /home/rancher/kept /opt/kept"); out != "kept\nkept" {
			t.Errorf("files on the state disk after a reboot: %q", out)
		}
		if g.ssh.HostKey != hostKey {
			t.Errorf("ssh host key after a reboot: %s, was %s", g.ssh.HostKey, hostKey)
		}
		g.sh(t, "docker image inspect busybox")
		g.eventually(t, stepPatience, func() error {
			if state := g.sh(t, "docker inspect -f '{{.State.Status}}' back"); state != "running" {
				return fmt.Errorf("container with --restart always is %s after a reboot", state)
			}
			return nil
		})
	})
	g.step(t, "power-button", func(t *testing.T) {
		g.plantBadServices(t)
		g.hangUp()
		if err := g.PressPower(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := g.within(stepPatience)
		defer cancel()
		if err := g.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		l.checkDisk(t, disk)
	})
}

// fullDisk is a machine whose state disk has not a byte left when it boots. It
// must let people in, say what is wrong, and be well again when they have made
// room.
func fullDisk(t *testing.T, l lab) {
	cfg := l.direct()
	cfg.Disks = []string{l.newStateDisk(t)}
	g := l.startWith(t, cfg, "cidata", map[string]string{
		"meta-data": "instance-id: full\n", "user-data": "#cloud-config\nhostname: full\nssh_authorized_keys:\n- " + l.key.Authorized + "\n",
	})
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.settle(t)
	const isFull = "the state disk is full: "
	fill := "busybox fallocate -l $(($(stat -f -c %f /opt) * $(stat -f -c %S /opt) - (8 << 20))) /opt/most; cat /dev/zero >/opt/rest"
	g.step(t, "full", func(t *testing.T) {
		g.try(t, fmt.Sprintf("sudo sh -c '%s; cat /dev/zero >/home/rest; sync'", fill), nil)
		if r := g.try(t, "sudo sh -c 'echo more >/opt/more'", nil); r.Code == 0 {
			t.Fatal("there is room yet")
		}
		g.allow("no space left on device", "No space left on device")
		g.reboot(t, "sudo reboot")
		if warnings := strings.Join(g.status(t).Warnings, "\n"); !strings.Contains(warnings, isFull) {
			t.Errorf("ros status does not warn of a full disk: %s", warnings)
		}
		g.eventually(t, stepPatience, func() error { return g.shows(t, "hostname; sudo id -u", "full\n0") })
		g.sh(t, "sudo ros config get hostname")
		g.sh(t, "sudo rm /opt/most /opt/rest /opt/more /home/rest")
	})
	g.step(t, "room-again", func(t *testing.T) {
		g.reboot(t, "sudo reboot")
		g.settle(t)
		if warnings := strings.Join(g.status(t).Warnings, "\n"); strings.Contains(warnings, isFull) {
			t.Errorf("ros status still warns: %s", warnings)
		}
		g.importBusybox(t)
		g.sh(t, "docker run --rm busybox true")
	})
	g.powerOff(t)
}

// reboot runs a command that ends in a reboot and logs in again when the
// machine is back.
func (g *guest) reboot(t *testing.T, command string) {
	t.Helper()
	const bootID = "cat /proc/sys/kernel/random/boot_id"
	before := g.sh(t, bootID)
	g.Console.Skip()
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	_, _ = g.ssh.Run(ctx, command, nil) // the connection may end before the answer comes
	g.hangUp()
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	if after := g.sh(t, bootID); after == before {
		t.Fatalf("%s: the machine did not boot anew", command)
	}
}

// checkDisk looks for file-system errors on a disk whose machine has ended.
func (l lab) checkDisk(t *testing.T, disk string) {
	t.Helper()
	raw, err := l.build.Raw(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(raw)
	out, err := l.build.Run("e2fsck", "-fn", raw)
	if err != nil {
		t.Errorf("the state disk is not clean: %v", err)
	}
	if head, err := l.build.Run("dumpe2fs", "-h", raw); err != nil || strings.Contains(head, "needs_recovery") {
		t.Errorf("the state disk was not unmounted: %v\n%s", err, out)
	}
}

// onDisk runs debugfs commands on a disk whose machine has ended.
func (l lab) onDisk(t *testing.T, disk string, edit func(raw string) error) {
	t.Helper()
	raw, err := l.build.Raw(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(raw)
	if err := errors.Join(edit(raw), l.build.FromRaw(raw, disk)); err != nil {
		t.Fatal(err)
	}
}

// powerCut pulls the plug while the state disk is written to. The next boot
// finds a journal to replay and a machine that is well.
func powerCut(t *testing.T, l lab) {
	disk := l.newStateDisk(t)
	t.Run("cut", func(t *testing.T) {
		g := l.bootISO(t, "bios", disk)
		g.settle(t)
		g.sh(t, "echo kept > /home/rancher/kept && sync")
		g.sh(t, "(while :; do i=$((i+1)); head -c 50000 /dev/urandom > /home/rancher/$i; [ $((i % 20)) = 0 ] && sync; done) >/dev/null 2>&1 & sleep 5")
		g.scan(t)
		g.Stop()
	})
	t.Run("after", func(t *testing.T) {
		cfg := l.direct()
		cfg.Disks = []string{disk}
		g := l.start(t, cfg)
		g.logIn(t)
		g.step(t, "services", func(t *testing.T) {
			g.settle(t)
			if out := g.sh(t, "cat /home/rancher/kept"); out != "kept" {
				t.Errorf("a file that was synced before the power cut: %q", out)
			}
		})
		g.powerOff(t)
		l.checkDisk(t, disk)
	})
}

// reboots boots the same machine again and again.
func reboots(t *testing.T, l lab) {
	disk := l.newStateDisk(t)
	cfg := l.direct()
	cfg.Disks = []string{disk}
	g := l.start(t, cfg)
	g.logIn(t)
	for i := range 5 {
		ok := g.step(t, fmt.Sprintf("reboot-%d", i+1), func(t *testing.T) {
			g.settle(t)
			g.reboot(t, []string{"sudo reboot", "sudo shutdown -r now"}[i%2])
		})
		if !ok {
			t.Fatal("the machine is in an unknown state")
		}
	}
	g.settle(t)
	g.powerOff(t)
	l.checkDisk(t, disk)
}

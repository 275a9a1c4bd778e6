//go:build vm

package vm

import (
	"strings"
	"testing"

	"github.com/rosteros/ros/tests/vm/qemu"
)

// metal is the flavour for real machines on what a real machine has: no virtio,
// the ISO on a USB stick, the state disk on NVMe, an Intel network card.
func metal(t *testing.T, l lab) {
	l = l.metal(t)
	disk := l.newStateDisk(t)
	g := l.start(t, qemu.Config{Firmware: "uefi", ISO: l.system.ISO, Disks: []string{disk}, Metal: true})
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	inspect(t, g)
	g.step(t, "hardware", func(t *testing.T) {
		g.prints(t, map[string]string{
			"basename $(readlink /sys/class/net/eth0/device/driver)":                  "e1000e",
			"basename $(readlink /sys/class/block/nvme0n1/device/device/driver)":      "nvme",
			"ls /sys/bus/virtio/devices 2>/dev/null | wc -l":                          "0",
			"basename -a $(readlink -f /sys/bus/usb/drivers/usb-storage/*:*) | wc -l": "2",
			`sed -n 's/.*"flavour": *"\([^"]*\)".*/\1/p' /usr/lib/ros/release.json`:   "metal",
		})
		if s := g.status(t); !strings.Contains(s.State, "/dev/nvme0n1") {
			t.Errorf("ros status: state is on %q, want the disk /dev/nvme0n1", s.State)
		}
	})
	g.step(t, "poweroff", func(t *testing.T) {
		g.powerOff(t)
		l.checkDisk(t, disk)
	})
}

// metal is the lab with the flavour for real machines.
func (l lab) metal(t *testing.T) lab {
	t.Helper()
	system, err := l.build.System(l.arch + "-metal")
	if err != nil {
		t.Fatal(err)
	}
	l.system = system
	return l
}

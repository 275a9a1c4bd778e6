//go:build vm

package vm

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/rosteros/ros/tests/vm/qemu"
)

// diskImages are what `make disks` has made: one disk in three forms, each of
// which QEMU reads and a machine starts from. The state disk grows to the size
// of the machine's disk.
func diskImages(t *testing.T, l lab) {
	file := func(format string) string { return filepath.Join(filepath.Dir(l.system.OSImage), "roster."+format) }
	for _, image := range []struct{ format, firmware string }{{"raw", "bios"}, {"qcow2", "uefi"}, {"vmdk", "bios"}} {
		t.Run(image.format, func(t *testing.T) {
			if image.format != "raw" { // which has nothing that could be wrong in itself
				l.tool(t, "qemu-img", "check", "-q", "-f", image.format, file(image.format))
				l.tool(t, "qemu-img", "compare", "-q", "-f", "raw", "-F", image.format, file("raw"), file(image.format))
			}
			disk := filepath.Join(t.TempDir(), "disk.qcow2")
			if err := l.build.Overlay(disk, file(image.format), image.format); err != nil {
				t.Fatal(err)
			}
			l.tool(t, "qemu-img", "resize", "-q", disk, "4G")
			g := l.start(t, qemu.Config{Firmware: image.firmware, Disks: []string{disk}, Restrict: true})
			g.expect(t, loginPrompt, bootPatience)
			g.logIn(t)
			g.settle(t)
			g.isInstalled(t, "tested", "/dev/vda6")
			var mib int
			if _, err := fmt.Sscan(g.sh(t, "echo $(($(stat -f -c '%b * %S' /opt) >> 20))"), &mib); err != nil || mib < 2500 {
				t.Errorf("the state disk has %d MiB of a disk of 4096 (%v)", mib, err)
			}
			g.powerOff(t)
		})
	}
}

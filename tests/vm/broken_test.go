//go:build vm

package vm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// fails is a program that does nothing well.
const fails = "#!/bin/sh\necho this program is broken >&2\nexit 3\n"

// fillsDisk fills the file system at /fill and fails then. What ext4 holds back
// is enough for a small file.
const fillsDisk = `#!/bin/sh
busybox fallocate -l $(($(busybox stat -f -c %f /fill) * 4096 - (16 << 20))) /fill/most
cat /dev/zero >>/fill/rest
busybox dd if=/dev/zero of=/fill/probe bs=64k count=16 conv=fsync
`

// brokenReleases are all ways in which the tests break a release. The first of
// them stand for the kinds: before PID 1, in PID 1's first stage, around rosd,
// and a service.
var brokenReleases = []brokenRelease{
	{
		name:     "initrd-fails",
		change:   change{initrd: func([]byte) []byte { return bytes.Repeat([]byte("no initrd\n"), 1000) }},
		reason:   regexp.MustCompile(`^kernel: `),
		provokes: []string{`Kernel panic`, `---\[ end Kernel panic`, `Unable to mount root fs`, `Call Trace`},
	},
	{
		name: "wrong-verity-hash",
		change: change{cmdline: func(words string) string {
			return regexp.MustCompile(`ros.roothash=..`).ReplaceAllString(words, "ros.roothash=00")
		}},
		reason:   regexp.MustCompile(`verity`),
		provokes: []string{`device-mapper: verity`, `dm-verity`, `FAIL`},
	},
	{
		name:   "rosd-crash-loop",
		change: change{files: map[string]string{"usr/lib/ros/rosd": fails}},
		reason: regexp.MustCompile(`rosd`),
	},
	{
		name:   "required-service-unhealthy",
		change: change{files: map[string]string{"usr/lib/ros/layers/ssh/usr/lib/ros-ssh/healthy": fails}},
		reason: regexp.MustCompile(`^service ssh: required service ssh is `),
	},

	{
		name:     "kernel-panics",
		change:   change{cmdline: func(words string) string { return words + " rdinit=/nowhere init=/nowhere root=/dev/null rootwait=1" }},
		reason:   regexp.MustCompile(`^kernel: `),
		provokes: []string{`Kernel panic`, `Call Trace`},
	},
	{
		name:     "pid1-dies",
		change:   change{files: map[string]string{"usr/lib/ros/init": fails}},
		reason:   regexp.MustCompile(`switch-root|PID 1`),
		provokes: []string{`Kernel panic`, `Attempted to kill init`, `Call Trace`},
	},
	{
		name:   "hangs-before-user-space",
		change: change{kernel: hangingKernel},
		reason: regexp.MustCompile(`^kernel: `),
	},
	{
		name:   "hangs-after",
		change: change{files: map[string]string{"usr/lib/ros/init": "#!/bin/sh\nwhile :; do sleep 1000; done\n"}},
		reason: regexp.MustCompile(`switch-root|PID 1`),
	},
	{
		name:   "containerd-missing",
		change: change{files: map[string]string{"usr/lib/ros/containerd": ""}},
		reason: regexp.MustCompile(`containerd`),
	},
	{
		name:   "network-service-broken",
		change: change{files: map[string]string{"usr/lib/ros/layers/network/usr/lib/ros-network/start": fails}},
		reason: regexp.MustCompile(`^service network: required service network is `),
	},
	{
		name: "state-disk-full",
		change: change{files: map[string]string{
			"usr/lib/ros/layers/base/usr/bin/fill-disk": fillsDisk,
			"usr/lib/ros/os-services/filler.yml": service("filler", `[CMD, /usr/bin/fill-disk]`,
				"    volumes: [/var/lib/rancher/filler:/fill]\n"),
		}},
		// Whichever service needs room first.
		reason: regexp.MustCompile(`^service filler: required service filler is |^service .*no space left on device|^state disk: `),
		after: func(t *testing.T, g *guest) {
			g.sh(t, "sudo rm -rf /var/lib/rancher/filler")
			g.reboot(t, "sudo reboot") // for the services that had no room to start
		},
	},
	{
		name: "reboots-itself",
		change: change{files: map[string]string{"usr/lib/ros/os-services/rebooter.yml": service("rebooter", `[CMD, sh, -c, "echo b > /proc/sysrq-trigger"]`,
			"    privileged: true\n")}},
		reason: regexp.MustCompile(`^phase .*ended without a word`),
	},
}

// service is a service file that is required and has a probe.
func service(name, probe, more string) string {
	privileged := ""
	if strings.Contains(more, "privileged") {
		privileged = "\n      privileged-reason: it breaks the machine on purpose"
	}
	return fmt.Sprintf(`services:
  %s:
    image: ros/base
    command: [sleep, "1000000"]
%s    restart: always
    healthcheck: {test: %s, interval: 5s, timeout: 60s, retries: 1, start_period: 1s}
    x-ros:
      scope: system
      required: true%s
`, name, more, probe, privileged)
}

// hangingKernel puts an endless loop at each place where a boot loader enters
// the kernel: the 32-bit and the 64-bit entry (Documentation/arch/x86/boot.rst)
// and that of the PE header, which UEFI uses.
func hangingKernel(kernel []byte) []byte {
	loop := []byte{0xeb, 0xfe} // jmp $
	k := bytes.Clone(kernel)
	sectors := int(k[0x1f1])
	if sectors == 0 {
		sectors = 4
	}
	protected := (sectors + 1) * 512
	copy(k[protected:], loop)
	copy(k[protected+0x200:], loop)
	pe := int(binary.LittleEndian.Uint32(k[0x3c:]))
	entry := int(binary.LittleEndian.Uint32(k[pe+24+16:]))
	copy(k[entry:], loop)
	return k
}

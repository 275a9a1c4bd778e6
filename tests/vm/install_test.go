//go:build vm

package vm

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rosteros/ros/tests/vm/qemu"
)

// installs is a chain: the ISO without a network installs on an empty disk, and
// the disk starts alone, under BIOS and under UEFI.
func installs(t *testing.T, l lab) {
	disk := filepath.Join(t.TempDir(), "installed.qcow2")
	if err := l.build.BlankDisk(disk, 4096); err != nil {
		t.Fatal(err)
	}
	if !t.Run("iso", func(t *testing.T) { installFromISO(t, l, disk) }) {
		t.Fatal("there is nothing on the disk to start")
	}
	for _, firmware := range l.firmwares() {
		t.Run(firmware, func(t *testing.T) { bootInstalled(t, l, firmware, disk) })
	}
}

// firmwares are those that an installed disk starts under.
func (l lab) firmwares() []string {
	if l.arch == "amd64" {
		return []string{"bios", "uefi"}
	}
	return []string{"uefi"}
}

func installFromISO(t *testing.T, l lab, disk string) {
	g := l.startAlone(t, qemu.Config{Firmware: l.firmwares()[0], ISO: l.system.ISO, Disks: []string{disk}, NoNetwork: true})
	g.expect(t, loginPrompt, bootPatience)
	g.expect(t, regexp.MustCompile(`[$#] ?$`), stepPatience)
	config := []string{"#cloud-config", "hostname: installed", "ssh_authorized_keys:", "- " + l.key.Authorized}
	g.step(t, "refuses", func(t *testing.T) {
		g.typed(t, "printf 'hostnam: x\\n' >/tmp/bad.yml", 0)
		if out := g.typed(t, "sudo ros install -f -d /dev/vda -c /tmp/bad.yml", 1); !strings.Contains(out, "/tmp/bad.yml:1:1: hostnam: unknown key") {
			t.Errorf("a fault in the config: %s", out)
		}
		if out := g.typed(t, "sudo ros install -f -d /dev/sr0", 1); !strings.Contains(out, "it is a CD drive") {
			t.Errorf("the medium itself: %s", out)
		}
	})
	g.step(t, "installs", func(t *testing.T) {
		g.typed(t, "printf '%s\\n' '"+strings.Join(config, "' '")+"' >/tmp/edge.yml", 0)
		out := g.typed(t, "sudo ros install -f --no-reboot -d /dev/vda -c /tmp/edge.yml -a tested=yes 2>&1 | cat", 0)
		if !strings.Contains(out, "is on /dev/vda. Take the medium out") {
			t.Fatalf("ros install: %s", out)
		}
	})
	g.step(t, "poweroff", func(t *testing.T) {
		ctx, cancel := g.within(stepPatience)
		defer cancel()
		if err := g.Console.Send("sudo poweroff\r"); err != nil {
			t.Fatal(err)
		}
		if err := g.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

func bootInstalled(t *testing.T, l lab, firmware, disk string) {
	g := l.startAlone(t, qemu.Config{Firmware: firmware, Disks: []string{disk}, Restrict: true})
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.step(t, "services", func(t *testing.T) {
		g.settle(t)
		g.isInstalled(t, "installed", "/dev/vda6")
	})
	g.step(t, "config", func(t *testing.T) {
		line := g.sh(t, "sudo cat /proc/1/root/proc/cmdline")
		for _, word := range []string{"ros.slot=A", "ros.image=PARTUUID=", "tested=yes", l.system.Console} {
			if !strings.Contains(line, word) {
				t.Errorf("%q is not on the kernel command line: %s", word, line)
			}
		}
	})
	g.step(t, "arguments", func(t *testing.T) {
		want := "tested=" + firmware
		g.sh(t, fmt.Sprintf(`sudo env EDITOR="sed -i s/tested=[a-z]*/%s/" ros config syslinux`, want))
		g.reboot(t, "sudo reboot")
		if line := g.sh(t, "sudo cat /proc/1/root/proc/cmdline"); !strings.Contains(line, want) {
			t.Errorf("%q is not on the kernel command line: %s", want, line)
		}
		g.sh(t, `sudo env EDITOR="sed -i s/tested=[a-z]*/tested=yes/" ros config syslinux`)
	})
	g.step(t, "no-way-back", func(t *testing.T) {
		r := g.try(t, "sudo ros install -f -d /dev/vda", nil)
		if r.Code != 1 || !strings.Contains(r.Stderr, "cannot install on") {
			t.Errorf("installing on the disk that runs: exit code %d: %s", r.Code, r.Stderr)
		}
	})
	g.powerOff(t)
}

// typed runs a command on the serial console and returns what it printed.
func (g *guest) typed(t *testing.T, command string, code int) string {
	t.Helper()
	ctx, cancel := g.within(bootPatience)
	defer cancel()
	out, got, err := g.Console.Shell(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Fatalf("%s: exit code %d, want %d\n%s", command, got, code, out)
	}
	return out
}

// installsAlone is the ISO with an order to install on its seed disk. It turns
// the power off when it is done; the disk starts alone; and with the medium
// still in it does not install again.
func installsAlone(t *testing.T, l lab) {
	disk := filepath.Join(t.TempDir(), "installed.qcow2")
	if err := l.build.BlankDisk(disk, 4096); err != nil {
		t.Fatal(err)
	}
	seed := map[string]string{
		"meta-data": "instance-id: test\nlocal-hostname: ordered\n",
		"user-data": "#cloud-config\nssh_authorized_keys:\n- " + l.key.Authorized + "\nrancher:\n  install: {device: /dev/vda, poweroff: true}\n",
	}
	medium := qemu.Config{Firmware: l.firmwares()[0], ISO: l.system.ISO, Disks: []string{disk}, Restrict: true}
	installed := t.Run("order", func(t *testing.T) {
		g := l.startWith(t, medium, "cidata", seed)
		g.expect(t, regexp.MustCompile(`ros: install: Roster \S+ is on /dev/vda`), bootPatience)
		ctx, cancel := g.within(stepPatience)
		defer cancel()
		if err := g.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		g.scan(t)
	})
	if !installed {
		t.Fatal("there is nothing on the disk to start")
	}
	t.Run("disk", func(t *testing.T) {
		g := l.startAlone(t, qemu.Config{Firmware: l.firmwares()[0], Disks: []string{disk}, Restrict: true})
		g.expect(t, loginPrompt, bootPatience)
		g.logIn(t)
		g.settle(t)
		g.isInstalled(t, "ordered", "/dev/vda6")
		g.powerOff(t)
	})
	t.Run("again", func(t *testing.T) {
		g := l.startWith(t, medium, "cidata", seed)
		g.expect(t, regexp.MustCompile(`ros: install: .*Roster is on it already`), bootPatience)
		g.logIn(t)
		if s := g.status(t); s.Slot != "iso" || !strings.Contains(strings.Join(s.Warnings, "\n"), "rancher.install: ") {
			t.Errorf("ros status: slot %q, warnings %q", s.Slot, s.Warnings)
		}
		g.powerOff(t)
	})
}

// buses are where a real machine has its disks, and what each is started under.
var buses = []struct{ bus, firmware, disk string }{
	{"sata", "bios", "sda"},
	{"nvme", "uefi", "nvme0n1"},
	{"usb", "uefi", "sda"},
}

// installsOnBuses is a chain: the live system of the flavour metal installs on a
// disk of each bus, and each of them starts in a machine that has nothing else.
func installsOnBuses(t *testing.T, l lab) {
	l = l.metal(t)
	var disks, names []string
	for _, b := range buses {
		disk := filepath.Join(t.TempDir(), b.bus+".qcow2")
		if err := l.build.BlankDisk(disk, 4096); err != nil {
			t.Fatal(err)
		}
		disks, names = append(disks, disk), append(names, b.bus)
	}
	if !t.Run("iso", func(t *testing.T) { installOnBuses(t, l, disks, names) }) {
		t.Fatal("there is nothing on the disks to start")
	}
	for i, b := range buses {
		t.Run(b.bus, func(t *testing.T) {
			g := l.startAlone(t, qemu.Config{Firmware: b.firmware, Disks: disks[i : i+1], Buses: names[i : i+1], Restrict: true})
			g.expect(t, loginPrompt, bootPatience)
			g.logIn(t)
			g.settle(t)
			g.isInstalled(t, "on-"+b.bus, partition(b.disk, 6))
			g.powerOff(t)
		})
	}
}

func installOnBuses(t *testing.T, l lab, disks, names []string) {
	cfg := l.direct()
	cfg.Disks, cfg.Buses = disks, names
	g := l.start(t, cfg)
	g.logIn(t)
	for _, b := range buses {
		g.step(t, b.bus, func(t *testing.T) {
			// Which of two disks is sda is a matter of luck.
			name := g.sh(t, fmt.Sprintf("lsblk -dnro TRAN,TYPE,NAME | sed -n 's/^%s disk //p'", b.bus))
			g.feed(t, "cat >/tmp/edge.yml", strings.NewReader("#cloud-config\nhostname: on-"+b.bus+"\nssh_authorized_keys:\n- "+l.key.Authorized+"\n"))
			out := g.sh(t, "sudo ros install -f --no-reboot -c /tmp/edge.yml -d /dev/"+name)
			if !strings.Contains(out, "is on /dev/"+name) {
				t.Errorf("ros install: %s", out)
			}
		})
	}
	g.powerOff(t)
}

// partition is the n-th of a disk, as the kernel names it.
func partition(disk string, n int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		disk += "p"
	}
	return fmt.Sprintf("/dev/%s%d", disk, n)
}

// isInstalled looks at a machine that has started from slot A of its disk.
func (g *guest) isInstalled(t *testing.T, hostname, state string) {
	t.Helper()
	if name := g.sh(t, "hostname"); name != hostname {
		t.Errorf("hostname is %q, want %s", name, hostname)
	}
	if s := g.status(t); s.Slot != "A" || s.State != "disk "+state {
		t.Errorf("ros status: slot %q, state on %q, want A and the disk %s", s.Slot, s.State, state)
	}
}

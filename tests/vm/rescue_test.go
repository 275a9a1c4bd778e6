//go:build vm

package vm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rescued is a machine that is asked for rescue: the network of the config, ssh with the keys of
// the cloud-config, the tools of the OS image, and not a byte written to the
// state disk before somebody says so.
func rescued(t *testing.T, l lab) {
	disk := l.unclean(t, map[string]string{
		"var/lib/rancher/conf/cloud-config.yml": "#cloud-config\nhostname: broken\nssh_authorized_keys:\n  - " + l.key.Authorized + "\n" +
			"rancher:\n  network:\n    dns: {nameservers: [10.0.2.3]}\n    interfaces:\n" +
			"      \"mac=52:54:*\": {address: 10.0.2.15/24, addresses: [10.0.2.99/24], gateway: 10.0.2.2}\n      wan9: {dhcp: true}\n",
		"home/kept": "kept\n",
		"opt/kept":  "kept\n",
	})
	before := l.sum(t, disk)
	cfg := l.direct("rescue")
	cfg.Disks = []string{disk}
	g := l.startWith(t, cfg, "empty", map[string]string{"nothing": "here"})

	g.step(t, "console", func(t *testing.T) {
		g.expectRescue(t, "phase rescue")
		g.awaitLine(t, `rescue: eth0 has the addresses of the config: 10\.0\.2\.15/24 10\.0\.2\.99/24`)
		g.awaitLine(t, `rescue: ssh on port 22 as root or rancher; keys: 1; host keys: made for this time`)
	})
	g.step(t, "ssh", func(t *testing.T) {
		g.logIn(t)
		defer g.hangUp()
		for command, want := range map[string]string{
			"id -u":                    `^0$`,
			"readlink /proc/1/exe":     `init`,
			"cat /home/kept /opt/kept": `^kept\nkept$`,
			"mount | grep ' /state '":  `\(ro,`,
			"mount | grep ' /var '":    `\(ro,`,
			"ip route":                 `default via 10\.0\.2\.2 dev eth0`,
			"cat /etc/resolv.conf":     `nameserver 10\.0\.2\.3`,
			"ros config get hostname":  `^broken$`,
			"ros os version":           `^[0-9A-Za-z.-]+$`,
			"which e2fsck mke2fs":      `e2fsck\n.*mke2fs`,
			"lsmod":                    `virtio_net`,
		} {
			if out := g.sh(t, command); !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("%s says %q, want %s", command, out, want)
			}
		}
		if r := g.try(t, "echo x >/var/lib/rancher/conf/x", nil); r.Code == 0 {
			t.Error("the state disk can be written to")
		}
	})
	g.step(t, "nothing-written", func(t *testing.T) {
		if after := l.sum(t, disk); after != before {
			t.Error("the state disk has changed")
		}
	})
	g.step(t, "repair", func(t *testing.T) {
		g.logIn(t)
		defer g.hangUp()
		out := g.sh(t, "rescue state && sed -i s/broken/mended/ /var/lib/rancher/conf/cloud-config.yml && ros config get hostname")
		if !strings.Contains(out, "/dev/vda is mounted for writing") || !strings.HasSuffix(out, "mended") {
			t.Errorf("rescue state: %q", out)
		}
		ctx, cancel := g.within(stepPatience)
		defer cancel()
		_, _ = g.ssh.Run(ctx, "poweroff", nil)
		if err := g.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		raw, err := l.build.Raw(disk)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := l.build.Run("e2fsck", "-fn", raw); err != nil {
			t.Errorf("the state disk is not clean: %v\n%s", err, out)
		}
	})
}

// awaitLine waits until the console has shown it, whatever was expected before.
func (g *guest) awaitLine(t *testing.T, expr string) {
	t.Helper()
	re := regexp.MustCompile(expr)
	g.eventually(t, stepPatience, func() error {
		if !re.MatchString(g.Console.Since(0)) {
			return fmt.Errorf("the console has not shown %q", expr)
		}
		return nil
	})
}

// unclean makes a state disk with files on it that looks as after a power cut:
// a mount that does not ask otherwise replays its journal, and so writes.
func (l lab) unclean(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, disk := t.TempDir(), filepath.Join(t.TempDir(), "state.qcow2")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.build.StateDisk(disk, 256, dir); err != nil {
		t.Fatal(err)
	}
	l.onDisk(t, disk, func(raw string) error {
		_, err := l.build.Run("debugfs", "-w", "-R", "feature needs_recovery", raw)
		return err
	})
	return disk
}

// sum is a checksum over all that is on a qcow2 disk, also while a machine has
// it.
func (l lab) sum(t *testing.T, disk string) string {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	if _, err := l.build.Run("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", disk, raw); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(raw)
	f, err := os.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

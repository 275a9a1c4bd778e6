//go:build vm

package vm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/slots"
)

// otherWays are those around an upgrade that few take: a restart without the
// firmware, a restart in the middle of a trial, and the rescue shell.
func otherWays(t *testing.T, l lab) {
	r := l.openReleases(t)
	refs := []string{r.make(t, "v9.0.0", change{}), r.make(t, "v9.0.1", change{})}
	disk := l.installDisk(t, l.patientConfig(t, r))
	g := l.bootDisk(t, "bios", disk)
	g.settle(t)
	g.step(t, "refused", func(t *testing.T) { g.checkRefused(t, r) })
	ok := g.step(t, "kexec", func(t *testing.T) { g.checkKexec(t, refs[0]) })
	ok = ok && g.step(t, "restart-in-trial", func(t *testing.T) { g.checkStopped(t, refs[1]) })
	if !ok {
		t.Fatal("the machine is in an unknown state")
	}
	g.step(t, "dirty-esp", func(t *testing.T) {
		g.importBusybox(t)
		// As a power cut leaves it: the byte that Linux sets while it is mounted.
		g.sh(t, `docker run --rm --privileged busybox sh -c 'printf "\001" | busybox dd of=/dev/vda2 bs=1 seek=65 conv=notrunc 2>/dev/null'`)
		if out := g.sh(t, "sudo ros os rollback --no-reboot 2>&1"); !strings.Contains(out, "the EFI system partition was not unmounted and has been mended") {
			t.Errorf("ros os rollback: %s", out)
		}
		g.sh(t, "sudo ros os rollback --no-reboot") // and forward again
	})
	g.step(t, "rescue", func(t *testing.T) { g.checkRescueSlots(t) })
	before := g.osStatus(t)
	g.powerOff(t)
	t.Run("slot-gone", func(t *testing.T) { l.checkSlotGone(t, disk, refs, before) })
}

// checkSlotGone takes the partition of slot A off a disk whose slot B runs:
// whatever is asked for is refused, and nothing else changes.
func (l lab) checkSlotGone(t *testing.T, disk string, refs []string, before slots.Status) {
	if before.Running.Slot != slots.B || before.Boot == nil || before.Boot.Previous != slots.A {
		t.Fatalf("ros os status before: %+v; want slot B running and A the previous one", before)
	}
	l.onDisk(t, disk, func(raw string) error {
		_, err := l.build.Run("sfdisk", "--quiet", "--delete", raw, "3")
		return err
	})
	g := l.bootDisk(t, "bios", disk)
	g.settle(t)
	const gone = "slot A cannot be started: cannot find device"
	if s := g.osStatus(t); !strings.Contains(strings.Join(s.Warnings, "\n"), gone) {
		t.Errorf("ros os status warns of %q, want %s", s.Warnings, gone)
	}
	for command, want := range map[string]string{
		"sudo ros os rollback --no-reboot":           "cannot roll back: " + gone,
		"sudo ros os upgrade --no-reboot " + refs[1]: "cannot find slot A: no partition ROOT_A beside /dev/vda4",
		"sudo ros os verify":                         "cannot find slot A: no partition ROOT_A beside /dev/vda4",
	} {
		r := g.try(t, command, nil)
		if text := r.Stdout + r.Stderr; r.Code != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: exit code %d, want 1 and %s:\n%s", command, r.Code, want, text)
		}
	}
	s := g.osStatus(t)
	if s.Running.Slot != slots.B || s.Next != slots.B || s.Boot == nil || *s.Boot != *before.Boot {
		t.Errorf("ros os status: %+v, the boot loader has %+v; want %+v as before", s, s.Boot, before.Boot)
	}
	g.powerOff(t)
}

// checkKexec upgrades without a start of the boot loader.
func (g *guest) checkKexec(t *testing.T, ref string) {
	id, from := g.bootID(t), g.Console.Mark()
	if done := g.upgrade(t, "--kexec "+ref); !done.Armed || !done.Kexec {
		t.Errorf("ros os upgrade --kexec: %+v", done)
	}
	// No boot loader has counted it: rosd has it counted.
	s := g.backFrom(t, id, func(s slots.Status) bool { return s.State == slots.Trying && s.Boot != nil && s.Boot.Tries == 0 })
	if s.Version != "v9.0.0" || s.Running.Slot != slots.B || s.Next != slots.A {
		t.Errorf("ros os status on trial: %+v", s)
	}
	if strings.Contains(g.Console.Since(from), "GRUB") {
		t.Error("the boot loader has run")
	}
	if !strings.Contains(g.Console.Since(from), "armed over the jump: /dev/watchdog (i6300ESB") {
		t.Error("nothing would have reset a kernel that hangs after the jump")
	}
	if line := g.sh(t, "sudo cat /proc/1/root/proc/cmdline"); !strings.Contains(line, steadyClock) {
		t.Errorf("the operator's arguments are not on the kernel command line: %s", line)
	}
	g.settle(t)
	g.checkCommit(t, slots.B)
}

// checkCommit commits by hand.
func (g *guest) checkCommit(t *testing.T, slot slots.Slot) {
	t.Helper()
	g.sh(t, "sudo ros os commit")
	s := g.osStatus(t)
	if s.State != slots.Committed || s.Boot == nil || s.Boot.Committed != slot || s.Boot.Previous != slot.Other() || s.Failure != nil {
		t.Errorf("ros os status after the commit: %+v", s)
	}
}

// checkStopped restarts the machine in the middle of a trial, which is no fault
// of the trial.
func (g *guest) checkStopped(t *testing.T, ref string) {
	id := g.bootID(t)
	g.upgrade(t, ref)
	g.backFrom(t, id, func(s slots.Status) bool { return s.State == slots.Trying })
	g.Console.Skip()
	g.settle(t)
	g.reboot(t, "sudo reboot")
	s := g.osStatus(t)
	if s.State != slots.Trying || s.Version != "v9.0.1" || s.Running.Slot != slots.A || s.Failure != nil {
		t.Errorf("ros os status after a restart in the trial: %+v", s)
	}
	g.checkCommit(t, slots.A)
}

// checkRescueSlots goes back from the rescue shell of the boot menu.
func (g *guest) checkRescueSlots(t *testing.T) {
	g.Console.Skip()
	g.hangUpAfter(t, "sudo reboot")
	g.expect(t, regexp.MustCompile(`reboot: Restarting system`), stepPatience)
	from := g.Console.Mark()
	g.expect(t, regexp.MustCompile(`\(rescue shell\)`), bootPatience)
	// It is the fifth: current, previous, both with the default config, rescue.
	if err := g.Console.Send(strings.Repeat("\x1b[B", 4) + "\r"); err != nil {
		t.Fatal(err)
	}
	g.expectRescueSince(t, from, "phase rescue")
	g.eventually(t, stepPatience, func() error {
		if !strings.Contains(g.Console.Since(from), "rescue: eth0 has the address 10.0.2.15") { // by DHCP
			return errors.New("the rescue shell has no network")
		}
		return nil
	})
	if out := g.typed(t, "ros os status", 0); !strings.Contains(out, "v9.0.1") {
		t.Errorf("ros os status: %s", out)
	}
	if out := g.typed(t, "ros os verify", 0); strings.Count(out, "every byte is as it was signed with") != 2 {
		t.Errorf("ros os verify: %s", out)
	}
	if out := g.typed(t, "ros os rollback --no-reboot", 0); !strings.Contains(out, "v9.0.0 in slot B starts next") {
		t.Errorf("ros os rollback: %s", out)
	}
	if err := g.Console.Send("reboot\r"); err != nil {
		t.Fatal(err)
	}
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	if s := g.osStatus(t); s.Running.Slot != slots.B || s.Version != "v9.0.0" || s.Boot == nil || s.Boot.Committed != slots.B {
		t.Errorf("ros os status after the rollback: %+v", s)
	}
	g.settle(t)
}

// checkRefused orders upgrades to releases that are not as they were signed:
// each is refused with the reason, and what runs is what starts next.
func (g *guest) checkRefused(t *testing.T, r *releases) {
	// A kernel that the machine has already would not be fetched.
	other := func(kernel []byte) []byte { return append(kernel, "another"...) }
	r.make(t, "v9.0.2", change{kernel: other})
	kernel := blobOf(other(contentOf(t, g.lab.system.Kernel)))
	for _, tt := range []struct {
		name, want string
		spoil      func(dir string)
	}{
		{"truncated", `cannot get the kernel of release v9\.0\.2: `, func(dir string) {
			content := contentOf(t, filepath.Join(dir, kernel))
			put(t, filepath.Join(dir, kernel), string(content[:len(content)/2]))
		}},
		{"flipped", `the kernel of release v9\.0\.2: it is damaged`, func(dir string) {
			content := contentOf(t, filepath.Join(dir, kernel))
			content[len(content)/2] ^= 1
			put(t, filepath.Join(dir, kernel), string(content))
		}},
		{"foreign-key", `signed with a key that this machine does not trust \(rancher\.upgrade\.trusted_keys; --take-what-nobody-signed`, nil},
	} {
		dir := filepath.Join(r.dir, tt.name)
		if out, err := exec.Command("cp", "-al", filepath.Join(r.dir, "v9.0.2"), dir).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
		order := "sudo ros os upgrade --no-reboot " + r.url + "/" + tt.name
		if tt.spoil != nil {
			tt.spoil(dir)
		} else {
			g.sh(t, "sudo ros config set rancher.upgrade.trusted_keys '[]'")
			order += "; code=$?; sudo ros config unset rancher.upgrade.trusted_keys >/dev/null; exit $code"
		}
		res := g.try(t, order, nil)
		if res.Code != 1 || !regexp.MustCompile(tt.want).MatchString(res.Stderr) {
			t.Errorf("%s: exit code %d, want 1 and %s:\n%s", tt.name, res.Code, tt.want, res.Stderr)
		}
		t.Logf("%s: %s", tt.name, strings.TrimSpace(res.Stderr))
		if s := g.osStatus(t); s.Next != slots.A || s.Boot == nil || s.Boot.Committed != slots.A || s.Boot.Trial != "" {
			t.Errorf("%s: ros os status: %+v", tt.name, s)
		}
	}
}

// blobOf is where an OCI layout has a content.
func blobOf(content []byte) string { return fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(content)) }

func contentOf(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

//go:build vm

package vm

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/tests/vm/qemu"
)

// badService is a file in /var/lib/rancher/services that cannot be used, or
// not all of it.
type badService struct {
	file string
	text string
	// failed are its services that must be failed; "": one of any name.
	failed []string
	// reason are words that each failed service's reason must have.
	reason []string
}

var badServices = []badService{
	{
		file:   "malformed.yml",
		text:   "services:\n  malformed:\n    image: [ros/console\n",
		failed: []string{""},
		reason: []string{"malformed.yml:"},
	},
	{
		file: "unknown.yml",
		text: `services:
  unknown:
    image: ros/console
    comand: [sleep, "100000"]
    x-ros: {scope: system}
`,
		failed: []string{"unknown"},
		reason: []string{"unknown.yml:4", "comand"},
	},
	{
		file: "unsupported.yml",
		text: `services:
  unsupported:
    image: ros/console
    deploy: {replicas: 2}
    x-ros: {scope: system}
`,
		failed: []string{"unsupported"},
		reason: []string{"unsupported.yml:4", "deploy"},
	},
	{
		file: "cycle.yml",
		text: `services:
  cycle-a:
    image: ros/console
    depends_on: [cycle-b]
    x-ros: {scope: system}
  cycle-b:
    image: ros/console
    depends_on: [cycle-a]
    x-ros: {scope: system}
`,
		failed: []string{"cycle-a", "cycle-b"},
		reason: []string{"cycle-a", "cycle-b"},
	},
	{
		file: "missing.yml",
		text: `services:
  missing:
    image: ros/not-there
    x-ros: {scope: system}
`,
		failed: []string{"missing"},
		reason: []string{"ros/not-there"},
	},
}

// goodService stands beside the bad ones and must run.
const goodService = `services:
  good:
    image: ros/console
    entrypoint: []
    command: [sleep, "100000"]
    restart: always
    x-ros: {scope: system}
`

// plantBadServices writes the files above. rosd reads them at the next boot.
func (g *guest) plantBadServices(t *testing.T) {
	t.Helper()
	const dir = "/var/lib/rancher/services"
	g.sh(t, "sudo mkdir -p "+dir)
	for _, s := range append([]badService{{file: "good.yml", text: goodService}}, badServices...) {
		g.feed(t, fmt.Sprintf("sudo tee %s/%s >/dev/null", dir, s.file), strings.NewReader(s.text))
	}
}

// badInput boots a disk with bad service files and a containerd database that
// ends in the middle. Both at once: they have nothing to do with each other,
// and a boot is a minute.
func badInput(t *testing.T, l lab, disk string) {
	l.onDisk(t, disk, func(raw string) error { return cutDatabase(l.build, raw) })
	cfg := l.direct()
	cfg.Disks = []string{disk}
	g := l.start(t, cfg)
	g.logIn(t)

	var failed []string
	for _, s := range badServices {
		failed = append(failed, s.failed...)
	}
	g.step(t, "others-run", func(t *testing.T) {
		var all map[string]control.Service
		g.eventually(t, bootPatience, func() (err error) {
			if all, err = g.services(t); err != nil {
				return err
			}
			// The malformed file is a failed service whose name rosd chooses.
			except := failed
			for name, s := range all {
				if strings.HasSuffix(s.File, "malformed.yml") {
					except = append(except, name)
				}
			}
			if s := all["good"]; s.State != control.Running {
				return fmt.Errorf("service good is %q %s", s.State, s.Reason)
			}
			return unsettled(all, except...)
		})
	})
	for _, bad := range badServices {
		g.step(t, bad.file, func(t *testing.T) {
			all, err := g.services(t)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range bad.failed {
				checkFailed(t, all, name, bad)
			}
		})
	}
	g.step(t, "containerd-set-aside", func(t *testing.T) {
		if out := g.sh(t, "sudo sh -c 'ls -d /var/lib/rancher/containerd.damaged-*'"); strings.Contains(out, "\n") {
			t.Errorf("containerd's data was set aside more than once:\n%s", out)
		}
		warnings := strings.Join(g.status(t).Warnings, "\n")
		if !strings.Contains(warnings, "containerd") {
			t.Errorf("ros status does not warn of it: %q", warnings)
		}
		if out := g.sh(t, "cat /home/rancher/kept"); out != "kept" {
			t.Errorf("a file on the same disk: %q", out)
		}
	})
}

func checkFailed(t *testing.T, all map[string]control.Service, name string, bad badService) {
	t.Helper()
	s, ok := all[name]
	if name == "" {
		for _, candidate := range all {
			if strings.HasSuffix(candidate.File, bad.file) || strings.Contains(candidate.Reason, bad.file) {
				s, ok = candidate, true
			}
		}
	}
	if !ok {
		t.Errorf("%s: ros service ps does not show service %q among %v", bad.file, name, slices.Sorted(maps.Keys(all)))
		return
	}
	if s.State != control.Failed {
		t.Errorf("%s: service %s is %s, want failed", bad.file, s.Name, s.State)
	}
	for _, word := range bad.reason {
		if !strings.Contains(s.Reason, word) {
			t.Errorf("%s: the reason of service %s does not have %q: %q", bad.file, s.Name, word, s.Reason)
		}
	}
}

// cutDatabase leaves two pages and a bit of the containerd database: both
// heads of it are there, and nothing they point to.
func cutDatabase(build qemu.Build, raw string) error {
	const name = "/var/lib/rancher/containerd/io.containerd.metadata.v1.bolt/meta.db"
	dir, err := os.MkdirTemp("", "rosdb")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db := filepath.Join(dir, "meta.db")
	if out, err := build.Run("debugfs", "-R", fmt.Sprintf("dump %s %s", name, db), raw); err != nil {
		return err
	} else if info, err := os.Stat(db); err != nil || info.Size() < 16<<10 {
		return fmt.Errorf("cannot find a database of some size at %s: %s", name, out)
	}
	if err := os.Truncate(db, 9000); err != nil {
		return err
	}
	commands := filepath.Join(dir, "commands")
	text := fmt.Sprintf("rm %s\nwrite %s %s\n", name, db, name)
	if err := os.WriteFile(commands, []byte(text), 0o644); err != nil {
		return err
	}
	_, err = build.Run("debugfs", "-w", "-f", commands, raw)
	return err
}

// damagedStateDisk is a disk that is labelled as the state disk and is
// otherwise noise: neither mount nor e2fsck can do anything with it.
func (l lab) damagedStateDisk(t *testing.T) string {
	t.Helper()
	noise := make([]byte, 64<<20)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(noise)
	const superblock, magic, label = 1024, 56, 120
	copy(noise[superblock+magic:], "\x53\xef")
	copy(noise[superblock+label:], "RANCHER_STATE\x00\x00\x00")
	disk := filepath.Join(t.TempDir(), "damaged.qcow2")
	raw := disk + ".raw"
	if err := os.WriteFile(raw, noise, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := l.build.FromRaw(raw, disk); err != nil {
		t.Fatal(err)
	}
	return disk
}

// smallMemory is a machine with little memory whose state disk is damaged: it
// comes up in RAM and says so.
func smallMemory(t *testing.T, l lab) {
	cfg := l.direct()
	cfg.MemoryMB = 512
	cfg.Disks = []string{l.damagedStateDisk(t)}
	g := l.start(t, cfg)
	// The kernel may well complain about what it is asked to mount.
	g.allow(provoked...)
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.step(t, "services", func(t *testing.T) { g.settle(t) })
	g.step(t, "state-in-ram", func(t *testing.T) {
		s := g.status(t)
		if s.State != "RAM" {
			t.Errorf("ros status: state is in %q, want RAM", s.State)
		}
		if warnings := strings.Join(s.Warnings, "\n"); !strings.Contains(warnings, "state") {
			t.Errorf("ros status does not warn of the state disk: %q", warnings)
		}
		if console := g.Console.Since(0); !regexp.MustCompile(`(?im)^.*\bwarn.*state`).MatchString(console) {
			t.Errorf("no warning of the state disk on the console:\n%s", console)
		}
	})
}

// noNetwork is a machine without any network card.
func noNetwork(t *testing.T, l lab) {
	cfg := l.direct()
	cfg.NoNetwork = true
	g := l.start(t, cfg)
	g.step(t, "login-prompt", func(t *testing.T) { g.expect(t, loginPrompt, bootPatience) })
	g.step(t, "docker", func(t *testing.T) {
		// The live system logs in by itself on its consoles.
		g.expect(t, regexp.MustCompile(`[$#] ?$`), stepPatience)
		ctx, cancel := g.within(bootPatience)
		defer cancel()
		out, code, err := g.Console.Shell(ctx, "i=0; until docker version >/dev/null 2>&1 || [ $i = 120 ]; do i=$((i+1)); sleep 1; done; ros status && docker info >/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		if code != 0 {
			t.Errorf("ros status and docker info on the console: exit code %d:\n%s", code, out)
		}
	})
}

// flippedByte changes one byte in the middle of the OS image, where no boot has
// a reason to look. Only a reading of the whole image can notice.
func flippedByte(t *testing.T, l lab) {
	iso := filepath.Join(t.TempDir(), "flipped.iso")
	info, err := os.Stat(l.system.OSImage)
	if err != nil {
		t.Fatal(err)
	}
	if err := qemu.FlipByte(l.system.ISO, l.system.OSImage, iso, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	cfg := l.direct()
	cfg.ISO = iso
	g := l.start(t, cfg)
	g.allow(`device-mapper: verity: .*corrupted`, `I/O error on dev dm-`, `(?i)input/output error`)
	g.step(t, "rescue", func(t *testing.T) { g.expectRescue(t, "medium", "verity", "damaged") })
}

// stateRequired is a machine that must not run without its state disk, which
// is damaged.
func stateRequired(t *testing.T, l lab) {
	cfg := l.direct("rancher.state.required")
	cfg.Disks = []string{l.damagedStateDisk(t)}
	g := l.start(t, cfg)
	g.allow(provoked...)
	g.step(t, "rescue", func(t *testing.T) { g.expectRescue(t, "state", "rancher.state.required", "/dev/vda") })
}

// provoked are complaints about a damaged state disk.
var provoked = []string{`EXT4-fs \(vda\)`, `(?i)warning:.*state`}

// expectRescue waits for the rescue shell, and checks that it names the
// reason, that it works, and that the boot did not go on.
func (g *guest) expectRescue(t *testing.T, reason ...string) {
	t.Helper()
	g.expectRescueSince(t, 0, reason...)
}

// expectRescueSince is expectRescue on a machine that has booted before.
func (g *guest) expectRescueSince(t *testing.T, from qemu.Mark, reason ...string) {
	t.Helper()
	if got := g.expect(t, regexp.MustCompile(`^--- rescue ---$|login:`), bootPatience); loginPrompt.MatchString(got) {
		t.Fatalf("the boot went on to a login prompt:\n%s", g.Console.Since(from))
	}
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	// The line behind it shows that the reason is there in full.
	g.expect(t, regexp.MustCompile(`^This is a shell`), stepPatience)
	why := regexp.MustCompile(`(?m)^phase .*`).FindString(g.Console.Since(from))
	for _, word := range reason {
		if !strings.Contains(why, word) {
			t.Errorf("the rescue shell does not name %q as the reason: %s", word, why)
		}
	}
	// A message may stand behind the first prompt.
	if err := g.Console.Send("\r"); err != nil {
		t.Fatal(err)
	}
	g.expect(t, regexp.MustCompile(`# ?$`), stepPatience)
	out, code, err := g.Console.Shell(ctx, "echo $((6 * 7)) in process $$")
	if err != nil || code != 0 || !strings.Contains(out, "42 in process") {
		t.Errorf("the rescue shell does not work: %q, exit code %d, %v", out, code, err)
	}
	time.Sleep(3 * time.Second) // a boot that went on would show by now
	if console := g.Console.Since(from); loginPrompt.MatchString(console) {
		t.Errorf("the boot went on to a login prompt:\n%s", console)
	}
}

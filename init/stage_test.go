package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/cmdline"
)

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseImageSpec(t *testing.T) {
	for _, tt := range []struct {
		text, device, file, wantErr string
	}{
		{text: "LABEL=ROSTER:/roster/os.img", device: "LABEL=ROSTER", file: "/roster/os.img"},
		{text: "PARTLABEL=ROOT_A", device: "PARTLABEL=ROOT_A"},
		{text: "/dev/vda2", device: "/dev/vda2"},
		{text: "initrd:/os.img", device: "initrd", file: "/os.img"},
		{text: "initrd", wantErr: "ros.image=initrd: want a file: initrd:/FILE"},
		{text: "", wantErr: "ros.image= is missing on the kernel command line, want LABEL=NAME:/FILE or PARTLABEL=NAME"},
		{text: "ROSTER", wantErr: `ros.image=ROSTER: device "ROSTER" is none of LABEL=, UUID=, PARTLABEL=, PARTUUID=, /dev/`},
		{text: "LABEL=ROSTER:os.img", wantErr: `ros.image=LABEL=ROSTER:os.img: file "os.img" does not begin with /`},
	} {
		got, err := parseImageSpec(tt.text)
		if errText(err) != tt.wantErr {
			t.Errorf("parseImageSpec(%q) error = %q, want %q", tt.text, errText(err), tt.wantErr)
		}
		if got.device != tt.device || got.file != tt.file {
			t.Errorf("parseImageSpec(%q) = %+v", tt.text, got)
		}
	}
}

func TestParseRelease(t *testing.T) {
	const text = `{"version":"v0.1.0","arch":"amd64","commit":"abc","kernel":"6.12.1"}`
	for _, tt := range []struct {
		name, text, arch, kernel string
		warning, wantErr         string
	}{
		{name: "fits", text: text, arch: "amd64", kernel: "6.12.1"},
		{name: "other kernel", text: text, arch: "amd64", kernel: "6.12.2",
			warning: "the OS image has modules for kernel 6.12.1, the kernel that runs is 6.12.2: drivers may be missing"},
		{name: "other machine", text: text, arch: "arm64", kernel: "6.12.1",
			wantErr: `the OS image is for "amd64", this machine is "arm64"`},
		{name: "broken", text: "{", wantErr: "cannot read /usr/lib/ros/release.json: unexpected end of JSON input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, warning, err := parseRelease([]byte(tt.text), tt.arch, tt.kernel)
			if errText(err) != tt.wantErr || warning != tt.warning {
				t.Errorf("parseRelease = %q, %q", warning, errText(err))
			}
			if err == nil && r.Version != "v0.1.0" {
				t.Errorf("version = %q", r.Version)
			}
		})
	}
}

func TestParseSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"60": time.Minute, "90s": 90 * time.Second, "2m": 2 * time.Minute,
		"0": 0, "-1": 0, "": 0, "soon": 0, "10ms": 0,
	} {
		got, err := parseSeconds(text)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("parseSeconds(%q) = %s, %v", text, got, err)
		}
	}
}

func TestStateOptions(t *testing.T) {
	for _, tt := range []struct {
		name, line, slot string
		device           string
		autoformat       []string
		required, trial  bool
		wait             time.Duration
	}{
		{name: "live", slot: "iso"},
		{name: "live, and called a trial", slot: "iso", line: "ros.trial=0"},
		{name: "installed", slot: "A", wait: stateWait},
		{name: "on trial", slot: "B", line: "ros.trial=0", wait: stateWait, trial: true},
		{name: "named", slot: "iso", line: "rancher.state.dev=LABEL=MINE", device: "LABEL=MINE", wait: stateWait},
		{name: "seconds", slot: "iso", line: "rancher.state.wait=7", wait: 7 * time.Second},
		{name: "as RancherOS had it", slot: "iso", line: "rancher.state.wait rancher.state.required=true rancher.state.autoformat=[/dev/sda,/dev/vda]",
			wait: imageWait, required: true, autoformat: []string{"/dev/sda", "/dev/vda"}},
		{name: "one device", slot: "iso", line: "rancher.state.autoformat=/dev/vda", autoformat: []string{"/dev/vda"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := testMachine(t)
			m.line, m.slot = cmdline.Parse(tt.line), tt.slot
			m.beginTrial()
			o := stateOptions(m)
			if o.Device != tt.device || o.Required != tt.required || o.Trial != tt.trial || o.Wait != tt.wait {
				t.Errorf("options = %+v", o)
			}
			if diff := cmp.Diff(tt.autoformat, o.Autoformat); diff != "" {
				t.Errorf("autoformat (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStateDirectoryStaysOnTheDisk(t *testing.T) {
	m := &machine{line: cmdline.Parse("rancher.state.directory=../../etc")}
	if _, err := stateDirectory(m); errText(err) != "rancher.state.directory=../../etc leads out of the state disk" {
		t.Errorf("error = %v", err)
	}
}

func TestDamagedImageIsNamed(t *testing.T) {
	m, s := testMachine(t)
	broken := []phase{{"release", result("", &fs.PathError{Op: "read", Path: self, Err: unix.EIO}), required, inline}}
	if err := m.runPhases(1, broken); err == nil || errors.Is(err, errDamaged) {
		t.Errorf("an I/O error of something else: %v", err)
	}
	m.damaged = always
	err := m.runPhases(1, broken)
	if !errors.Is(err, errDamaged) || !errors.Is(err, unix.EIO) {
		t.Errorf("error = %v", err)
	}
	if text := strings.Join(s.lines(m.out), "\n"); !strings.Contains(text, "verity: a block does not match the root hash") {
		t.Errorf("console:\n%s", text)
	}
}

// Damage that shows while containerd is not up ends the boot; later it is told.
func TestDamageThatShowsLate(t *testing.T) {
	for _, up := range []bool{false, true} {
		m, s := testMachine(t)
		m.damaged = always
		m.containerd, m.rosd = newChild("containerd", nil, nil, nil), newChild("rosd", nil, nil, nil)
		if up {
			close(m.containerd.everReady)
			close(m.rosd.everReady)
		}
		m.watchImage()
		if rescue := m.shells != nil; rescue == up {
			t.Errorf("children up %v: rescue %v", up, rescue)
		}
		if text := strings.Join(s.lines(m.out), "\n"); !strings.Contains(text, "warn verity: a block") {
			t.Errorf("console:\n%s", text)
		}
		if w := m.record.copy().Warnings; len(w) != 1 {
			t.Errorf("warnings = %q", w)
		}
	}
}

func TestMakePlaces(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "var/run"), 0o700); err != nil { // an older system's
		t.Fatal(err)
	}
	places := []place{
		{path: "var", mode: 0o755},
		{path: "var/tmp", mode: 0o777 | fs.ModeSticky},
		{path: "var/run", link: "/run"},
		{path: "var/lock", link: "/run/lock"},
		{path: "home", mode: 0o711, uid: os.Getuid(), gid: os.Getgid()},
	}
	for range 2 {
		if err := makePlaces(dir, places); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]fs.FileMode{
		"var":      fs.ModeDir | 0o700, // it was there
		"var/tmp":  fs.ModeDir | fs.ModeSticky | 0o777,
		"var/run":  fs.ModeDir | 0o700,
		"var/lock": fs.ModeSymlink | 0o777,
		"home":     fs.ModeDir | 0o711,
	} {
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
}

func TestEveryPlaceComesAfterItsParent(t *testing.T) {
	for _, places := range [][]place{statePlaces, runPlaces} {
		if err := makePlaces(t.TempDir(), withoutOwners(places)); err != nil {
			t.Error(err)
		}
	}
}

func withoutOwners(places []place) []place {
	var all []place
	for _, p := range places {
		p.uid, p.gid = 0, 0
		all = append(all, p)
	}
	return all
}

func TestCopyTree(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(from, "ssl"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"hosts": 0o644, "ssl/key": 0o400} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/run/ros/net/resolv.conf", filepath.Join(from, "resolv.conf")); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(from, to); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(to, "ssl/key")); string(text) != "ssl/key" || err != nil {
		t.Errorf("ssl/key = %q, %v", text, err)
	}
	if target, err := os.Readlink(filepath.Join(to, "resolv.conf")); target != "/run/ros/net/resolv.conf" {
		t.Errorf("resolv.conf -> %q, %v", target, err)
	}
	for path, want := range map[string]fs.FileMode{"ssl": fs.ModeDir | 0o750, "ssl/key": 0o400, "hosts": 0o644} {
		if info, err := os.Stat(filepath.Join(to, path)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	if err := copyTree(filepath.Join(from, "missing"), to); err != nil {
		t.Errorf("an image without a template: %v", err)
	}
}

func TestApplySysctls(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "net/ipv4/ip_forward")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	count, err := applySysctls(dir, strings.NewReader(`
# comment
net.ipv4.ip_forward = 1
-no.such.key = 1
no.value
../../etc/passwd = x
`))
	want := `sysctl line 5: "no.value" is not KEY = VALUE` + "\n" +
		`sysctl line 6: "../../etc/passwd" is not a sysctl`
	if count != 1 || errText(err) != want {
		t.Errorf("applySysctls = %d, %q, want %q", count, errText(err), want)
	}
	if text, _ := os.ReadFile(file); string(text) != "1\n" {
		t.Errorf("ip_forward = %q", text)
	}
}

func TestMachineIDIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	kept, etc := filepath.Join(dir, "kept"), filepath.Join(dir, "etc")
	first, err := machineID(kept, etc)
	if err != nil || len(first) != 32 {
		t.Fatalf("machineID = %q, %v", first, err)
	}
	for _, damage := range []string{"", "cut sho"} {
		os.Remove(etc)
		again, err := machineID(kept, etc)
		text, _ := os.ReadFile(etc)
		if err != nil || again != first || string(text) != first+"\n" {
			t.Errorf("second boot: %q, %v, /etc has %q, want %q", again, err, text, first)
		}
		os.Remove(kept)
		if err := os.WriteFile(kept, []byte(damage), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Remove(etc)
		if first, err = machineID(kept, etc); err != nil || len(first) != 32 {
			t.Errorf("after damage %q: %q, %v", damage, first, err)
		}
	}
}

func TestRandomSeedIsReplaced(t *testing.T) {
	dir := t.TempDir()
	kept, pool := filepath.Join(dir, "seed"), filepath.Join(dir, "pool")
	if err := os.WriteFile(pool, make([]byte, 512), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := randomSeed(kept, pool); err != nil { // first boot: nothing to mix in
		t.Fatal(err)
	}
	info, err := os.Stat(kept)
	if err != nil || info.Size() != 256 || info.Mode() != 0o600 {
		t.Errorf("seed: %v, %v", info, err)
	}
	if err := randomSeed(kept, "/dev/urandom"); err != nil {
		t.Error(err)
	}
}

func TestModuleNames(t *testing.T) {
	got := moduleNames("# for docker\noverlay\nbr_netfilter nf_nat # both\n\n")
	if diff := cmp.Diff([]string{"overlay", "br_netfilter", "nf_nat"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := denied(cmdline.Parse("modprobe.blacklist=a,b quiet modprobe.blacklist=c")); !cmp.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("denied = %q", got)
	}
}

// A directory stands for the cgroup file system: what is written where.
func TestDivideCgroups(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "cgroup.controllers"), []byte("cpu memory pids\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "init", "services", "docker"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"cgroup.subtree_control", "cgroup.procs"} {
			if err := os.WriteFile(filepath.Join(root, dir, file), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	detail, err := divideCgroups(root, 1)
	if err != nil || detail != "cpu memory pids" {
		t.Errorf("divideCgroups = %q, %v", detail, err)
	}
	if text, _ := os.ReadFile(filepath.Join(root, "init/cgroup.procs")); string(text) != "1" {
		t.Errorf("init/cgroup.procs = %q", text)
	}
	for _, g := range groups {
		if info, err := os.Stat(filepath.Join(root, g.name)); err != nil || !info.IsDir() {
			t.Errorf("group %s: %v", g.name, err)
		}
	}
	if _, err := divideCgroups(t.TempDir(), 1); err == nil || !strings.HasPrefix(err.Error(), "cannot use cgroup v2: ") {
		t.Errorf("without cgroup v2: %v", err)
	}
}

func TestBusyGroups(t *testing.T) {
	root := t.TempDir()
	for name, events := range map[string]string{"ntp": "populated 1\nfrozen 0\n", "ssh": "populated 0\nfrozen 0\n"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name, "cgroup.events"), []byte(events), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := busyGroups(root); !cmp.Equal(got, []string{"ntp"}) {
		t.Errorf("busyGroups = %q", got)
	}
	if got := busyGroups(filepath.Join(root, "missing")); got != nil {
		t.Errorf("busyGroups of nothing = %q", got)
	}
}

func TestConsoleDevices(t *testing.T) {
	sys := t.TempDir()
	if got := consoleDevices(sys, "/dev"); !cmp.Equal(got, []string{"/dev/console"}) {
		t.Errorf("without sysfs: %q", got)
	}
	dir := filepath.Join(sys, "class/tty/console")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "active"), []byte("tty0 ttyS0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := consoleDevices(sys, "/dev"); !cmp.Equal(got, []string{"/dev/tty0", "/dev/ttyS0"}) {
		t.Errorf("consoles = %q", got)
	}
}

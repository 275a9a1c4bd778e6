package console_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/console"
)

func TestNameOf(t *testing.T) {
	for what, want := range map[string]string{
		"alpine:latest":                           "alpine",
		"docker.io/library/alpine:3.22":           "alpine-3.22",
		"10.0.2.2:5000/team/box@sha256:00":        "box",
		"/media/console-debian.tar.zst":           "console-debian",
		"https://example.com/consoles/debian.yml": "debian",
		"..": "",
	} {
		if got := console.NameOf(what); got != want {
			t.Errorf("NameOf(%q) = %q, want %q", what, got, want)
		}
	}
}

// What makes a console one is the same for all, whatever its own file says.
func TestFile(t *testing.T) {
	from := compose.Service{
		Env: []string{"PRICE=$5"}, Persistent: true, User: "nobody", Command: []string{"sh"},
		Mounts: []compose.Mount{
			{Type: "bind", Source: "/srv", Target: "/srv", ReadOnly: true},
			{Type: "bind", Source: "/elsewhere", Target: "/home"},
			{Type: "tmpfs", Target: "/tmp"},
		},
	}
	text := console.File("debian", "d/debian.yml", "debian:13@sha256:00", from)
	services, faults := compose.Parse("console-debian.yml", text, nil)
	if len(faults) > 0 || len(services) != 1 {
		t.Fatalf("faults %v of\n%s", faults, text)
	}
	s := services[0]
	if s.Name != "console-debian" || s.Image != "debian:13@sha256:00" || s.Scope != compose.ScopeSystem || !s.Persistent || !s.Privileged ||
		s.PidMode != "host" || s.User != "0:0" || s.NoNewPrivileges || s.Command != nil || !slices.Equal(s.Env, []string{"PRICE=$5"}) {
		t.Errorf("the service is %+v", s)
	}
	var targets []string
	for _, m := range s.Mounts {
		targets = append(targets, m.Source+":"+m.Target)
	}
	for _, want := range []string{"/run:/run", "/home:/home", "/srv:/srv"} {
		if !slices.Contains(targets, want) {
			t.Errorf("no mount %s in %q", want, targets)
		}
	}
	if slices.Contains(targets, "/elsewhere:/home") {
		t.Error("a console has another /home")
	}
}

func TestEphemeral(t *testing.T) {
	for text, want := range map[string]bool{
		"services: {c: {image: x}}": false,
		"services: {c: {image: x, x-ros: {scope: system, persistent: true}}}":  false,
		"services: {c: {image: x, x-ros: {scope: system, persistent: false}}}": true,
		"{": false,
	} {
		if got := console.Ephemeral([]byte(text)); got != want {
			t.Errorf("Ephemeral(%s) = %v", text, got)
		}
	}
}

// The list of volumes begins with that of the default console, except that what
// an image says it is stays what it is.
func TestVolumesAreThoseOfTheDefaultConsole(t *testing.T) {
	services, faults := compose.Load("../../os-services/console.yml")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	ours, _ := compose.Parse("x.yml", console.File("x", "x", "x", compose.Service{}), nil)
	want := slices.DeleteFunc(services[0].Mounts, func(m compose.Mount) bool { return m.Target == "/usr/lib/os-release" })
	if diff := cmp.Diff(want, ours[0].Mounts[:len(want)]); diff != "" {
		t.Errorf("volumes (-default +others):\n%s", diff)
	}
}

var machine = console.Tables{
	Passwd: []byte("root:x:0:0:root:/root:/bin/sh\nrancher:x:1100:1100:Operator:/home/rancher:/bin/bash\nalice:x:1500:1500::/home/alice:/bin/zsh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"),
	Group:  []byte("root:x:0:\nadm:x:4:rancher\nrancher:x:1100:\ndocker:x:1101:rancher\nalice:x:1500:\n"),
}

// image makes the files of an image.
func image(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		target, isLink := strings.CutPrefix(text, "->")
		switch {
		case strings.HasSuffix(name, "/"):
			err = errors.Join(err, os.MkdirAll(path, 0o755))
		case isLink:
			err = errors.Join(err, os.Symlink(target, path))
		case strings.Contains(name, "bin/"):
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o755))
		default:
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if target, err := os.Readlink(path); err == nil {
		return "->" + target
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "nothing"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// needRoot skips a test of somebody who cannot give files to root.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("it gives files to root, so it has to run as root")
	default:
		t.Skip("it gives files to root")
	}
}

func TestDress(t *testing.T) {
	needRoot(t)
	dir := image(t, map[string]string{
		"etc/passwd":      "root:x:0:0::/root:/bin/ash\npostgres:x:70:70::/var:/bin/sh\n",
		"etc/group":       "root:x:0:\nadm:x:4:postgres\ndocker:x:999:postgres\n",
		"etc/shadow":      "root:!::0:::::\n",
		"etc/resolv.conf": "nameserver 1.1.1.1\n", "etc/profile.d/": "", "root/": "", "bin/ash": "x",
	})
	for range 2 { // the second time changes nothing
		if err := console.Dress(dir, machine); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"etc/passwd":           "root:x:0:0::/root:/bin/ash\npostgres:x:70:70::/var:/bin/sh\nrancher:x:1100:1100:Operator:/home/rancher:/bin/ash\nalice:x:1500:1500::/home/alice:/bin/ash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
			"etc/group":            "root:x:0:\nadm:x:4:postgres,rancher\ndocker:x:1101:postgres,rancher\nrancher:x:1100:\nalice:x:1500:\n",
			"etc/shadow":           "root:!::0:::::\nrancher:*:20089:0:99999:7:::\nalice:*:20089:0:99999:7:::\n",
			"etc/resolv.conf":      "->/run/ros/net/resolv.conf",
			"usr/local/bin/ros":    "->/usr/lib/ros/layers/console/usr/bin/ros",
			"usr/local/bin/sudo":   "->/usr/lib/ros/layers/console/usr/bin/ros",
			"var/run":              "->/run",
			"root/.docker":         "->/run/ros/login/docker",
			"etc/sudoers.d/roster": "nothing",
		} {
			if got := read(t, dir, name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
}

func TestDressWithASudoOfItsOwn(t *testing.T) {
	needRoot(t)
	dir := image(t, map[string]string{"usr/bin/sudo": "x", "etc/sudoers.d/": ""})
	if err := console.Dress(dir, machine); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir, "usr/local/bin/sudo"); got != "nothing" {
		t.Errorf("our sudo is there: %s", got)
	}
	if got := read(t, dir, "etc/sudoers.d/roster"); !strings.Contains(got, "rancher ALL=(ALL:ALL) NOPASSWD: ALL") {
		t.Errorf("its rules are %q", got)
	}
}

// An image may lead out of itself by a link; that is refused.
func TestDressStaysInside(t *testing.T) {
	outside := t.TempDir()
	dir := image(t, map[string]string{"etc": "->" + outside})
	if err := console.Dress(dir, machine); err == nil {
		t.Error("no error")
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("outside there is now %v", entries)
	}
}

func TestLogin(t *testing.T) {
	alice, err := machine.FindAccount(1500)
	if err != nil {
		t.Fatal(err)
	}
	rancher, _ := machine.FindAccount(1100)
	if want := []int{1100, 4, 1101}; !slices.Equal(rancher.Groups, want) {
		t.Errorf("groups of rancher: %v, want %v", rancher.Groups, want)
	}
	if _, err := machine.FindAccount(7); err == nil || err.Error() != "no account of the machine has the number 7" {
		t.Errorf("FindAccount(7) = %v", err)
	}
	env := []string{"TERM=vt220", "LC_ALL=C", "LD_PRELOAD=/evil.so", "SSH_CONNECTION=1 2 3 4"}
	common := []string{"TERM=vt220", "LC_ALL=C", "SSH_CONNECTION=1 2 3 4", "HOME=/home/alice", "USER=alice", "LOGNAME=alice"}
	for _, tt := range []struct {
		name    string
		files   map[string]string
		command string
		want    console.Program
		wantErr string
	}{
		{name: "the account's own", files: map[string]string{"bin/zsh": "x", "bin/bash": "x", "home/alice/": ""},
			want: console.Program{Args: []string{"/bin/zsh", "-l"}, Dir: "/home/alice", Env: append(slices.Clone(common), "SHELL=/bin/zsh")}},
		{name: "the first that is there, by links", files: map[string]string{"usr/bin/busybox": "x", "bin": "->/usr/bin", "usr/bin/sh": "->busybox"}, command: "ls -l",
			want: console.Program{Args: []string{"/bin/sh", "-c", "ls -l"}, Dir: "/", Env: append(slices.Clone(common), "SHELL=/bin/sh")}},
		{name: "none", files: map[string]string{"etc/sh": "x"}, wantErr: "the image has no shell: neither bash, ash nor sh"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := console.Login(image(t, tt.files), alice, tt.command, env)
			if msg := text(err); msg != tt.wantErr {
				t.Fatalf("error %q, want %q", msg, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("program (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMayBeRoot(t *testing.T) {
	rules := []byte("docker ALL=(ALL:ALL) NOPASSWD: ALL\notto ALL=(ALL) NOPASSWD:ALL\npam ALL=(ALL) ALL\nlimited ALL=(root) NOPASSWD: /bin/ls\n")
	const only = " has other rules than ALL=(ALL) NOPASSWD:ALL, which only the sudo of an image can read"
	for name, want := range map[string]string{
		"rancher": "", "docker": "", "otto": "", "pam": "pam" + only, "limited": "limited" + only, "alice": "alice is not allowed to",
	} {
		if got := text(console.MayBeRoot(console.Account{Name: name, UID: 1500}, rules)); got != want {
			t.Errorf("MayBeRoot(%s) = %q, want %q", name, got, want)
		}
	}
}

func TestDockerCLI(t *testing.T) {
	dir := image(t, map[string]string{"base/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "x"})
	got, err := console.DockerCLI(dir)
	lib := dir + "/base/usr/lib/x86_64-linux-gnu"
	want := []string{lib + "/ld-linux-x86-64.so.2", "--argv0", "docker", "--library-path", lib, dir + "/console/usr/bin/docker"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("DockerCLI = %q, %v, want %q", got, err, want)
	}
	if _, err := console.DockerCLI("/nowhere"); err == nil {
		t.Error("no error")
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

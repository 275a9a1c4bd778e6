package apply_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

// box is a machine in a directory.
type box struct {
	t *testing.T
	*apply.Host
	apply.System // nil but for what is below
	roots        map[string]string
	binds        map[string][]apply.Bind
	nameErr      error
}

func newBox(t *testing.T) *box {
	b := &box{t: t, roots: map[string]string{}, binds: map[string][]apply.Bind{}}
	b.Host = &apply.Host{Root: t.TempDir(), System: b, Services: b, Log: slog.New(slog.DiscardHandler)}
	return b
}

func (b *box) Sethostname(name string) error {
	if b.nameErr == nil {
		b.write("proc/sys/kernel/hostname", name+"\n")
	}
	return b.nameErr
}

func (b *box) Restart(context.Context, string) error        { return nil }
func (b *box) Signal(context.Context, string, string) error { return nil }
func (b *box) Files(service string) (string, []apply.Bind) {
	return b.roots[service], b.binds[service]
}

func (b *box) write(path, text string) {
	b.t.Helper()
	path = b.Path(path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		b.t.Fatal(err)
	}
}

// read gives a file, "(none)" if it is not there.
func (b *box) read(path string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.Path(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "(none)"
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *box) want(files map[string]string) {
	b.t.Helper()
	for path, want := range files {
		if diff := cmp.Diff(want, b.read(path)); diff != "" {
			b.t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// apply runs an applier twice: the second time nothing may happen. It returns
// what it did the first time and its error.
func (b *box) apply(a apply.Applier, cfg *config.Config) (apply.Outcome, string) {
	b.t.Helper()
	o, err := a(b.t.Context(), b.Host, cfg)
	again, _ := a(b.t.Context(), b.Host, cfg)
	again.Notes = nil
	if diff := cmp.Diff(apply.Outcome{}, again, cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("done a second time (-want +got):\n%s", diff)
	}
	if err != nil {
		return o, err.Error()
	}
	return o, ""
}

// expect is apply with what should come of it.
func (b *box) expect(a apply.Applier, cfg config.Config, want apply.Outcome, wantErr string) {
	b.t.Helper()
	o, err := b.apply(a, &cfg)
	if diff := cmp.Diff(want, o, cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("outcome (-want +got):\n%s", diff)
	}
	if err != wantErr {
		b.t.Errorf("error:\n%s\nwant:\n%s", err, wantErr)
	}
}

// needRoot skips what gives files to others.
func needRoot(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI runs as root")
		}
		t.Skip("only root may give files to others")
	}
}

func TestLogins(t *testing.T) {
	needRoot(t)
	b := newBox(t)
	b.Consoles = []string{"tty0", "ttyS0"}
	cfg := config.Config{
		SSHAuthorizedKeys: []string{"ssh-ed25519 AAAA me"},
		Users:             []config.User{{Name: "ann", Passwd: "$6$s$h", SSHAuthorizedKeys: []string{"ssh-ed25519 BBBB ann"}}},
		Locale:            "de_DE.UTF-8",
	}
	b.expect(apply.Logins, cfg, apply.Outcome{
		Did: []string{
			"made the accounts", "rules of sudo are new",
			"ssh keys for rancher: 1", "ssh keys for docker: 1", "ssh keys for ann: 1",
			"logins on tty1, ttyS0; without a password: none", "locale is now de_DE.UTF-8",
		},
		Reload: []string{"console"},
	}, "")
	b.want(map[string]string{
		"run/ros/login/authorized_keys/rancher": "ssh-ed25519 AAAA me\n",
		"run/ros/login/authorized_keys/docker":  "ssh-ed25519 AAAA me\n",
		"run/ros/login/authorized_keys/ann":     "ssh-ed25519 BBBB ann\n",
		"run/ros/login/consoles":                "tty1\nttyS0\n",
		"run/ros/login/autologin":               "",
		"run/ros/login/locale":                  "export LANG=de_DE.UTF-8\n",
		"run/ros/login/sudoers.d/config":        "docker ALL=(ALL:ALL) NOPASSWD: ALL\n",
		"var/lib/rancher/conf/accounts.json":    `{"users":{"ann":1500},"groups":{"ann":1500}}` + "\n",
	})
	if text := b.read("run/ros/login/shadow"); !strings.Contains(text, "\nann:$6$s$h:") {
		t.Errorf("shadow does not have ann's password:\n%s", text)
	}
	for path, want := range map[string]fs.FileMode{
		"run/ros/login/shadow": 0o600, "run/ros/login/passwd": 0o644, "run/ros/login/sudoers.d/config": 0o440,
		"var/lib/rancher/conf/accounts.json": 0o600, "home/ann": 0o750 | fs.ModeDir, "home/rancher": 0o750 | fs.ModeDir,
	} {
		if info, err := os.Stat(b.Path(path)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want mode %v", path, info, err, want)
		}
	}

	// Who is gone from the config can no longer log in.
	cfg.Users, cfg.Locale = []config.User{{Name: "bob"}}, ""
	cfg.Rancher.Autologin = []string{"tty1", "ttyS1"}
	b.expect(apply.Logins, cfg, apply.Outcome{
		Did: []string{
			"added account bob", "removed account ann; its files stay", "ssh keys for ann: none",
			"logins on tty1, ttyS0, ttyS1; without a password: tty1, ttyS1", "locale is the built-in one",
		},
		Reload: []string{"console"},
	}, "")
	b.want(map[string]string{
		"run/ros/login/authorized_keys/ann":  "(none)",
		"run/ros/login/locale":               "(none)",
		"var/lib/rancher/conf/accounts.json": `{"users":{"ann":1500,"bob":1501},"groups":{"ann":1500,"bob":1501}}` + "\n",
	})
	if text := b.read("run/ros/login/passwd"); strings.Contains(text, "ann:") {
		t.Errorf("ann is still in passwd:\n%s", text)
	}
	if _, err := os.Stat(b.Path("home/ann")); err != nil {
		t.Errorf("ann's files are gone: %v", err)
	}
}

func TestNoHome(t *testing.T) {
	needRoot(t)
	b := newBox(t)
	b.apply(apply.Logins, &config.Config{Users: []config.User{
		{Name: "ann", NoCreateHome: true}, {Name: "bob"}, {Name: "www", System: true},
	}})
	for name, want := range map[string]bool{"ann": false, "bob": true, "www": false} {
		if _, err := os.Stat(b.Path("home", name)); (err == nil) != want {
			t.Errorf("home of %s: %v, want it there: %v", name, err, want)
		}
	}
}

func TestAutologin(t *testing.T) {
	for _, c := range []struct {
		name, slot string
		rancher    config.Rancher
		want       string
	}{
		{name: "an installed machine", slot: "A"},
		{name: "a live ISO", slot: "iso", want: "tty1\nttyS0\n"},
		{name: "named", slot: "A", rancher: config.Rancher{Autologin: []string{"/dev/ttyS0"}}, want: "ttyS0\n"},
		{name: "disabled", slot: "iso", rancher: config.Rancher{Autologin: []string{"ttyS0"}, Disable: []string{"autologin"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			b.Slot, b.Consoles = c.slot, []string{"ttyS0"}
			b.apply(apply.Logins, &config.Config{Rancher: c.rancher})
			b.want(map[string]string{"run/ros/login/autologin": c.want})
		})
	}
}

// Nothing in the config may lock everybody out or write where it should not.
func TestLoginsRefuse(t *testing.T) {
	needRoot(t)
	b := newBox(t)
	b.write("opt/tools/fish", "#!")
	if err := errors.Join(os.Chmod(b.Path("opt/tools/fish"), 0o755), os.MkdirAll(b.Path("home"), 0o755), os.Symlink("/etc", b.Path("home/out"))); err != nil {
		t.Fatal(err)
	}
	_, err := b.apply(apply.Logins, &config.Config{
		Locale: "C; rm -rf /",
		Users: []config.User{
			{Name: "rancher", Shell: "/usr/bin/zsh"},
			{Name: "ann", Shell: "/opt/tools/fish"},
			{Name: "bob", HomeDir: "/srv/bob"},
			{Name: "eve", HomeDir: "/home/out/eve"},
			{Name: "joe", Shell: "/usr/local/bin/sh2"},
		},
		WriteFiles: []config.File{{Path: "/usr/local/bin/sh2"}},
	})
	const want = `users: rancher: shell /usr/bin/zsh is not in the console; it has /bin/bash instead
users: bob: cannot make home directory /srv/bob: it must be below /home, /opt, /mnt, /media or /var/lib/rancher
users: eve: cannot make home directory /home/out/eve: statat out/eve: path escapes from parent
locale: "C; rm -rf /" cannot be the name of a locale`
	if diff := cmp.Diff(want, err); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	passwd := b.read("run/ros/login/passwd")
	for _, line := range []string{
		"rancher:x:1100:1100:Operator:/home/rancher:/bin/bash\n", "ann:x:1500:1500::/home/ann:/opt/tools/fish\n",
		"joe:x:1503:1503::/home/joe:/usr/local/bin/sh2\n",
	} {
		if !strings.Contains(passwd, line) {
			t.Errorf("passwd lacks %q:\n%s", line, passwd)
		}
	}
	b.want(map[string]string{"run/ros/login/locale": "(none)", "etc/eve": "(none)"})
}

func TestHostname(t *testing.T) {
	const hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
	b := newBox(t)
	b.write("proc/sys/kernel/hostname", "(none)\n")
	want := func(name, extra, configured string) {
		t.Helper()
		b.want(map[string]string{
			"proc/sys/kernel/hostname":        name + "\n",
			"run/ros/net/hostname":            name + "\n",
			"run/ros/net/hosts":               hosts + extra,
			"run/ros/config/network/hostname": configured,
		})
	}
	b.expect(apply.Hostname, config.Config{}, apply.Outcome{Did: []string{"host name is now rancher"}}, "")
	want("rancher", "127.0.1.1 rancher\n", "(none)")

	other := config.Config{Rancher: config.Rancher{Defaults: config.Defaults{Hostname: "edge"}}}
	b.expect(apply.Hostname, other, apply.Outcome{Did: []string{"host name is now edge"}}, "")
	want("edge", "127.0.1.1 edge\n", "(none)")

	// The network gives it another name, which nobody takes away.
	b.write("proc/sys/kernel/hostname", "from-dhcp\n")
	b.write("run/ros/net/hostname", "from-dhcp\n")
	b.write("run/ros/net/hosts", hosts+"127.0.1.1 from-dhcp\n")
	b.expect(apply.Hostname, other, apply.Outcome{}, "")
	want("from-dhcp", "127.0.1.1 from-dhcp\n", "(none)")

	b.expect(apply.Hostname, config.Config{Hostname: "box.example.org"}, apply.Outcome{Did: []string{"host name is now box.example.org"}}, "")
	want("box.example.org", "127.0.1.1 box.example.org box\n", "box.example.org\n")

	b.expect(apply.Hostname, config.Config{Hostname: "box.example.org", ManageEtcHosts: "false"}, apply.Outcome{Did: []string{"wrote /etc/hosts"}}, "")
	want("box.example.org", "", "box.example.org\n")
	b.want(map[string]string{"run/ros/config/network/hosts-unmanaged": ""})

	b.expect(apply.Hostname, config.Config{}, apply.Outcome{Did: []string{"host name is now rancher"}, Restart: []string{"network"}}, "")
	want("rancher", "127.0.1.1 rancher\n", "(none)")
	b.want(map[string]string{"run/ros/config/network/hosts-unmanaged": "(none)"})

	b.nameErr = fs.ErrPermission
	_, err := b.apply(apply.Hostname, &config.Config{Hostname: "x"})
	if want := `cannot set host name "x": permission denied`; err != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

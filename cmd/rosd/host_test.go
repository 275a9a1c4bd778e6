package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/cmdline"
)

func TestLogins(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    config.Config
		slot   string
		kernel string
		want   login
	}{
		{name: "tty1 always has a login", want: login{consoles: []string{"tty1"}}},
		{
			name: "so has every console=, once", kernel: "quiet console=tty0 console=ttyS0,115200n8 console=ttyS1 console=ttyS0",
			want: login{consoles: []string{"tty1", "ttyS1", "ttyS0"}},
		},
		{
			name: "a live ISO lets in who stands before it", slot: "iso", kernel: "console=ttyS0",
			want: login{consoles: []string{"tty1", "ttyS0"}, autologin: []string{"tty1", "ttyS0"}},
		},
		{
			name: "unless that is disabled", slot: "iso", kernel: "console=ttyS0",
			cfg:  config.Config{Rancher: config.Rancher{Disable: []string{"autologin"}, Autologin: []string{"tty1"}}},
			want: login{consoles: []string{"tty1", "ttyS0"}},
		},
		{
			name: "an installed system asks, except where the config says", slot: "A", kernel: "console=ttyS0",
			cfg:  config.Config{Rancher: config.Rancher{Autologin: []string{"ttyS0"}, Password: "secret"}, SSHAuthorizedKeys: []string{"ssh-ed25519 AAAA me"}},
			want: login{keys: []string{"ssh-ed25519 AAAA me"}, password: "secret", consoles: []string{"tty1", "ttyS0"}, autologin: []string{"ttyS0"}},
		},
		{
			name: "a disabled password is none",
			cfg:  config.Config{Rancher: config.Rancher{Disable: []string{"password"}, Password: "secret"}},
			want: login{consoles: []string{"tty1"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := logins(&tt.cfg, tt.slot, cmdline.Parse(tt.kernel))
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(login{})); diff != "" {
				t.Errorf("logins (-want +got):\n%s", diff)
			}
		})
	}
}

func TestApply(t *testing.T) {
	root := t.TempDir()
	var named []string
	h := host{root: root, setHostname: func(name []byte) error { named = append(named, string(name)); return nil }}
	l := login{keys: []string{"ssh-ed25519 A a", "ssh-ed25519 B b"}, password: "$6$x$y", consoles: []string{"tty1", "ttyS0"}, autologin: []string{"tty1"}}
	want := map[string]string{
		"run/ros/net/hostname":           "box.example.org\n",
		"run/ros/net/hosts":              "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n127.0.1.1 box.example.org box\n",
		"run/ros/config/hostname":        "box.example.org\n",
		"run/ros/config/authorized_keys": "ssh-ed25519 A a\nssh-ed25519 B b\n",
		"run/ros/config/password":        "$6$x$y\n",
		"run/ros/config/consoles":        "tty1\nttyS0\n",
		"run/ros/config/autologin":       "tty1\n",
	}
	var stamp os.FileInfo
	for range 2 { // twice is once
		if errs := h.apply(&config.Config{Hostname: "box.example.org"}, l); len(errs) > 0 {
			t.Fatal(errs)
		}
		if diff := cmp.Diff(want, tree(t, root)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		info, err := os.Stat(filepath.Join(root, "run/ros/config/authorized_keys"))
		if err != nil {
			t.Fatal(err)
		}
		if stamp != nil && !os.SameFile(stamp, info) {
			t.Error("authorized_keys was written again though it said the same")
		}
		stamp = info
	}
	for path, mode := range map[string]fs.FileMode{"password": 0o600, "authorized_keys": 0o644} {
		info, err := os.Stat(filepath.Join(root, "run/ros/config", path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("mode of %s is %v, want %v", path, info.Mode(), mode)
		}
	}

	// Without a name in the config the one from the network stays, and what is
	// no longer configured goes.
	if errs := h.apply(&config.Config{}, login{consoles: []string{"tty1"}}); len(errs) > 0 {
		t.Fatal(errs)
	}
	delete(want, "run/ros/config/hostname")
	want["run/ros/config/authorized_keys"], want["run/ros/config/password"] = "", ""
	want["run/ros/config/consoles"], want["run/ros/config/autologin"] = "tty1\n", ""
	if diff := cmp.Diff(want, tree(t, root)); diff != "" {
		t.Errorf("files without a config (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"box.example.org", "box.example.org"}, named); diff != "" {
		t.Errorf("host names set (-want +got):\n%s", diff)
	}
}

func TestApplyGoesOnAfterAFailure(t *testing.T) {
	root := t.TempDir()
	h := host{root: root, setHostname: func([]byte) error { return errors.New("not permitted") }}
	errs := h.apply(&config.Config{Hostname: "box"}, login{keys: []string{"ssh-ed25519 A a"}})
	if len(errs) != 1 || errs[0].Error() != `cannot set host name "box": not permitted` {
		t.Errorf("apply() = %v", errs)
	}
	if got := tree(t, root)["run/ros/config/authorized_keys"]; got != "ssh-ed25519 A a\n" {
		t.Errorf("authorized_keys is %q", got)
	}
}

// tree is every file below root and what it says.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

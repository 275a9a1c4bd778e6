package apply_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

// fileBox is a machine on which console runs with the usual mounts and ntp does
// too; ssh is not up.
func fileBox(t *testing.T) *box {
	needRoot(t)
	b := newBox(t)
	logins := []apply.Bind{
		{Source: "/run", Target: "/run"},
		{Source: "/var/lib/rancher", Target: "/var/lib/rancher"},
		{Source: "/usr/lib/modules", Target: "/usr/lib/modules", ReadOnly: true},
		{Source: "/usr/lib/ros/release.json", Target: "/usr/lib/ros/release.json", ReadOnly: true},
	}
	b.binds = map[string][]apply.Bind{"console": logins, "ssh": logins, "ntp": {{Source: "/var/lib/rancher/ntp", Target: "/var/lib/chrony"}}}
	b.roots = map[string]string{"console": b.Path("c"), "ntp": b.Path("n")}
	b.write("c/etc/profile", "the image's\n")
	b.write("n/etc/passwd", "root:x:0:0:::\nclock:x:1201:1201:::\n")
	b.write("n/etc/group", "clock:x:1202:\n")
	b.write("run/ros/login/passwd", "ann:x:1500:1500::/home/ann:/bin/bash\n")
	b.write("run/ros/login/group", "staff:x:1501:\n")
	b.link("/run", "c/var/run")
	if err := os.MkdirAll(b.Path("usr/lib/modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *box) link(target, path string) {
	b.t.Helper()
	path = b.Path(path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path)); err != nil {
		b.t.Fatal(err)
	}
}

func files(list ...config.File) *config.Config { return &config.Config{WriteFiles: list} }

func gz(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestFilesLandWhereTheServiceSeesThem(t *testing.T) {
	syscall.Umask(0o077) // permissions are those that are asked for
	defer syscall.Umask(0o022)
	b := fileBox(t)
	b.link("../opt", "c/srv")
	o, err := b.apply(apply.Files, files(
		config.File{Path: "/etc/new/plain", Content: "plain\n"},
		config.File{Path: "/var/lib/rancher/x/b64", Content: b64("b64\n"), Encoding: "b64", Permissions: 0o600},
		config.File{Path: "/var/run/app/gz", Content: gz("gz\n"), Encoding: "gzip", Owner: "ann:staff", Permissions: 0o4750},
		config.File{Path: "/srv/../srv/both", Content: strings.TrimRight(b64(gz("both\n")), "="), Encoding: "gz+b64", Owner: "7:8"},
		config.File{Path: "/etc/chrony.conf", Content: "pool\n", Container: "ntp", Owner: "clock:clock", Permissions: 0o640},
		config.File{Path: "/var/lib/chrony/keys", Content: "key\n", Container: "ntp"},
		config.File{Path: "/etc/later", Content: "x", Container: "web"},
	))
	if err != "" {
		t.Error(err)
	}
	want := apply.Outcome{Did: []string{
		"wrote /etc/new/plain", "wrote /var/lib/rancher/x/b64", "wrote /var/run/app/gz", "wrote /srv/both",
		"wrote /etc/chrony.conf in ntp", "wrote /var/lib/chrony/keys in ntp",
	}}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	for path, want := range map[string]struct {
		text     string
		mode     uint32
		uid, gid uint32
	}{
		"c/etc/new/plain":          {"plain\n", 0o644, 0, 0},
		"var/lib/rancher/x/b64":    {"b64\n", 0o600, 0, 0},
		"run/app/gz":               {"gz\n", 0o4750, 1500, 1501},
		"c/opt/both":               {"both\n", 0o644, 7, 8},
		"n/etc/chrony.conf":        {"pool\n", 0o640, 1201, 1202},
		"var/lib/rancher/ntp/keys": {"key\n", 0o644, 0, 0},
	} {
		b.want(map[string]string{path: want.text})
		var st syscall.Stat_t
		if err := syscall.Stat(b.Path(path), &st); err != nil || st.Mode&0o7777 != want.mode || st.Uid != want.uid || st.Gid != want.gid {
			t.Errorf("%s: %v, mode %o of %d:%d, want %o of %d:%d", path, err, st.Mode&0o7777, st.Uid, st.Gid, want.mode, want.uid, want.gid)
		}
	}
	for _, dir := range []string{"c/etc/new", "c/opt", "run/app"} {
		if info, err := os.Stat(b.Path(dir)); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v %v, want mode 0755", dir, info, err)
		}
	}
	b.want(map[string]string{"c/var/lib/rancher/x/b64": "(none)", "c/run/app/gz": "(none)"})
}

func TestFilesRefuse(t *testing.T) {
	b := fileBox(t)
	b.link("/../../../../outside", "c/etc/out")
	b.link("loop", "c/etc/loop")
	if err := os.Mkdir(b.Path("c/etc/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.write("c/etc/file", "x")
	_, err := b.apply(apply.Files, &config.Config{WriteFiles: []config.File{
		{Path: "relative", Content: "x"},
		{Path: "/etc/", Content: "x"},
		{Path: "/etc/a", Content: "*", Encoding: "b64"},
		{Path: "/etc/a", Content: "x", Encoding: "gz"},
		{Path: "/etc/a", Content: gz("cut")[:12], Encoding: "gz"},
		{Path: "/etc/a", Content: "x", Encoding: "rot13"},
		{Path: "/usr/lib/modules/a", Content: "x", Container: "console"},
		{Path: "/usr/lib/modules/b/a", Content: "x", Container: "console"},
		{Path: "/usr/lib/ros/release.json", Content: "x", Container: "console"},
		{Path: "/etc/loop/a", Content: "x", Container: "console"},
		{Path: "/etc/file/a", Content: "x", Container: "console"},
		{Path: "/etc/dir", Content: "x", Container: "console"},
		{Path: "/etc/a", Content: "x", Container: "console", Owner: "nobody-there"},
		{Path: "/etc/out/a", Content: "stays inside", Container: "console"},
	}})
	const want = `write_files: "relative" is not the absolute path of a file
write_files: "/etc/" is not the absolute path of a file
write_files: /etc/a: content is not base64
write_files: /etc/a: content is not gzip
write_files: /etc/a: content is not gzip, or a part of it is missing
write_files: /etc/a: encoding "rot13" is not known
write_files: cannot write /usr/lib/modules/a of console: console sees /usr/lib/modules read-only
write_files: cannot write /usr/lib/modules/b/a of console: console sees /usr/lib/modules read-only
write_files: cannot write /usr/lib/ros/release.json of console: /usr/lib/ros/release.json is mounted there by itself
write_files: cannot write /etc/loop/a of console: too many levels of symbolic links
write_files: cannot write /etc/file/a of console: open /etc/file: not a directory
write_files: cannot write /etc/dir of console: there is a directory of this name
write_files: cannot write /etc/a of console: owner: there is no account "nobody-there"`
	if diff := cmp.Diff(want, err); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	b.want(map[string]string{"c/outside/a": "stays inside", "outside/a": "(none)"})
}

// What the config no longer names is taken back.
func TestFilesTakeBack(t *testing.T) {
	b := fileBox(t)
	b.link("/run/ros/net/hosts", "c/etc/hosts")
	b.write("c/etc/rc", "first\n")
	b.apply(apply.Files, files(
		config.File{Path: "/etc/profile", Content: "mine\n"},
		config.File{Path: "/etc/hosts", Content: "1.2.3.4 x\n"},
		config.File{Path: "/etc/new", Content: "new\n"},
		config.File{Path: "/etc/touched", Content: "new\n"},
		config.File{Path: "/var/lib/rancher/kept", Content: "new\n"},
		config.File{Path: "/etc/rc", Content: "second\n", Append: true},
		config.File{Path: "/etc/list", Content: "a\n", Append: true},
		config.File{Path: "/etc/list", Content: "b\n", Append: true},
	))
	b.want(map[string]string{
		"c/etc/profile": "mine\n", "c/etc/hosts": "1.2.3.4 x\n", "c/etc/rc": "first\nsecond\n", "c/etc/list": "a\nb\n",
	})
	b.apply(apply.Files, files(
		config.File{Path: "/etc/profile", Content: "mine too\n"},
		config.File{Path: "/etc/touched", Content: "new\n"},
		config.File{Path: "/var/lib/rancher/kept", Content: "new\n"},
		config.File{Path: "/etc/rc", Content: "second\n", Append: true},
	))
	b.want(map[string]string{"c/etc/profile": "mine too\n", "c/etc/new": "(none)", "c/etc/list": "(none)"})
	b.write("c/etc/touched", "by hand\n")
	b.write("c/etc/rc", "first\nsecond\nby hand\n")
	o, err := b.apply(apply.Files, files())
	if err != "" {
		t.Error(err)
	}
	want := apply.Outcome{
		Did:   []string{"removed /var/lib/rancher/kept", "put back /etc/profile", "put back /etc/rc"},
		Notes: []string{"/etc/touched was changed since it was written, so it stays"},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	b.want(map[string]string{
		"c/etc/profile": "the image's\n", "c/etc/touched": "by hand\n", "c/etc/rc": "first\nby hand\n", "var/lib/rancher/kept": "(none)",
	})
	if got, _ := os.Readlink(b.Path("c/etc/hosts")); got != "/run/ros/net/hosts" {
		t.Errorf("/etc/hosts leads to %q", got)
	}
}

// A service that starts has a fresh root: its files are written again first.
func TestFilesFor(t *testing.T) {
	b := fileBox(t)
	cfg := files(
		config.File{Path: "/etc/motd", Content: "hello\n"},
		config.File{Path: "/etc/profile", Content: "more\n", Append: true},
		config.File{Path: "/etc/ntp", Content: "x", Container: "ntp"},
	)
	b.apply(apply.Files, cfg)
	for range 2 { // whoever starts a service does not know whether it was done
		if err := apply.FilesFor(b.Host, cfg, "ssh", b.Path("s")); err == nil {
			t.Error("there is no root, and that is no error")
		}
		b.write("s/etc/profile", "the image's\n")
		if err := apply.FilesFor(b.Host, cfg, "ssh", b.Path("s")); err != nil {
			t.Error(err)
		}
		b.want(map[string]string{"s/etc/motd": "hello\n", "s/etc/profile": "the image's\nmore\n", "s/etc/ntp": "(none)"})
		if err := os.RemoveAll(b.Path("s")); err != nil {
			t.Fatal(err)
		}
	}
	b.write("s/etc/profile", "the image's\n")
	if err := apply.FilesFor(b.Host, cfg, "ssh", b.Path("s")); err != nil {
		t.Error(err)
	}
	b.roots["ssh"] = b.Path("s")
	b.apply(apply.Files, files())
	b.want(map[string]string{
		"s/etc/motd": "(none)", "s/etc/profile": "the image's\n", "c/etc/motd": "(none)", "c/etc/profile": "the image's\n",
	})

	// Of a service that is not up, it is said once the machine runs.
	o, _ := b.apply(apply.Files, files(config.File{Path: "/etc/later", Content: "x", Container: "web"}))
	if diff := cmp.Diff(apply.Outcome{Notes: []string{"/etc/later of web is written when web starts"}}, o); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/control"
)

const edge = `#cloud-config
# Edge machine 7.

hostname: edge-6  # must match DNS
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVjcJDbbMoBAZqn6bDu7DFu1e1wlPb1CZsXFF1jEJkN anna

rancher:
  password: $6$salt$hash
  sysctl:
    net.ipv4.ip_forward: 1
  network:
    dns:
      search: [example.org]
  services:
    web:
      image: nginx:1.29
`

// configured is a machine with layers of config.
func configured(t *testing.T, rosd *fakeRosd) *app {
	t.Helper()
	a := newApp(t, rosd)
	lay(t, filepath.Join(a.conf, "cloud-config.yml"), edge)
	lay(t, filepath.Join(a.conf, "cloud-config.d", "10-base.yml"), "hostname: base\ntimezone: Europe/Berlin\nrancher:\n  sysctl:\n    kernel.panic: 5\n")
	lay(t, a.kernelLines[0], "quiet rancher.debug -- rancher.autologin=tty1\n")
	return a
}

func lay(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// cloudConfig is what cloud-config.yml says now.
func (a *app) cloudConfig(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.conf, "cloud-config.yml"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

func TestConfigGet(t *testing.T) {
	for _, tt := range []struct{ line, out string }{
		{"ros config get hostname", "edge-6\n"},
		{"ros c get timezone", "Europe/Berlin\n"},
		{"ros config get rancher.debug", "true\n"},
		{"ros config get rancher.log", "false\n"},
		{"ros config get rancher.autologin", "- tty1\n"},
		{"ros config get rancher.password", "$6$salt$hash\n"},
		{"ros config get rancher.network.dns", "search:\n  - example.org\n"},
		{"ros config get rancher.network.dns.search", "- example.org\n"},
		{"ros config get rancher.sysctl", "kernel.panic: \"5\"\nnet.ipv4.ip_forward: \"1\"\n"},
		{"ros config get rancher.sysctl.net.ipv4.ip_forward", "1\n"},
		{"ros config get rancher.services.web.image", "nginx:1.29\n"},
		{"ros config get rancher.services.web.ports", ""},
		{"ros config get locale", ""},
		{"ros config get ca-certs.trusted", ""},
		{"ros config get --json rancher.network.dns", "{\n  \"search\": [\n    \"example.org\"\n  ]\n}\n"},
		{"ros config get --json locale", "null\n"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			check(t, configured(t, nil), tt.line, result{out: tt.out})
		})
	}
}

func TestConfigGetFaults(t *testing.T) {
	check(t, configured(t, nil), "ros config get hostnam", result{code: 1,
		err: "ros: cannot get \"hostnam\": there is no such key\ntry: \"hostname\"; ros config schema has all keys\n"})
	check(t, configured(t, nil), "ros config get", result{code: 2,
		err: "ros: cannot get: name one key, such as hostname\ntry: ros config get --help\n"})
}

// Without root rosd answers, and what it hides stays hidden.
func TestConfigGetWithoutRoot(t *testing.T) {
	rosd := &fakeRosd{config: control.ConfigView{Entries: []config.Entry{
		{Key: "hostname", Path: []string{"hostname"}, Value: "edge-9"},
		{Key: "rancher.password", Path: []string{"rancher", "password"}, Value: "(hidden)", Secret: true},
	}}}
	a := configured(t, rosd)
	a.uid = 1100
	check(t, a, "ros config get hostname", result{out: "edge-9\n"})
	check(t, a, "ros config get rancher", result{out: "password: (hidden)\n"})
	check(t, a, "ros config show -p", result{code: 1, err: "ros: cannot show secrets: needs root\ntry: sudo ros config show -p\n"})

	a = configured(t, nil)
	a.uid = 1100
	check(t, a, "ros config get hostname", result{code: 3,
		err: "ros: cannot read the config: rosd does not run (nothing listens at DIR/rosd.sock)\ntry: ros service logs rosd\n"})
}

func TestConfigShow(t *testing.T) {
	check(t, configured(t, nil), "ros config show hostname --layers", result{out: `KEY       VALUE   FROM
hostname  edge-6  DIR/conf/cloud-config.yml:4
    overrides base from DIR/conf/cloud-config.d/10-base.yml:1
`})
	check(t, configured(t, nil), "ros config show rancher.services.web.image", result{out: `KEY                   VALUE
rancher.services.web  image: nginx:1.29
`})
	check(t, configured(t, nil), "ros config show rancher.password", result{out: "KEY               VALUE\nrancher.password  (hidden)\n"})
	check(t, configured(t, nil), "ros config show -p rancher.password", result{out: "KEY               VALUE\nrancher.password  $6$salt$hash\n"})

	check(t, configured(t, nil), "ros config show rancher.environment", result{out: "rancher.environment is not set\n"})

	a := configured(t, nil)
	if got := a.try("ros config show --json hostname").out; !strings.Contains(got, "\"path\": [\n      \"hostname\"\n    ]") {
		t.Errorf("the path of a key is not whole:\n%s", got)
	}
	lay(t, filepath.Join(a.conf, "cloud-config.d", "20-bad.yml"), "hostnam: x\n")
	if got := a.try("ros config show").out; !strings.Contains(got, "warning: "+a.conf+"/cloud-config.d/20-bad.yml:1:1: hostnam: ") {
		t.Errorf("the fault of a layer is not shown:\n%s", got)
	}

	// The boot menu has an entry that ignores the config.
	a = configured(t, nil)
	lay(t, a.kernelLines[0], "quiet ros.config=defaults")
	check(t, a, "ros config get hostname", result{})
}

func TestConfigDiff(t *testing.T) {
	got := configured(t, nil).try("ros config diff")
	if got.code != 0 || !strings.Contains(got.out, "timezone") || strings.Contains(got.out, "shutdown_timeout") || strings.Contains(got.out, "hash") {
		t.Errorf("ros config diff ends with %d, %q and prints\n%s", got.code, got.err, got.out)
	}
	a := configured(t, nil)
	a.stdin = strings.NewReader("hostname: edge-6\ntimezone: UTC\nlocale: C\n")
	check(t, a, "ros config diff -i -", result{out: `KEY       FILE  HERE           FROM
timezone  UTC   Europe/Berlin  DIR/conf/cloud-config.d/10-base.yml:2
locale    C     (not set)      -
`})
}

func TestConfigExport(t *testing.T) {
	a := configured(t, nil)
	got := a.try("ros config export")
	if got.code != 0 || !strings.HasPrefix(got.out, "#cloud-config\nhostname: edge-6\n") || strings.Contains(got.out, "hash") ||
		!strings.HasSuffix(got.out, "# left out because of secrets in it: rancher.password\n") {
		t.Errorf("ros config export ends with %d, %q and prints\n%s", got.code, got.err, got.out)
	}
	// What was exported is the config.
	a.stdin = strings.NewReader(got.out)
	check(t, a, "ros config validate", result{out: "standard input is valid\n"})

	file := filepath.Join(t.TempDir(), "out.yml")
	check(t, a, "ros config export -p -f -o "+file, result{})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "password: $6$salt$hash") || !strings.Contains(string(text), "shutdown_timeout: 60") {
		t.Errorf("the whole export lacks something:\n%s", text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the export has mode %v, %v", info.Mode(), err)
	}
}

func TestConfigImages(t *testing.T) {
	check(t, configured(t, nil), "ros config images", result{out: "nginx:1.29\n"})
	a := newApp(t, nil)
	a.stdin = strings.NewReader("rancher: {services: {b: {image: 'x:1'}, a: {image: 'x:1'}, c: {image: a}}}\n")
	check(t, a, "ros config images --json -i -", result{out: "[\n  \"a\",\n  \"x:1\"\n]\n"})
}

func TestConfigSet(t *testing.T) {
	rosd := &fakeRosd{applied: control.ConfigApplied{Results: []control.ApplyResult{
		{Applier: "hostname", Keys: []string{"hostname"}, Did: []string{"host name is now edge-7"}, Notes: []string{"a note"}},
	}}}
	rosd.preview = control.ConfigPreview{Start: []string{"a"}, Stop: []string{"b", "c"}, Recreate: []string{"d"}}
	a := configured(t, rosd)
	check(t, a, "ros config set hostname edge-7", result{out: `hostname: edge-6 -> edge-7 (at once)
stops b, c
recreates d
starts a
written
host name is now edge-7
note: a note
`})
	rosd.preview = control.ConfigPreview{}
	if diff := cmp.Diff(strings.Replace(edge, "edge-6", "edge-7", 1), rosd.wrote); diff != "" {
		t.Errorf("cloud-config.yml (-want +got):\n%s", diff)
	}

	check(t, a, "ros config set --dry-run rancher.sysctl.net.ipv4.ip_forward 0", result{out: `rancher.sysctl.net.ipv4.ip_forward: "1" -> "0" (at once)
nothing was written (--dry-run)
`})
	check(t, a, "ros config set hostname edge-6", result{out: "nothing to do: DIR/conf/cloud-config.yml says so already\n"})
	// What the kernel command line says counts, whatever is written.
	check(t, a, "ros config set -n rancher.debug false", result{out: `rancher.debug: no change, a higher layer sets it (kernel command line)
nothing was written (--dry-run)
`})
	check(t, a, "ros config set -n rancher.log true", result{out: `rancher.log: (not set) -> true (no effect: rosd always logs, to /var/log/ros)
note: line 18: rancher.log: has no effect: rosd always logs, to /var/log/ros
nothing was written (--dry-run)
`})
	got := a.tryWords("ros", "config", "set", "-n", "ntp", "{servers: [a.example, b.example]}")
	if diff := cmp.Diff("ntp.servers: (not set) -> [a.example, b.example] (restarts ntp)\nnothing was written (--dry-run)\n", got.out+got.err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	asks(t, rosd, "config write try 0 was "+sum8(edge))
}

func TestConfigSetBesideAnOldFault(t *testing.T) {
	rosd := &fakeRosd{}
	a := configured(t, rosd)
	rosd.applied = control.ConfigApplied{
		Results:  []control.ApplyResult{{Applier: "files", Error: "read-only file system"}},
		Warnings: []string{"read-only file system"},
	}
	check(t, a, "ros config set timezone Asia/Tokyo", result{out: `timezone: Europe/Berlin -> Asia/Tokyo (at once; programs that run already may keep the old one)
written
nothing on the machine had to change
warning: read-only file system
`})
	rosd.applied.Results[0].Keys = []string{"write_files"}
	check(t, a, "ros config set timezone Asia/Seoul", result{code: 1, out: `timezone: Europe/Berlin -> Asia/Seoul (at once; programs that run already may keep the old one)
written
`, err: "ros: cannot apply all of it (files): read-only file system\n"})
}

func sum8(text string) string { return hexSum([]byte(text))[:8] }

func TestConfigSetOnTrial(t *testing.T) {
	rosd := &fakeRosd{applied: control.ConfigApplied{Trial: &control.Trial{Until: noon.Add(2 * time.Minute)}}}
	a := configured(t, rosd)
	check(t, a, "ros config set --try 2m hostname edge-7", result{out: `hostname: edge-6 -> edge-7 (at once)
written
nothing on the machine had to change
on trial until 12:02:00: "ros config confirm" keeps it, "ros config rollback" takes it back
`})
	asks(t, rosd, "config write try 120 was "+sum8(edge))
	check(t, a, "ros config set --try 0s hostname edge-7", result{code: 2,
		err: "ros: cannot use \"0s\" for flag --try: less than a second\ntry: ros config set --help\n"})

	check(t, configured(t, nil), "ros config set --try 2m hostname edge-7", result{code: 3,
		out: "hostname: edge-6 -> edge-7 (at once)\n",
		err: "ros: cannot write the config: rosd does not run (nothing listens at DIR/rosd.sock)\ntry: ros service logs rosd\n"})
}

func TestConfigSetRefuses(t *testing.T) {
	rosd := &fakeRosd{}
	for _, tt := range []struct{ name, key, value, err string }{
		{"a value of the wrong kind", "rancher.debug", "[1]", "ros: cannot change DIR/conf/cloud-config.yml: line 18: rancher.debug: must be true or false\n"},
		{"an unknown key", "rancher.debugg", "true", "ros: cannot set \"rancher.debugg\": there is no such key\ntry: \"rancher.debug\"; ros config schema has all keys\n"},
		{"a value that is no YAML", "hostname", "[x", "ros: cannot change DIR/conf/cloud-config.yml: the value is not valid YAML (put it in quotes?): did not find expected ',' or ']'\n"},
		{"longer than another allows", "rancher.upgrade.commit_window", "600", "ros: cannot change DIR/conf/cloud-config.yml: line 19: rancher.upgrade.commit_window: must be less than rancher.upgrade.deadline, which is 600 (defaults)\n"},
		{"below a list", "rancher.network.dns.search.x", "y", "ros: cannot set \"rancher.network.dns.search.x\": there is no such key\ntry: \"rancher.network.dns.search\"; ros config schema has all keys\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := configured(t, rosd)
			got := a.tryWords("ros", "config", "set", tt.key, tt.value)
			want := result{code: 1, err: tt.err}
			got.err = strings.ReplaceAll(got.err, filepath.Dir(a.socket), "DIR")
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	asks(t, rosd)

	a := configured(t, rosd)
	a.uid = 1100
	got := a.tryWords("ros", "config", "set", "hostname", "a b")
	if want := "ros: cannot change the config: needs root\ntry: sudo ros config set hostname 'a b'\n"; got.err != want {
		t.Errorf("got %q, want %q", got.err, want)
	}
	check(t, a, "ros config set hostname", result{code: 2,
		err: "ros: cannot set: give a key and a value (in quotes if it has spaces)\ntry: ros config set --help\n"})

	rosd.refuses = &control.Error{Message: "the file has been changed meanwhile; nothing was written"}
	check(t, configured(t, rosd), "ros config set hostname x", result{code: 1, out: "hostname: edge-6 -> x (at once)\n",
		err: "ros: cannot write the config: the file has been changed meanwhile; nothing was written\n"})
}

// A file that has a fault already can be mended key by key.
func TestConfigSetInAFaultyFile(t *testing.T) {
	rosd := &fakeRosd{}
	a := configured(t, rosd)
	lay(t, filepath.Join(a.conf, "cloud-config.yml"), "hostnam: x\nrancher: {debug: perhaps}\n")
	if got := a.try("ros config set hostname edge-7"); got.code != 0 || rosd.wrote != "hostnam: x\nrancher: {debug: perhaps}\nhostname: edge-7\n" {
		t.Errorf("ends with %d, %q, and writes %q", got.code, got.err, rosd.wrote)
	}
	if got := a.try("ros config unset hostnam"); got.code != 0 || rosd.wrote != "rancher: {debug: perhaps}\n" {
		t.Errorf("ends with %d, %q, and writes %q", got.code, got.err, rosd.wrote)
	}
}

// Without rosd the file is written all the same.
func TestConfigSetAlone(t *testing.T) {
	a := newApp(t, nil)
	check(t, a, "ros config set hostname edge-7", result{out: `hostname: (not set) -> edge-7 (at once)
written; rosd does not run, so it takes effect when rosd starts
`})
	if got, want := a.cloudConfig(t), "#cloud-config\nhostname: edge-7\n"; got != want {
		t.Errorf("cloud-config.yml is %q, want %q", got, want)
	}
	if info, err := os.Stat(filepath.Join(a.conf, "cloud-config.yml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("cloud-config.yml has mode %v, %v", info.Mode(), err)
	}
}

func TestConfigUnset(t *testing.T) {
	rosd := &fakeRosd{}
	a := configured(t, rosd)
	check(t, a, "ros config unset hostname rancher.services.web", result{out: `hostname: edge-6 -> base (at once)
rancher.services.web: image: nginx:1.29 -> (not set) (starts, stops and recreates the services that changed)
written
nothing on the machine had to change
`})
	want := strings.Replace(edge, "hostname: edge-6  # must match DNS\n", "", 1)
	want = want[:strings.Index(want, "  services:")]
	if diff := cmp.Diff(want, rosd.wrote); diff != "" {
		t.Errorf("cloud-config.yml (-want +got):\n%s", diff)
	}
	check(t, a, "ros config unset timezone", result{out: `timezone: its value comes from elsewhere (DIR/conf/cloud-config.d/10-base.yml:2)
nothing to do: DIR/conf/cloud-config.yml says so already
`})
	check(t, a, "ros config unset timezoned", result{code: 1,
		err: "ros: cannot unset \"timezoned\": there is no such key\ntry: \"timezone\"; ros config schema has all keys\n"})
}

func TestConfigMerge(t *testing.T) {
	rosd := &fakeRosd{}
	a := configured(t, rosd)
	a.stdin = strings.NewReader("#cloud-config\r\nhostname: edge-8\r\nrancher:\r\n  network:\r\n    dns:\r\n      nameservers: [9.9.9.9]\r\n")
	check(t, a, "ros config merge", result{out: `hostname: edge-6 -> edge-8 (at once)
rancher.network.dns.nameservers: (not set) -> [9.9.9.9] (restarts network)
written
nothing on the machine had to change
`})
	want := strings.Replace(edge, "edge-6", "edge-8", 1)
	want = strings.Replace(want, "[example.org]\n", "[example.org]\n      nameservers: [9.9.9.9]\n", 1)
	if diff := cmp.Diff(want, rosd.wrote); diff != "" {
		t.Errorf("cloud-config.yml (-want +got):\n%s", diff)
	}

	bad := filepath.Join(filepath.Dir(a.socket), "bad.yml")
	lay(t, bad, "hostname: ok\nrancher:\n  debug: perhaps\n  nosuch: 1\n")
	got := a.try("ros config merge -i " + bad)
	if got.code != 1 || got.out != "" || strings.Count(got.err, "cannot merge "+bad+": line ") != 2 {
		t.Errorf("merging a file with two faults ends with %d and prints %q, %q", got.code, got.out, got.err)
	}
	asks(t, rosd, "config write try 0 was "+sum8(edge))
}

func TestConfigApplyAndRollback(t *testing.T) {
	rosd := &fakeRosd{applied: control.ConfigApplied{
		Results:  []control.ApplyResult{{Applier: "ntp", Error: "no such file"}, {Applier: "sysctl", Did: []string{"kernel.panic is now 5"}}},
		Warnings: []string{"x.yml:3: a fault"},
	}}
	a := configured(t, rosd)
	check(t, a, "ros config apply", result{code: 1, out: "read and applied\nkernel.panic is now 5\nwarning: x.yml:3: a fault\n",
		err: "ros: cannot apply all of it (ntp): no such file\n"})
	rosd.applied = control.ConfigApplied{}
	check(t, a, "ros config rollback", result{out: "rolled back\nnothing on the machine had to change\n"})
	check(t, a, "ros config confirm", result{out: "the change stays\n"})
	asks(t, rosd, "config apply try 0 was ", "config rollback try 0 was ", "config confirm try 0 was ")
	a.uid = 1100
	check(t, a, "ros config confirm", result{code: 1, err: "ros: cannot confirm a change: needs root\ntry: sudo ros config confirm\n"})

	// Without rosd a rollback is one of files.
	a = configured(t, nil)
	check(t, a, "ros config rollback", result{code: 1,
		err: "ros: cannot roll back the config: there is no last good config yet: one is kept when all required services have been well for a while\n"})
	check(t, a, "ros config apply", result{code: 3,
		err: "ros: cannot apply the config: rosd does not run (nothing listens at DIR/rosd.sock)\ntry: ros service logs rosd\n"})
}

func TestConfigValidate(t *testing.T) {
	a := newApp(t, nil)
	file := filepath.Join(filepath.Dir(a.socket), "x.yml")
	lay(t, file, "hostnam: x\nrancher:\n  log: true\n")
	check(t, a, "ros config validate "+file, result{code: 1, out: `wrong: DIR/x.yml:1:1: hostnam: unknown key (did you mean "hostname"?)
note: DIR/x.yml:3:3: rancher.log: has no effect: rosd always logs, to /var/log/ros
`})
	got := a.try("ros config validate --json -i " + file)
	if got.code != 1 || !strings.Contains(got.out, `"severity": "wrong"`) {
		t.Errorf("ends with %d and prints %s", got.code, got.out)
	}
	lay(t, file, edge)
	check(t, a, "ros config validate -i "+file, result{out: "DIR/x.yml is valid\n"})
	check(t, a, "ros config validate a b", result{code: 2, err: "ros: cannot validate: name one file\ntry: ros config validate --help\n"})
	check(t, a, "ros config validate nosuch.yml", result{code: 1, err: "ros: cannot use nosuch.yml: cannot stat it: no such file or directory\n"})
}

func TestConfigTools(t *testing.T) {
	if got := newApp(t, nil).try("ros config schema"); got.code != 0 || got.out != string(config.Schema()) {
		t.Errorf("ros config schema ends with %d and prints %.60q", got.code, got.out)
	}
	a := newApp(t, nil)
	t.Setenv("NAME", "edge-7")
	a.stdin = strings.NewReader("hostname: {{.NAME}}\n")
	check(t, a, "ros config generate", result{out: "hostname: edge-7\n"})
	a.stdin = strings.NewReader("hostname: {{.NAME\n")
	if got := a.try("ros config generate"); got.code != 1 || !strings.HasPrefix(got.err, "ros: cannot use the template: ") {
		t.Errorf("ends with %d and %q", got.code, got.err)
	}
}

package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/cmdline"
)

const everything = `#cloud-config
hostname: edge-7
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3Nz me@home
rancher:
  password: $6$salt$digest/of.it
  autologin: tty1
  debug: true
  shutdown_timeout: 90
  state:
    dev: /dev/vda1
    autoformat: [/dev/vda, /dev/sda]
    required: yes
    wait: true
    directory: /roster/
  disable: [password]
`

func TestLoadEverything(t *testing.T) {
	got, warnings := config.Load(config.Layer{Name: "c.yml", Data: []byte(everything)})
	if len(warnings) > 0 {
		t.Fatalf("warnings = %v, want none", warnings)
	}
	want := &config.Config{
		Hostname: "edge-7", SSHAuthorizedKeys: []string{"ssh-ed25519 AAAAC3Nz me@home"},
		Rancher: config.Rancher{
			Password: "$6$salt$digest/of.it", Autologin: []string{"tty1"}, Debug: true, ShutdownTimeoutSeconds: 90,
			State:   config.State{Dev: "/dev/vda1", Autoformat: []string{"/dev/vda", "/dev/sda"}, Required: true, Wait: true, Directory: "roster"},
			Disable: []string{"password"},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	if got.Rancher.ShutdownTimeout() != 90*time.Second {
		t.Errorf("ShutdownTimeout() = %v, want 1m30s", got.Rancher.ShutdownTimeout())
	}
}

func TestDefaults(t *testing.T) {
	got, warnings := config.Load()
	want := &config.Config{Rancher: config.Rancher{ShutdownTimeoutSeconds: 60, State: config.State{Dev: "LABEL=RANCHER_STATE"}}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{})); diff != "" || len(warnings) > 0 {
		t.Errorf("Load() (-want +got):\n%s\nwarnings %v", diff, warnings)
	}
	if got := got.Origin("rancher.state.dev"); got != (config.Origin{Layer: "defaults"}) {
		t.Errorf("Origin = %v, want defaults", got)
	}
}

func TestLayers(t *testing.T) {
	low := config.Layer{Name: "low.yml", Data: []byte("hostname: low\nssh_authorized_keys: [ssh-rsa AAAA a, ssh-rsa AAAA b]\nrancher:\n  state: {dev: /dev/sda1, wait: true}\n  shutdown_timeout: 30\n")}
	high := config.Layer{Name: "high.yml", Data: []byte("ssh_authorized_keys: [ssh-rsa AAAA c]\nrancher:\n  state:\n    dev: /dev/sdb1\n  shutdown_timeout: soon\nhostname:\n")}
	top := config.Layer{Name: "kernel command line", Settings: cmdline.Parse("quiet rancher.debug cc.hostname=top rancher.state.required=true").Settings()}
	cfg, warnings := config.Load(low, high, top)

	got := fmt.Sprint(cfg.Hostname, cfg.SSHAuthorizedKeys, cfg.Rancher.State, cfg.Rancher.Debug, cfg.Rancher.ShutdownTimeoutSeconds)
	want := fmt.Sprint("top", []string{"ssh-rsa AAAA c"}, config.State{Dev: "/dev/sdb1", Wait: true, Required: true}, true, 30)
	if got != want {
		t.Errorf("merged = %s\nwant     %s", got, want)
	}
	if len(warnings) != 1 || warnings[0].String() != "high.yml:5: rancher.shutdown_timeout: must be a whole number from 5 to 86400" {
		t.Errorf("warnings = %v, want one about shutdown_timeout, whose lower value counts", warnings)
	}
	for key, want := range map[string]config.Origin{
		"hostname":                 {Layer: "kernel command line"},
		"ssh_authorized_keys":      {Layer: "high.yml", Line: 1},
		"rancher.state.dev":        {Layer: "high.yml", Line: 4},
		"rancher.state.wait":       {Layer: "low.yml", Line: 4},
		"rancher.shutdown_timeout": {Layer: "low.yml", Line: 5},
		"rancher.password":         {Layer: "defaults"},
	} {
		if got := cfg.Origin(key); got != want {
			t.Errorf("Origin(%q) = %v, want %v", key, got, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		line     string
		get      func(*config.Config) any
		want     any
		warnings []string
	}{
		{line: "rancher.debug", get: func(c *config.Config) any { return c.Rancher.Debug }, want: true},
		{line: "rancher.debug rancher.debug=false", get: func(c *config.Config) any { return c.Rancher.Debug }, want: false},
		{line: "rancher.password=0123", get: func(c *config.Config) any { return string(c.Rancher.Password) }, want: "0123"},
		{line: "rancher.password=true", get: func(c *config.Config) any { return string(c.Rancher.Password) }, want: "true"},
		{line: "rancher.password=", get: func(c *config.Config) any { return string(c.Rancher.Password) }, want: "",
			warnings: []string{"kernel command line: rancher.password: must be a password, or its hash as in /etc/shadow"}},
		{line: "rancher.autologin=tty1 rancher.autologin=/dev/ttyS0", get: func(c *config.Config) any { return fmt.Sprint(c.Rancher.Autologin) }, want: "[tty1 ttyS0]"},
		{line: "rancher.autologin=[tty1,tty2]", get: func(c *config.Config) any { return fmt.Sprint(c.Rancher.Autologin) }, want: "[tty1 tty2]"},
		{line: "rancher.autologin", get: func(c *config.Config) any { return len(c.Rancher.Autologin) }, want: 0,
			warnings: []string{"kernel command line: rancher.autologin: must name terminals (tty1, ttyS0)"}},
		{line: "rancher.state.autoformat=[/dev/sda,/dev/vda]", get: func(c *config.Config) any { return fmt.Sprint(c.Rancher.State.Autoformat) }, want: "[/dev/sda /dev/vda]"},
		{line: "rancher.state.autoformat=/dev/vda", get: func(c *config.Config) any { return fmt.Sprint(c.Rancher.State.Autoformat) }, want: "[/dev/vda]"},
		{line: "rancher.state.dev=LABEL=X", get: func(c *config.Config) any { return c.Rancher.State.Dev }, want: "LABEL=X"},
		{line: "rancher.shutdown_timeout=120", get: func(c *config.Config) any { return c.Rancher.ShutdownTimeoutSeconds }, want: 120},
		{line: "rancher.state={dev: /dev/vda, wait: true}", get: func(c *config.Config) any { return c.Rancher.State.Dev }, want: "LABEL=RANCHER_STATE",
			warnings: []string{"kernel command line: rancher.state: must be a mapping (key: value)"}}, // the kernel cuts it at the spaces
		{line: "rancher.state", warnings: []string{"kernel command line: rancher.state: must be a mapping (key: value)"}},
		{line: "rancher.network.dns.search=[a]", warnings: []string{"kernel command line: rancher.network.dns.search: has no effect yet"}},
		{line: "rancher.debug.more=1", warnings: []string{"kernel command line: rancher.debug.more: rancher.debug has no keys below it"}},
		{line: "rancher.dbug=1 cc.hostnam=x", warnings: []string{
			`kernel command line: rancher.dbug: unknown key (did you mean "debug"?)`,
			`kernel command line: hostnam: unknown key (did you mean "hostname"?)`}},
		{line: "rancher.stat.dev=/dev/vda", warnings: []string{`kernel command line: rancher.stat.dev: unknown key (did you mean "state"?)`}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			cfg, warnings := config.Load(config.Layer{Name: "kernel command line", Settings: cmdline.Parse(tt.line).Settings()})
			if tt.get != nil && tt.get(cfg) != tt.want {
				t.Errorf("value = %v, want %v", tt.get(cfg), tt.want)
			}
			if diff := cmp.Diff(tt.warnings, texts(warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWarnings is what is said about a file; nothing in it stops the boot.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		file     string
		warnings []string // without "c.yml"
	}{
		{file: ""},
		{file: "#cloud-config\n"},
		{file: "hostname: a\r\nrancher:\r\n  debug: true\r\n"},
		{file: "rancher:\n"},
		{file: "hostname:\n"},
		{file: "\x00\x01", warnings: []string{": is not text (YAML in UTF-8)"}},
		{file: "- a\n", warnings: []string{`:1: must be a mapping ("key: value" on its first line)`}},
		{file: "rancher:\n\tdebug: true\n", warnings: []string{":2: is not valid YAML: a tab in the indentation, where only spaces may be"}},
		{file: "hostname: a\nhostname: b\n", warnings: []string{":2: hostname: is given twice, first on line 1"}},
		{file: "rancher: true\n", warnings: []string{":1: rancher: must be a mapping (key: value)"}},
		{file: "hostname: [a]\n", warnings: []string{":1: hostname: must be a host name: at most 64 letters, digits and -, with dots between them"}},
		{file: "hostname: a_b\n", warnings: []string{":1: hostname: must be a host name: at most 64 letters, digits and -, with dots between them"}},
		{file: "hostnme: a\n", warnings: []string{`:1: hostnme: unknown key (did you mean "hostname"?)`}},
		{file: "ranchr:\n  debug: true\n", warnings: []string{`:1: ranchr: unknown key (did you mean "rancher"?)`}},
		{file: "ssh-authorized-keys: []\n", warnings: []string{`:1: ssh-authorized-keys: unknown key (did you mean "ssh_authorized_keys"?)`}},
		{file: "packages: [vim]\n", warnings: []string{":1: packages: unknown key"}},
		{file: "ssh_authorized_keys:\n  - AAAA\n", warnings: []string{`:1: ssh_authorized_keys: entry 1 is no public key ("ssh-ed25519 AAAA… name")`}},
		{file: "ssh_authorized_keys: [[a]]\n", warnings: []string{`:1: ssh_authorized_keys: must be a list of texts, none of them empty`}},
		{file: "rancher:\n  password: $1\n", warnings: []string{":2: rancher.password: begins with $, but is no hash as in /etc/shadow ($6$salt$digest)"}},
		{file: "rancher:\n  debug: maybe\n  state:\n    dev: sda\n    autoformat: [sda]\n    directory: ../x\n  disable: all\n  shutdown_timeout: 1\n", warnings: []string{
			":2: rancher.debug: must be true or false",
			":4: rancher.state.dev: must be a device: /dev/…, LABEL=…, UUID=…, PARTLABEL=… or PARTUUID=…",
			":5: rancher.state.autoformat: must be a list of disks (/dev/…)",
			":6: rancher.state.directory: must be a directory of the state disk",
			`:7: rancher.disable: must be a list of "password" and "autologin"`,
			":8: rancher.shutdown_timeout: must be a whole number from 5 to 86400"}},
		{file: "write_files:\n  - path: /x\nruncmd: [a]\nrancher:\n  network:\n    dns: {nameservers: [1.1.1.1]}\n  services_include: {a: true}\n  state: {fstype: auto, rngd: true}\n  rm_usr: true\n", warnings: []string{
			":1: write_files: has no effect yet",
			":3: runcmd: has no effect yet",
			":5: rancher.network: has no effect yet",
			":7: rancher.services_include: has no effect yet",
			":8: rancher.state.fstype: has no effect yet",
			":8: rancher.state.rngd: has no effect: the kernel seeds itself",
			":9: rancher.rm_usr: has no effect: the OS image is not copied to the state disk"}},
	} {
		t.Run(fmt.Sprintf("%.40q", tt.file), func(t *testing.T) {
			_, warnings := config.Load(config.Layer{Name: "c.yml", Data: []byte(tt.file)})
			var got []string
			for _, w := range texts(warnings) {
				got = append(got, strings.TrimPrefix(w, "c.yml"))
			}
			if diff := cmp.Diff(tt.warnings, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// A typo must not cost what stands around it.
func TestRestOfTheFileCounts(t *testing.T) {
	cfg, _ := config.Load(config.Layer{Name: "c.yml", Data: []byte("hostname: a b\nnonsense: 1\nrancher:\n  debug: perhaps\n  password: secret\n")})
	if cfg.Hostname != "" || cfg.Rancher.Debug || cfg.Rancher.Password != "secret" {
		t.Errorf("config = %+v, want only the password", cfg)
	}
}

func TestPasswordStaysHidden(t *testing.T) {
	cfg, warnings := config.Load(config.Layer{Name: "c.yml", Data: []byte("rancher: {password: secret}")},
		config.Layer{Name: "d.yml", Data: []byte("rancher: {password: $secret}")})
	if out := fmt.Sprintf("%v %+v %v", cfg, cfg.Rancher, warnings); strings.Contains(out, "secret") {
		t.Errorf("a password shows in %s", out)
	}
	if cfg.Rancher.Password.Hashed() || !config.Password("$y$j9T$x$y").Hashed() {
		t.Error("Hashed() is wrong")
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := config.Files{
		UserData: write("user-data", "#cloud-config\r\nhostname: seed\r\n"),
		Dir:      filepath.Dir(write("conf.d/20.yml", "hostname: twenty\n")),
		File:     write("cloud-config.yml", "rancher: {debug: true}\n"),
	}
	write("conf.d/10.yml", "hostname: ten\n")
	write("conf.d/.30.yml", "hostname: hidden\n")
	write("conf.d/40.sh", "#!/bin/sh\n")

	layers, warnings := config.Read(files, cmdline.Parse("rancher.debug=false").Settings())
	var names []string
	for _, l := range layers {
		names = append(names, strings.TrimPrefix(l.Name, dir+"/"))
	}
	if want := "user-data conf.d/10.yml conf.d/20.yml cloud-config.yml kernel command line"; strings.Join(names, " ") != want || len(warnings) > 0 {
		t.Errorf("layers = %q, want %q; warnings %v", names, want, warnings)
	}
	if cfg, _ := config.Load(layers...); cfg.Hostname != "twenty" || cfg.Rancher.Debug {
		t.Errorf("config = %+v, want the later layers", cfg)
	}

	layers, warnings = config.Read(config.Files{UserData: dir + "/a", Dir: dir + "/b", File: dir + "/c"}, nil)
	if len(layers) > 0 || len(warnings) > 0 {
		t.Errorf("Read of nothing = %v, %v, want nothing", layers, warnings)
	}
}

func TestUserData(t *testing.T) {
	for content, want := range map[string]string{
		"":                                      "",
		"\n":                                    "",
		"#cloud-config\nhostname: a\n":          "",
		"\ufeff#cloud-config \r\nhostname: a\n": "",
		"hostname: a\n":                         `:1: does not begin with "#cloud-config", so it is not read`,
		"# cloud-config\n":                      `:1: does not begin with "#cloud-config", so it is not read`,
		"#!/bin/sh\nreboot\n":                   ":1: is a script, which has no effect yet",
		"#compose\nservices: {}\n":              ":1: is a Compose file, which has no effect yet",
		"\x1f\x8b\x08\x00":                      ":1: is compressed, which has no effect yet",
		strings.Repeat("#", 1<<20+1):            ": is larger than 1 MiB",
	} {
		path := filepath.Join(t.TempDir(), "user-data")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		layers, warnings := config.Read(config.Files{UserData: path}, nil)
		got := strings.TrimPrefix(strings.Join(texts(warnings), " "), path)
		if got != want || (len(layers) == 1) != (want == "") {
			t.Errorf("Read(%.20q) = %d layers, %q, want %q", content, len(layers), got, want)
		}
	}
}

func texts(warnings []config.Warning) []string {
	var list []string
	for _, w := range warnings {
		list = append(list, w.String())
	}
	return list
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(everything), "rancher.debug rancher.autologin=tty1")
	f.Add([]byte("a: &a {b: c}\nrancher: {<<: *a}\n"), "rancher.state.autoformat=[/dev/sda] cc.hostname=x -- rancher.password=\"a b\"")
	f.Fuzz(func(t *testing.T, file []byte, line string) {
		cfg, warnings := config.Load(config.Layer{Name: "c.yml", Data: file}, config.Layer{Name: "kernel command line", Settings: cmdline.Parse(line).Settings()})
		if len(warnings) > 2*51 {
			t.Errorf("%d warnings", len(warnings))
		}
		for _, w := range warnings {
			if w.Message == "" {
				t.Errorf("warning without words: %+v", w)
			}
		}
		if cfg.Rancher.ShutdownTimeoutSeconds < 5 || strings.ContainsAny(cfg.Hostname+string(cfg.Rancher.Password)+cfg.Rancher.State.Directory, "\n\x00") {
			t.Errorf("config = %+v", cfg)
		}
	})
}

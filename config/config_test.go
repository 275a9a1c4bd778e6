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

const some = `#cloud-config
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

// load reads one file that may not have a fault.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, warnings := config.Load(config.Layer{Name: "c.yml", Data: []byte(text)})
	if len(warnings) > 0 {
		t.Fatalf("warnings = %v, want none", warnings)
	}
	return cfg
}

// kernel is the layer that a command line is.
func kernel(line string) config.Layer {
	return config.Layer{Name: config.CommandLine, Settings: cmdline.Parse(line).Settings()}
}

func texts(warnings []config.Warning) []string {
	var list []string
	for _, w := range warnings {
		list = append(list, w.String())
	}
	return list
}

func TestLoad(t *testing.T) {
	got := load(t, some)
	want, _ := config.Load()
	want.Hostname, want.SSHAuthorizedKeys = "edge-7", []string{"ssh-ed25519 AAAAC3Nz me@home"}
	want.Rancher.Password, want.Rancher.Autologin, want.Rancher.Disable = "$6$salt$digest/of.it", []string{"tty1"}, []string{"password"}
	want.Rancher.Debug, want.Rancher.ShutdownTimeoutSeconds = true, 90
	want.Rancher.State = config.State{Dev: "/dev/vda1", OEMDev: "LABEL=RANCHER_OEM", Autoformat: []string{"/dev/vda", "/dev/sda"}, Required: true, Wait: true, Directory: "roster"}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	if got.Rancher.ShutdownTimeout() != 90*time.Second {
		t.Errorf("ShutdownTimeout() = %v, want 1m30s", got.Rancher.ShutdownTimeout())
	}
}

func TestDefaults(t *testing.T) {
	cfg, warnings := config.Load()
	var got []string
	for _, e := range cfg.Entries(true) {
		if e.From.Layer != "defaults" || len(e.Overrode) > 0 {
			t.Errorf("%s is from %+v and overrode %v, want defaults and nothing", e.Key, e.From, e.Overrode)
		}
		got = append(got, e.Key+": "+e.Value)
	}
	want := []string{
		"rancher.console: default",
		"rancher.docker.live_restore: true",
		"rancher.state.dev: LABEL=RANCHER_STATE",
		"rancher.state.oem_dev: LABEL=RANCHER_OEM",
		"rancher.upgrade.policy: none", "rancher.upgrade.jitter: 1800", "rancher.upgrade.interval: 21600",
		"rancher.upgrade.commit_window: 120", "rancher.upgrade.deadline: 600",
		"rancher.defaults.hostname: rancher",
		"rancher.defaults.network.dhcp_timeout: 10",
		"rancher.defaults.network.dns.nameservers: - 8.8.8.8\n- 8.8.4.4\n",
		"rancher.shutdown_timeout: 60",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(warnings) > 0 {
		t.Errorf("defaults (-want +got):\n%s\nwarnings %v", diff, warnings)
	}
}

func TestLayers(t *testing.T) {
	low := config.Layer{Name: "low.yml", Data: []byte("hostname: low\nssh_authorized_keys: [ssh-rsa AAAA a, ssh-rsa AAAA b]\nrancher:\n  state: {dev: /dev/sda1, wait: true}\n  shutdown_timeout: 30\n")}
	high := config.Layer{Name: "high.yml", Data: []byte("ssh_authorized_keys: [ssh-rsa AAAA c]\nrancher:\n  state:\n    dev: /dev/sdb1\n  shutdown_timeout: soon\nhostname:\n")}
	cfg, warnings := config.Load(low, high, kernel("quiet rancher.debug cc.hostname=top rancher.state.required=true"))

	got := fmt.Sprint(cfg.Hostname, cfg.SSHAuthorizedKeys, cfg.Rancher.State, cfg.Rancher.Debug, cfg.Rancher.ShutdownTimeoutSeconds)
	want := fmt.Sprint("top", []string{"ssh-rsa AAAA c"}, config.State{Dev: "/dev/sdb1", Wait: true, Required: true, OEMDev: "LABEL=RANCHER_OEM"}, true, 30)
	if got != want {
		t.Errorf("merged = %s\nwant     %s", got, want)
	}
	if len(warnings) != 1 || warnings[0].String() != "high.yml:5:21: rancher.shutdown_timeout: must be a whole number from 5 to 86400" {
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

// TestMerge is one case for each way in which keys of two layers meet.
func TestMerge(t *testing.T) {
	for _, tt := range []struct{ name, low, high, want string }{
		{"mappings merge", "ntp: {enabled: true}", "ntp: {servers: [a]}", "ntp:\n  enabled: true\n  servers:\n    - a\n"},
		{"lists replace", "rancher: {modules: [a, b]}", "rancher: {modules: [c]}", "rancher:\n  modules:\n    - c\n"},
		{"an empty list takes back", "rancher: {modules: [a, b]}", "rancher: {modules: []}", "rancher:\n  modules: []\n"},
		{"an empty text takes back", "timezone: UTC", `timezone: ""`, "timezone: \"\"\n"},
		{"nothing says nothing", "rancher: {modules: [a], network: {http_proxy: p:1}}", "rancher: {modules: , network: ~}", "rancher:\n  network:\n    http_proxy: p:1\n  modules:\n    - a\n"},
		{"entries of tables merge", "rancher: {sysctl: {a: 1, b: 1}}", "rancher: {sysctl: {b: 2, c: 2}}", "rancher:\n  sysctl:\n    a: \"1\"\n    b: \"2\"\n    c: \"2\"\n"},
		{"so do the keys in them", "rancher: {network: {interfaces: {eth0: {mtu: 1400, gateway: 10.0.0.1}}}}", "rancher: {network: {interfaces: {eth0: {mtu: 1500}}}}",
			"rancher:\n  network:\n    interfaces:\n      eth0:\n        gateway: 10.0.0.1\n        mtu: 1500\n"},
		{"services merge, their lists do not", "rancher: {services: {a: {image: x, ports: ['1:1'], labels: {l: 1, m: 1}}}}", "rancher: {services: {a: {ports: ['2:2'], labels: {m: 2}}, b: {image: y}}}",
			"rancher:\n  services:\n    a:\n      image: x\n      ports:\n        - 2:2\n      labels:\n        l: 1\n        m: 2\n    b:\n      image: y\n"},
		{"a list that is all wrong does not count", "ssh_authorized_keys: [ssh-rsa AAAA a]", "ssh_authorized_keys: [x, y]", "ssh_authorized_keys:\n  - ssh-rsa AAAA a\n"},
		{"a key of a repository has lines", "", "rancher: {repositories: {ours: {key: \"-----BEGIN\\nAA\\n\"}}}", "rancher:\n  repositories:\n    ours:\n      key: |\n        -----BEGIN\n        AA\n"},
		{"other names are the same key", "ca_certs: {remove_defaults: true}", "ca-certs: {remove-defaults: false}", "ca_certs:\n  remove_defaults: false\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, _ := config.Load(config.Layer{Name: "low.yml", Data: []byte(tt.low)}, config.Layer{Name: "high.yml", Data: []byte(tt.high)})
			if diff := cmp.Diff("#cloud-config\n"+tt.want, document(t, cfg)); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
		})
	}
}

// Keys of a cloud's metadata let in whoever started the machine, whatever the
// layers above say.
func TestMetadataAddsKeys(t *testing.T) {
	cloud := config.Layer{Name: "10-metadata.yml", Append: true, Data: []byte("hostname: cloud\nssh_authorized_keys: [ssh-rsa AAAA cloud, ssh-rsa AAAA both]\n")}
	user := config.Layer{Name: "30-user-data.yml", Data: []byte("ssh_authorized_keys: [ssh-rsa AAAA user, ssh-rsa AAAA both]\n")}
	for _, tt := range []struct {
		layers []config.Layer
		keys   string
		from   config.Origin
	}{
		{[]config.Layer{cloud}, "[ssh-rsa AAAA cloud ssh-rsa AAAA both]", config.Origin{Layer: "10-metadata.yml", Line: 2}},
		{[]config.Layer{cloud, user}, "[ssh-rsa AAAA user ssh-rsa AAAA both ssh-rsa AAAA cloud]", config.Origin{Layer: "30-user-data.yml and 10-metadata.yml"}},
		{[]config.Layer{user, cloud}, "[ssh-rsa AAAA user ssh-rsa AAAA both ssh-rsa AAAA cloud]", config.Origin{Layer: "30-user-data.yml and 10-metadata.yml"}},
	} {
		cfg, _ := config.Load(tt.layers...)
		if got := fmt.Sprint(cfg.SSHAuthorizedKeys); got != tt.keys || cfg.Hostname != "cloud" {
			t.Errorf("keys = %s, host name %q, want %s, cloud", got, cfg.Hostname, tt.keys)
		}
		if got := cfg.Origin("ssh_authorized_keys"); got != tt.from {
			t.Errorf("Origin = %v, want %v", got, tt.from)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := config.Files{
		OEM:        write("oem-config.yml", "hostname: oem\nssh_authorized_keys: [ssh-rsa AAAA oem]\n"),
		Datasource: filepath.Dir(write("datasource/10-metadata.yml", "hostname: cloud\nssh_authorized_keys: [ssh-rsa AAAA cloud]\n")),
		Dir:        filepath.Dir(write("conf.d/20.yml", "hostname: twenty\n")),
		File:       write("cloud-config.yml", "rancher: {debug: true}\n"),
	}
	write("datasource/30-user-data-00.yml", "#cloud-config\r\nhostname: user\r\n")
	write("datasource/script-00", "#!/bin/sh\n")
	write("conf.d/10-metadata.yml", "hostname: ten\nssh_authorized_keys: [ssh-rsa AAAA ten]\n")
	write("conf.d/.30.yml", "hostname: hidden\n")
	write("conf.d/40.yml/x", "")
	write("conf.d/50.yml", strings.Repeat("#", 1<<20+1))

	layers, warnings := config.Read(files, cmdline.Parse("rancher.debug=false").Settings())
	var names []string
	for _, l := range layers {
		names = append(names, strings.TrimPrefix(l.Name, dir+"/"))
	}
	want := "oem-config.yml datasource/10-metadata.yml datasource/30-user-data-00.yml conf.d/10-metadata.yml conf.d/20.yml cloud-config.yml kernel command line"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("layers = %q\nwant     %q", got, want)
	}
	if diff := cmp.Diff([]string{dir + "/conf.d/50.yml: is larger than 1 MiB"}, texts(warnings)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	cfg, _ := config.Load(layers...)
	if got := fmt.Sprint(cfg.Hostname, cfg.Rancher.Debug, cfg.SSHAuthorizedKeys); got != "twentyfalse [ssh-rsa AAAA ten ssh-rsa AAAA cloud]" {
		t.Errorf("config = %s, want the later layers, and the key of the cloud", got)
	}

	layers, warnings = config.Read(config.Files{OEM: dir + "/a", Datasource: dir + "/b", Dir: dir + "/c", File: dir + "/d"}, nil)
	if len(layers) > 0 || len(warnings) > 0 {
		t.Errorf("Read of nothing = %v, %v, want nothing", layers, warnings)
	}
}

func TestSecretsStayHidden(t *testing.T) {
	const file = `rancher:
  password: sesame
  registry_auths: {a: {password: sesame, auth: sesame}}
  docker: {server_key: sesame}
  ssh: {keys: {rsa: sesame}}
  network: {http_proxy: "http://me:sesame@proxy:3128"}
users: [{name: eve, plain_text_passwd: sesame}]
write_files: [{path: /a, permissions: 600, content: sesame}]
`
	cfg := load(t, file)
	_, warnings := config.Load(config.Layer{Name: "d.yml", Data: []byte("rancher: {password: $sesame}")})
	changes := config.Changes(cfg, load(t, strings.ReplaceAll(file, "sesame", "simsim")))
	public := fmt.Sprintf("%+v", cfg.Entries(false))
	for _, out := range []string{fmt.Sprintf("%v %+v", cfg.Rancher, cfg.Users), fmt.Sprint(warnings, config.Validate("c.yml", []byte(file))), fmt.Sprintf("%+v", changes), public} {
		out = strings.ReplaceAll(out, "http://me:sesame@proxy:3128", "") // of Config itself, not shown
		out = strings.ReplaceAll(out, "{/a sesame", "")
		if strings.Contains(out, "sesame") || strings.Contains(out, "simsim") {
			t.Errorf("a secret shows in %s", out)
		}
	}
	if len(changes) != 8 {
		t.Errorf("%d changes, want 8: %+v", len(changes), changes)
	}
	if got := fmt.Sprintf("%+v", cfg.Entries(true)); strings.Count(got, "sesame") != 2*8 {
		t.Errorf("Entries(true) hides a secret: %s", got)
	}
	if cfg.Rancher.Password.Hashed() || !config.Password("$y$j9T$x$y").Hashed() {
		t.Error("Hashed() is wrong")
	}
}

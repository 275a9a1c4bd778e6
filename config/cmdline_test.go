package config_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
)

func TestCommandLine(t *testing.T) {
	const at = "kernel command line: "
	for _, tt := range []struct {
		line     string
		get      func(*config.Config) any
		want     any // as fmt prints it
		warnings []string
	}{
		{line: "rancher.debug", get: func(c *config.Config) any { return c.Rancher.Debug }, want: true},
		{line: "rancher.debug rancher.debug=false", get: func(c *config.Config) any { return c.Rancher.Debug }, want: false},
		{line: "rancher.password=0123", get: func(c *config.Config) any { return string(c.Rancher.Password) }, want: "0123"},
		{line: "rancher.password=true", get: func(c *config.Config) any { return string(c.Rancher.Password) }, want: "true"},
		{line: `rancher.password="a b" "cc.final_message=c d"`, get: func(c *config.Config) any { return string(c.Rancher.Password) + c.FinalMessage }, want: "a bc d"},
		{line: "quiet -- rancher.password=behind", get: func(c *config.Config) any { return string(c.Rancher.Password) }, want: "behind"},
		{line: "rancher.password=", get: func(c *config.Config) any { return string(c.Rancher.Password) }, want: "",
			warnings: []string{at + "rancher.password: must be a password, or its hash as in /etc/shadow"}},
		{line: "rancher.autologin=tty1 rancher.autologin=/dev/ttyS0 rancher.autologin=tty1", get: func(c *config.Config) any { return c.Rancher.Autologin }, want: "[tty1 ttyS0]"},
		{line: "rancher.autologin=[tty1,tty2]", get: func(c *config.Config) any { return c.Rancher.Autologin }, want: "[tty1 tty2]"},
		{line: "rancher.autologin", get: func(c *config.Config) any { return len(c.Rancher.Autologin) }, want: 0,
			warnings: []string{at + "rancher.autologin[0]: must be the name of a terminal (tty1, ttyS0)"}},
		{line: "rancher.state.autoformat=[/dev/sda,/dev/vda]", get: func(c *config.Config) any { return c.Rancher.State.Autoformat }, want: "[/dev/sda /dev/vda]"},
		{line: `rancher.state.autoformat="[/dev/sda, /dev/vda]"`, get: func(c *config.Config) any { return c.Rancher.State.Autoformat }, want: "[/dev/sda /dev/vda]"},
		{line: "rancher.state.autoformat=/dev/vda", get: func(c *config.Config) any { return c.Rancher.State.Autoformat }, want: "[/dev/vda]"},
		{line: "rancher.state.dev=LABEL=X", get: func(c *config.Config) any { return c.Rancher.State.Dev }, want: "LABEL=X"},
		{line: "rancher.shutdown_timeout=120", get: func(c *config.Config) any { return c.Rancher.ShutdownTimeoutSeconds }, want: 120},
		{line: `rancher.state="{dev: /dev/vda, wait: true}"`, get: func(c *config.Config) any { return fmt.Sprint(c.Rancher.State.Dev, c.Rancher.State.Wait) }, want: "/dev/vdatrue"},
		{line: "rancher.state", warnings: []string{at + "rancher.state: must be a mapping (key: value)"}},
		{line: "rancher.network.dns.search=[a,b.c]", get: func(c *config.Config) any { return c.Rancher.Network.DNS.Search }, want: "[a b.c]"},
		{line: "rancher.network.interfaces.eth0.address=10.0.0.7/24 rancher.network.interfaces.eth0.mtu=1400",
			get: func(c *config.Config) any {
				return fmt.Sprint(c.Rancher.Network.Interfaces["eth0"].Address, c.Rancher.Network.Interfaces["eth0"].MTU)
			}, want: "10.0.0.7/241400"},
		{line: "rancher.network.interfaces.eth0.100.mtu=1400", get: func(c *config.Config) any { return c.Rancher.Network.Interfaces["eth0.100"].MTU }, want: 1400},
		{line: "rancher.network.interfaces.mac=52:54.mtu=1400", warnings: []string{at + "rancher.network.interfaces.mac: must be a mapping (key: value)"}},
		{line: "rancher.network.interfaces.eth0.adress=10.0.0.7/24", get: func(c *config.Config) any { return len(c.Rancher.Network.Interfaces) }, want: 0,
			warnings: []string{at + `rancher.network.interfaces.eth0.adress: unknown key (did you mean "address"?)`}},
		{line: "rancher.sysctl.net.ipv4.ip_forward=1", get: func(c *config.Config) any { return c.Rancher.Sysctl }, want: "map[net.ipv4.ip_forward:1]"},
		{line: "rancher.registry_auths.hub.example.com.username=me", get: func(c *config.Config) any { return c.Rancher.RegistryAuths["hub.example.com"].Username }, want: "me"},
		{line: "rancher.services_include.zfs rancher.services_include.a.yml=no", get: func(c *config.Config) any { return c.Rancher.ServicesInclude }, want: "map[a.yml:false zfs:true]"},
		{line: "rancher.services.web.image=nginx rancher.services.web.privileged=true rancher.services.web.ports=[80:80]",
			get: func(c *config.Config) any { return string(c.Rancher.Services["web"].YAML) }, want: "image: nginx\nprivileged: true\nports:\n  - 80:80\n"},
		{line: "rancher.services.web=nginx", get: func(c *config.Config) any { return len(c.Rancher.Services) }, want: 0,
			warnings: []string{at + "rancher.services.web: must be a mapping (image: …)"}},
		{line: "cc.hostname=a cc.hostname=b", get: func(c *config.Config) any { return c.Hostname }, want: "b"},
		{line: "cc.runcmd=[[a,b],c]", get: func(c *config.Config) any { return c.RunCmd }, want: "[{ [a b]} {c []}]"},
		{line: "cc.write_files=[{path:/a,content:x}]", get: func(c *config.Config) any { return len(c.WriteFiles) }, want: 0,
			warnings: []string{ // a space belongs behind the colon
				at + "write_files[0].path:/a: unknown key",
				at + `write_files[0].content:x: unknown key (did you mean "content"?)`,
				at + "write_files[0]: lacks path"}},
		{line: "rancher.debug.more=1", warnings: []string{at + "rancher.debug.more: rancher.debug has no keys below it"}},
		{line: "rancher.dbug=1 cc.hostnam=x", warnings: []string{
			at + `rancher.dbug: unknown key (did you mean "debug"?)`,
			at + `hostnam: unknown key (did you mean "hostname"?)`}},
		{line: "rancher.stat.dev=/dev/vda", warnings: []string{at + `rancher.stat.dev: unknown key (did you mean "state"?)`}},
		{line: "rancher.password=\xff\xfe", warnings: []string{at + "rancher.password: is not text in UTF-8"}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			cfg, warnings := config.Load(kernel(tt.line))
			if tt.get != nil && fmt.Sprint(tt.get(cfg)) != fmt.Sprint(tt.want) {
				t.Errorf("value = %v, want %v", tt.get(cfg), tt.want)
			}
			if diff := cmp.Diff(tt.warnings, texts(warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// A key that stands more than once on the command line is one layer's all the
// same.
func TestCommandLineIsOneLayer(t *testing.T) {
	cfg, _ := config.Load(config.Layer{Name: "c.yml", Data: []byte("hostname: file\n")}, kernel("cc.hostname=a cc.hostname=b"))
	for _, e := range cfg.Entries(true) {
		if e.Key != "hostname" {
			continue
		}
		want := config.Entry{
			Key: "hostname", Path: []string{"hostname"}, Value: "b", Applier: "hostname",
			From:     config.Origin{Layer: "kernel command line", Value: "b"},
			Overrode: []config.Origin{{Layer: "c.yml", Line: 1, Value: "file"}},
		}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
		return
	}
	t.Error("no entry for hostname")
}

func TestSplit(t *testing.T) {
	for name, want := range map[string][]string{
		"hostname":                                       {"hostname"},
		"rancher.network.dns.search":                     {"rancher", "network", "dns", "search"},
		"rancher.sysctl.net.ipv4.ip_forward":             {"rancher", "sysctl", "net.ipv4.ip_forward"},
		"rancher.network.interfaces.eth0":                {"rancher", "network", "interfaces", "eth0"},
		"rancher.network.interfaces.eth0.100":            {"rancher", "network", "interfaces", "eth0.100"},
		"rancher.network.interfaces.eth0.100.mtu":        {"rancher", "network", "interfaces", "eth0.100", "mtu"},
		"rancher.network.interfaces.eth0.bond_opts.mode": {"rancher", "network", "interfaces", "eth0", "bond_opts", "mode"},
		`rancher.network.interfaces."a.mtu".mtu`:         {"rancher", "network", "interfaces", "a.mtu", "mtu"},
		"rancher.registry_auths.hub.example.com":         {"rancher", "registry_auths", "hub.example.com"},
		"rancher.registry_auths.hub.example.com.auth":    {"rancher", "registry_auths", "hub.example.com", "auth"},
		"rancher.services.web.labels":                    {"rancher", "services", "web", "labels"},
		"rancher.services_include./a/b.yml":              {"rancher", "services_include", "/a/b.yml"},
		`rancher.sysctl."a.b"`:                           {"rancher", "sysctl", "a.b"},
		"rancher.nonsense.a.b":                           {"rancher", "nonsense", "a", "b"},
		"ca-certs.trusted":                               {"ca-certs", "trusted"},
		"..":                                             {"", ""},
		"":                                               nil,
	} {
		if diff := cmp.Diff(want, config.Split(name)); diff != "" {
			t.Errorf("Split(%q) (-want +got):\n%s", name, diff)
		}
	}
}

package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
)

// TestFaults is what is said about a file; nothing in it stops the boot.
func TestFaults(t *testing.T) {
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
		{file: "- a\n", warnings: []string{`:1:1: must be a mapping ("key: value" on its first line)`}},
		{file: "rancher:\n\tdebug: true\n", warnings: []string{":2: is not valid YAML: a tab in the indentation, where only spaces may be"}},
		{file: "hostname: a\nhostname: b\n", warnings: []string{":2:1: hostname: is given twice, first on line 1"}},
		{file: "rancher: true\n", warnings: []string{":1:10: rancher: must be a mapping (key: value)"}},
		{file: "hostname: [a]\n", warnings: []string{":1:1: hostname: must be a host name: at most 64 letters, digits and -, with dots between them"}},
		{file: "hostname: a_b\n", warnings: []string{":1:11: hostname: must be a host name: at most 64 letters, digits and -, with dots between them"}},
		{file: "hostnme: a\n", warnings: []string{`:1:1: hostnme: unknown key (did you mean "hostname"?)`}},
		{file: "ranchr:\n  debug: true\n", warnings: []string{`:1:1: ranchr: unknown key (did you mean "rancher"?)`}},
		{file: "ssh-authorized-keys: []\n", warnings: []string{`:1:1: ssh-authorized-keys: unknown key (did you mean "ssh_authorized_keys"?)`}},
		{file: "sysctl: {a: 1}\n", warnings: []string{`:1:1: sysctl: unknown key here (did you mean "rancher.sysctl"?)`}},
		{file: "frobnicate: 1\n", warnings: []string{":1:1: frobnicate: unknown key"}},
		{file: "packages: [vim]\nfqdn: a.b\n", warnings: []string{
			":1:1: packages: unknown key: the OS image is read-only; run the program in a container",
			":2:1: fqdn: unknown key: use hostname, which may have dots"}},
		{file: "ssh_authorized_keys:\n  - AAAA\n  - ssh-rsa AAAA a\n", warnings: []string{`:2:5: ssh_authorized_keys[0]: is no public key ("ssh-ed25519 AAAA… name")`}},
		{file: "ssh_authorized_keys: [[a]]\n", warnings: []string{`:1:23: ssh_authorized_keys[0]: must be a public key ("ssh-ed25519 AAAA… name")`}},
		{file: "ssh_authorized_keys: {a: b}\n", warnings: []string{":1:1: ssh_authorized_keys: must be a list"}},
		{file: "rancher:\n  password: $1\n", warnings: []string{":2:13: rancher.password: begins with $, but is no hash as in /etc/shadow ($6$salt$digest)"}},
		{file: "rancher:\n  debug: maybe\n  state:\n    dev: sda\n    autoformat: [sda]\n    directory: ../x\n  disable: all\n  shutdown_timeout: 1\n", warnings: []string{
			":2:10: rancher.debug: must be true or false",
			":4:10: rancher.state.dev: must be a device: /dev/…, LABEL=…, UUID=…, PARTLABEL=… or PARTUUID=…, or none",
			":5:18: rancher.state.autoformat[0]: must be a disk (/dev/…)",
			":6:16: rancher.state.directory: must be a directory of the state disk",
			`:7:12: rancher.disable: must be "password" or "autologin"`,
			":8:21: rancher.shutdown_timeout: must be a whole number from 5 to 86400"}},
		{file: "users:\n  - shell: /bin/sh\n  - 7\n  - name: a\n    uid: x\n    sudo: true\n  - {name: b, shel: /bin/sh}\n", warnings: []string{
			":2:5: users[0]: lacks name",
			":3:5: users[1]: must be a mapping (name: …)",
			":5:10: users[2].uid: must be a whole number from 1 to 2147483646",
			":6:11: users[2].sudo: must be rules of sudoers such as ALL=(ALL) NOPASSWD:ALL, or false",
			`:7:15: users[3].shel: unknown key (did you mean "shell"?)`}},
		{file: "users: me\n", warnings: []string{":1:8: users: must be a list of mappings (- name: …)"}},
		{file: "groups: [{a: [1 2]}, {b: x, c: y}]\n", warnings: []string{
			":1:10: groups[0]: must be the name of a group, or name: [members]",
			":1:22: groups[1]: must be the name of a group, or name: [members]"}},
		{file: "write_files:\n  - {path: rel, permissions: 0999, encoding: rot13, owner: 'a b'}\n  - content: x\n", warnings: []string{
			":2:12: write_files[0].path: must be an absolute path",
			":2:30: write_files[0].permissions: must be permissions in octal, such as \"0644\"",
			":2:46: write_files[0].encoding: must be an encoding: plain, b64, gzip or gz+b64",
			":2:60: write_files[0].owner: must be user, user:group or numbers",
			":3:5: write_files[1]: lacks path"}},
		{file: "write_files: [{path: /a, encoding: b64, content: '#'}]\n", warnings: []string{":1:15: write_files[0]: content is not the base64 that encoding says it is"}},
		{file: "mounts:\n  - [a]\n  - [/dev/vdb, mnt, ext4, '']\n  - ['', /mnt, ext4, '']\n  - /dev/vdb\n", warnings: []string{
			":2:5: mounts[0]: must be a list: [device, path, type, options]",
			":3:5: mounts[1]: lacks an absolute path, the second of [device, path, type, options]",
			":4:5: mounts[2]: lacks the device, the first of [device, path, type, options]",
			":5:5: mounts[3]: must be a list: [device, path, type, options]"}},
		{file: "runcmd: [{a: b}, '', []]\n", warnings: []string{
			":1:10: runcmd[0]: must be a command: a line for the shell, or a list of words",
			":1:18: runcmd[1]: must be a command: a line for the shell, or a list of words",
			":1:22: runcmd[2]: must be a command: a line for the shell, or a list of words"}},
		{file: "swap: {size: huge, maxsize: 99999999T}\nmanage_etc_hosts: maybe\n", warnings: []string{
			":1:14: swap.size: must be a size: a number of bytes, 512M, 1G, or auto",
			":1:29: swap.maxsize: must be a size: a number of bytes, 512M, 1G, or auto",
			":2:19: manage_etc_hosts: must be true, false or localhost"}},
		{file: "rancher:\n  network:\n    dns: {nameservers: [1.1.1.1, dns.example.com]}\n    interfaces:\n      eth0: {address: 10.0.0.1, gateway: '::1', mtu: 9, routes: [{via: 10.0.0.1}]}\n      eth1: yes\n", warnings: []string{
			":3:34: rancher.network.dns.nameservers[1]: must be an IP address",
			":5:23: rancher.network.interfaces.eth0.address: must be an address with the length of its network: 192.168.1.10/24",
			":5:42: rancher.network.interfaces.eth0.gateway: must be an IPv4 address",
			":5:54: rancher.network.interfaces.eth0.mtu: must be a whole number from 68 to 65535",
			":5:66: rancher.network.interfaces.eth0.routes[0]: lacks to",
			":6:13: rancher.network.interfaces.eth1: must be a mapping (key: value)"}},
		{file: "rancher:\n  sysctl: {../x: 1, a b: 2, ok: [1]}\n  services: {a: nginx}\n  services_include: {a: perhaps}\n", warnings: []string{
			":2:12: rancher.sysctl.../x: the key must be a kernel setting: net.ipv4.ip_forward",
			":2:21: rancher.sysctl.a b: the key must be a kernel setting: net.ipv4.ip_forward",
			":2:29: rancher.sysctl.ok: must be one line of text",
			":3:17: rancher.services.a: must be a mapping (image: …)",
			":4:25: rancher.services_include.a: must be true or false"}},
		{file: "rancher: {cloud_init: {datasources: [ec3, url, 'file:/a']}}\n", warnings: []string{
			`:1:38: rancher.cloud_init.datasources[0]: unknown datasource (did you mean "ec2"?)`,
			":1:43: rancher.cloud_init.datasources[1]: lacks what to read: url:…"}},
		{file: "ca_certs: {trusted: [\"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n\"]}\n", warnings: []string{
			":1:22: ca_certs.trusted[0]: must be a certificate in PEM (-----BEGIN CERTIFICATE-----)"}},
	} {
		t.Run(fmt.Sprintf("%.40q", tt.file), func(t *testing.T) {
			_, warnings := config.Load(config.Layer{Name: "c.yml", Data: []byte(tt.file)})
			var got []string
			for _, w := range warnings {
				if w.Severity != config.Wrong {
					t.Errorf("%v is %s, want wrong", w, w.Severity)
				}
				got = append(got, strings.TrimPrefix(w.String(), "c.yml"))
			}
			if diff := cmp.Diff(tt.warnings, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNotes is what only Validate says; the examples show the rest.
func TestNotes(t *testing.T) {
	for file, want := range map[string]string{
		"rancher: {console: ubuntu}":              "",
		"swap: {filename: /a}":                    "note: c.yml:1: swap.filename: has no effect without swap.size",
		"power_state: {delay: now}":               "note: c.yml:1: power_state.delay: has no effect without power_state.mode",
		"rancher: {password: '!'}":                "",
		"#!/bin/sh\necho\n":                       "wrong: c.yml:1: is a script, not a cloud-config",
		"hostname: a\nrancher: {rngd: true}":      `wrong: c.yml:2:11: rancher.rngd: unknown key here (did you mean "rancher.state.rngd"?)`,
		"rancher: {password: x, state: {dev: x}}": "unwise: c.yml:1:21: rancher.password: is a password in clear; a hash says the same to nobody else (mkpasswd -m yescrypt, or openssl passwd -6)\nnote: c.yml:1:24: rancher.state: has an effect only on the kernel command line: the boot needs it before it can read this file\nwrong: c.yml:1:37: rancher.state.dev: must be a device: /dev/…, LABEL=…, UUID=…, PARTLABEL=… or PARTUUID=…, or none",
	} {
		var got []string
		for _, w := range config.Validate("c.yml", []byte(file)) {
			got = append(got, string(w.Severity)+": "+w.String())
		}
		if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", file, diff)
		}
	}
}

// A mistake must not cost what stands around it.
func TestRestCounts(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"hostname: a b\nnonsense: 1\nrancher:\n  debug: perhaps\n  password: secret\n", "rancher:\n  password: secret\n"},
		{"ssh_authorized_keys: [x, ssh-rsa AAAA a, '']\n", "ssh_authorized_keys:\n  - ssh-rsa AAAA a\n"},
		{"users: [{name: a, uid: x}, {name: b, ssh_authorized_keys: [x, ssh-rsa AAAA b]}]\n", "users:\n  - name: b\n    ssh_authorized_keys:\n      - ssh-rsa AAAA b\n"},
		{"write_files: [{path: /a, permissions: rw}, {path: /b, content: b}]\n", "write_files:\n  - path: /b\n    content: b\n"},
		{"mounts: [[/dev/vdb], [/dev/vdc, /mnt]]\n", "mounts:\n  - [/dev/vdc, /mnt, auto, \"\"]\n"},
		{"rancher: {network: {interfaces: {eth0: {mtu: 1, address: 10.0.0.1/8}, eth1: 7, eth2: {}}}}\n",
			"rancher:\n  network:\n    interfaces:\n      eth0:\n        address: 10.0.0.1/8\n      eth2: {}\n"},
		{"groups: {a: [b], 'c d': [], e: }\n", "groups:\n  - a: [b]\n  - e\n"},
	} {
		cfg, _ := config.Load(config.Layer{Name: "c.yml", Data: []byte(tt.file)})
		if diff := cmp.Diff("#cloud-config\n"+tt.want, document(t, cfg)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.file, diff)
		}
	}
}

// What a file of 1 MiB can hold must not become more than memory holds.
func TestBombs(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		fmt.Fprintf(&laughs, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i, i)
	}
	long := strings.Repeat("x", 100_000)
	for name, file := range map[string]string{
		"laughs in a service":       laughs.String() + "rancher: {services: {a: {b: *a9}}}\n",
		"laughs in a list":          laughs.String() + "rancher: {modules: *a9}\n",
		"one long text, many times": "hostname: &a " + long + "\nrancher: {modules: [" + strings.Repeat("*a,", 100_000) + "]}\n",
		"likewise in a service":     "hostname: &a " + long + "\nrancher: {services: {a: {b: [" + strings.Repeat("*a,", 100_000) + "]}}}\n",
		"a mapping in itself":       "rancher: &r {services: {a: *r}}\n",
		"deep":                      "rancher: {services: {a: " + strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000) + "}}\n",
		"many faults":               strings.Repeat("? [a]\n: b\n", 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			cfg, warnings := config.Load(config.Layer{Name: "c.yml", Data: []byte(file)})
			if len(warnings) == 0 || len(warnings) > 52 {
				t.Errorf("%d warnings, want some, at most 52", len(warnings))
			}
			if size := len(document(t, cfg)); size > 8<<20 {
				t.Errorf("the config has %d bytes", size)
			}
		})
	}
}

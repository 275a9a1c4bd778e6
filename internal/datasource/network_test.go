package datasource_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/datasource"
)

func TestNetwork(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name    string
		file    string // network-config, or network_data.json if it begins with "{"
		want    config.Network
		notes   []string
		nothing bool
	}{
		{name: "version 1: static, with everything", file: `
version: 1
config:
  - type: physical
    name: eth0
    mac_address: "52:54:00:12:34:AB"
    mtu: 9000
    subnets:
      - type: static
        address: 192.0.2.7
        netmask: 255.255.255.0
        gateway: 192.0.2.1
        dns_nameservers: [192.0.2.53, 2001:db8::53]
        dns_search: example.org
        routes:
          - {network: 10.1.0.0, netmask: 255.255.0.0, gateway: 192.0.2.2}
          - {destination: 10.2.0.0/16, gateway: 192.0.2.3, metric: 5}
      - {type: static6, address: "2001:db8::7/64", gateway: "2001:db8::1"}
  - {type: physical, name: eth1, subnets: [{type: dhcp4}]}
  - {type: physical, name: eth2, subnets: [{type: manual}]}
  - {type: loopback, name: lo}
  - {type: nameserver, address: 192.0.2.53 192.0.2.54, search: [example.org, example.net]}
  - {type: route, destination: 10.3.0.0/16, gateway: 192.0.2.9}
`, want: config.Network{
			DNS: config.DNS{Nameservers: []string{"192.0.2.53", "2001:db8::53", "192.0.2.54"}, Search: []string{"example.org", "example.net"}},
			Interfaces: map[string]config.Interface{
				"eth0": {Match: "mac=52:54:00:12:34:ab", DHCP: &no, MTU: 9000, Addresses: []string{"192.0.2.7/24", "2001:db8::7/64"},
					Gateway: "192.0.2.1", GatewayIPv6: "2001:db8::1", Routes: []config.Route{
						{To: "10.1.0.0/16", Via: "192.0.2.2"}, {To: "10.2.0.0/16", Via: "192.0.2.3", Metric: 5}, {To: "10.3.0.0/16", Via: "192.0.2.9"}}},
				"eth1": {DHCP: &yes},
				"eth2": {DHCP: &no},
			}}},
		{name: "version 1: what no network can be like", file: `
version: 1
config:
  - {type: physical, name: "a\tb", subnets: [{type: dhcp}]}
  - {type: physical, name: eth0, mtu: 5, subnets: [{type: static, address: 192.0.2.7/24, routes: [{network: 10.0.0.0/8, gateway: 192.0.2.1, metric: -1}]}]}
  - {type: nameserver, address: 192.0.2.53, search: [example.org, a@b]}
`, want: config.Network{
			DNS:        config.DNS{Nameservers: []string{"192.0.2.53"}, Search: []string{"example.org"}},
			Interfaces: map[string]config.Interface{"eth0": {DHCP: &no, Addresses: []string{"192.0.2.7/24"}}},
		}, notes: []string{
			`search domain "a@b" is none`,
			`link "a\tb" is left out: that is no name`,
			`"eth0": its mtu cannot be 5`,
			`"eth0": the route to 10.0.0.0/8 is left out: its metric cannot be -1`,
		}},
		{name: "version 1: what cannot be", file: `
network:
  version: 1
  config:
    - {type: bond, name: bond0}
    - {type: physical, subnets: [{type: dhcp}]}
    - type: physical
      name: eth0
      mac_address: here
      subnets:
        - {type: static, address: there, gateway: nowhere}
        - {type: static, address: 192.0.2.7, netmask: 255.0.255.0}
        - {type: static, address: "2001:db8::1/129"}
        - {type: ppp}
    - {type: nameserver, address: dns.example.org}
    - {type: route, destination: 10.0.0.0/8, gateway: 192.0.2.1}
`, want: config.Network{Interfaces: map[string]config.Interface{"eth0": {DHCP: &no}}},
			notes: []string{
				`"bond0" is left out: type bond is not supported`,
				`a link without a name is left out`,
				`"eth0": "here" is not a hardware address`,
				`"eth0": "there" is not an IP address`,
				`"eth0": gateway "nowhere" is not an IP address`,
				`"eth0": "255.0.255.0" is not the mask of an address such as 192.0.2.7`,
				`"eth0": "129" is not the mask of an address such as 2001:db8::1`,
				`"eth0": a subnet of type ppp is not supported`,
				`name server "dns.example.org" is not an IP address`,
				`route to "10.0.0.0/8" is left out: no link reaches "192.0.2.1"`,
			}},
		{name: "version 1: disabled", file: "version: 1\nconfig: disabled\n", nothing: true},
		{name: "version 2", file: `
network:
  version: 2
  renderer: networkd
  ethernets:
    lan:
      match: {macaddress: "52:54:00:00:00:01"}
      set-name: lan0
      dhcp4: true
      dhcp6: true
      mtu: 1400
    eth1:
      addresses: [192.0.2.7/24, "2001:db8::7/64": {lifetime: 0}]
      gateway4: 192.0.2.1
      gateway6: "2001:db8::1"
      nameservers: {addresses: [192.0.2.53], search: [example.org]}
      routes:
        - {to: 10.0.0.0/8, via: 192.0.2.2, metric: 7}
        - {to: default, via: 192.0.2.9}
    others:
      match: {name: "en*"}
    eth3:
      addresses: [198.51.100.7/24]
      routes: [{to: default, via: 198.51.100.1}, {to: "::/0", via: "fe80::1"}]
    eth4:
      addresses: [203.0.113.7/24]
      dhcp4: true
      routes: [{to: 0.0.0.0/0, via: 203.0.113.1, metric: 200}]
`, want: config.Network{
			DNS: config.DNS{Nameservers: []string{"192.0.2.53"}, Search: []string{"example.org"}},
			Interfaces: map[string]config.Interface{
				"lan": {Match: "mac=52:54:00:00:00:01", DHCP: &yes, MTU: 1400},
				"eth1": {DHCP: &no, Addresses: []string{"192.0.2.7/24", "2001:db8::7/64"}, Gateway: "192.0.2.1", GatewayIPv6: "2001:db8::1",
					Routes: []config.Route{{To: "10.0.0.0/8", Via: "192.0.2.2", Metric: 7}}},
				"others": {Match: "en*", DHCP: &no},
				"eth3":   {DHCP: &no, Addresses: []string{"198.51.100.7/24"}, Gateway: "198.51.100.1", GatewayIPv6: "fe80::1"},
				"eth4": {DHCP: &yes, Addresses: []string{"203.0.113.7/24"},
					Routes: []config.Route{{To: "0.0.0.0/0", Via: "203.0.113.1", Metric: 200}}},
			}}},
		{name: "version 2: what cannot be", file: `
version: 2
ethernets:
  eth0: {match: {driver: virtio_net}}
  eth1: {routes: [{to: 10.0.0.0/8, via: there}]}
bonds: {bond0: {interfaces: [eth0]}}
bridges: {br0: {}}
vlans: {v1: {id: 1}}
wifis: {wlan0: {}}
`, want: config.Network{Interfaces: map[string]config.Interface{"eth1": {DHCP: &no}}},
			notes: []string{
				`"eth0" is left out: links cannot be told by their driver; use match: macaddress or name`,
				`"eth1": next hop "there" is not an IP address`,
				`"bond0" is left out: bonds are not supported`,
				`"br0" is left out: bridges are not supported`,
				`"v1" is left out: VLANs are not supported`,
				`"wlan0" is left out: Wi-Fi networks are not supported`,
			}},
		{name: "does not parse", file: "network: [\n", nothing: true,
			notes: []string{"network-config line 1: is not valid YAML: did not find expected node content"}},
		{name: "of the wrong type", file: "version: 2\nethernets: {eth0: {addresses: [[a]]}}\n", nothing: true,
			notes: []string{"network-config: yaml: construct errors:\n  line 2: line 2: not an address"}},
		{name: "OpenStack", file: `{
"links": [
  {"id": "tap1", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:01", "mtu": 1450, "vif_id": "x"},
  {"id": "tap2", "type": "phy", "ethernet_mac_address": "fa:16:3e:00:00:02", "mtu": null},
  {"id": "bond0", "type": "bond", "bond_links": ["tap1"]},
  {"id": "tap3", "type": "phy"}],
"networks": [
  {"id": "n0", "type": "ipv4", "link": "tap1", "ip_address": "192.0.2.7", "netmask": "255.255.255.0",
   "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}, {"network": "10.0.0.0", "netmask": "255.0.0.0", "gateway": "192.0.2.2"}],
   "services": [{"type": "dns", "address": "192.0.2.53"}]},
  {"id": "n1", "type": "ipv6", "link": "tap1", "ip_address": "2001:db8::7", "netmask": "ffff:ffff:ffff:ffff::", "gateway": "2001:db8::1"},
  {"id": "n2", "type": "ipv4_dhcp", "link": "tap2"},
  {"id": "n3", "type": "ipv4_dhcp", "link": "bond0"},
  {"id": "n4", "type": "ipv4_dhcp", "link": "none"},
  {"id": "n5", "type": "ipv4", "link": "tap2", "ip_address": "x"}],
"services": [{"type": "dns", "address": "192.0.2.53"}, {"type": "dns", "address": "x"}, {"type": "ntp", "address": "192.0.2.1"}]}`,
			want: config.Network{
				DNS: config.DNS{Nameservers: []string{"192.0.2.53"}},
				Interfaces: map[string]config.Interface{
					"tap1": {Match: "mac=fa:16:3e:00:00:01", DHCP: &no, MTU: 1450, Addresses: []string{"192.0.2.7/24", "2001:db8::7/64"},
						Gateway: "192.0.2.1", GatewayIPv6: "2001:db8::1", Routes: []config.Route{{To: "10.0.0.0/8", Via: "192.0.2.2"}}},
					"tap2": {Match: "mac=fa:16:3e:00:00:02", DHCP: &yes},
				}},
			notes: []string{
				`link "bond0" is left out: bonds are not supported`,
				`link "tap3" is left out: "" is not a hardware address`,
				`network "n4" is left out: there is no link "none"`,
				`network "n5": "x" is not an IP address`,
				`name server "x" is not an IP address`,
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, named := datasource.Machine{Disks: cidata("network-config", tt.file)}, "nocloud"
			if strings.HasPrefix(tt.file, "{") {
				m.Disks = fakeVolumes{{Label: "config-2"}: files("openstack/latest/meta_data.json", "{}", "openstack/latest/network_data.json", tt.file)}
				named = "configdrive"
			}
			data, err := oneSource(t, m, named).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var notes []string
			for _, n := range data.Notes {
				notes = append(notes, strings.TrimPrefix(n, "network: "))
			}
			if diff := cmp.Diff(tt.notes, notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			if tt.nothing != (len(data.Network) == 0) {
				t.Errorf("network is %q", data.Network)
			}
			if diff := cmp.Diff(tt.want, load(t, data.Network)); diff != "" {
				t.Errorf("rancher.network (-want +got):\n%s", diff)
			}
		})
	}
}

// load is a network as the config takes it.
func load(t *testing.T, network []byte) config.Network {
	t.Helper()
	empty, _ := config.Load()
	if len(network) == 0 {
		return empty.Rancher.Network
	}
	text := "rancher:\n  network:\n    " + strings.ReplaceAll(strings.TrimSpace(string(network)), "\n", "\n    ") + "\n"
	cfg, warnings := config.Load(config.Layer{Name: "network", Data: []byte(text)})
	for _, w := range warnings {
		t.Errorf("the config does not take it: %s", w)
	}
	return cfg.Rancher.Network
}

// FuzzNetwork: whatever is in the files, no panic, and the config takes what
// comes out.
func FuzzNetwork(f *testing.F) {
	f.Add("version: 1\nconfig: [{type: physical, name: eth0, subnets: [{type: static, address: 192.0.2.7/24, gateway: 192.0.2.1}]}]\n")
	f.Add("network: {version: 2, ethernets: {a: {match: {name: x}, addresses: [192.0.2.7/24], routes: [{to: default, via: 192.0.2.1}]}}}\n")
	f.Add(`{"links": [{"id": "a", "ethernet_mac_address": "fa:16:3e:00:00:01"}], "networks": [{"link": "a", "ip_address": "::1", "netmask": "64"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, named := datasource.Machine{Disks: cidata("network-config", text), Root: "/nonexistent"}, "nocloud"
		if strings.HasPrefix(text, "{") {
			m.Disks = fakeVolumes{{Label: "config-2"}: files("openstack/latest/meta_data.json", "{}", "openstack/latest/network_data.json", text)}
			named = "configdrive"
		}
		sources, _ := datasource.Detect(m, []string{named})
		data, err := sources[0].Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		load(t, data.Network)
	})
}

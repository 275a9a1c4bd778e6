package netconf_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/netconf"
	"github.com/rosteros/ros/internal/reaper"
)

func TestPick(t *testing.T) {
	match := func(m string) config.Interface { return config.Interface{Match: m} }
	eth0 := netconf.Link{Name: "eth0", MAC: "52:54:00:12:34:56"}
	for _, tt := range []struct {
		name       string
		interfaces map[string]config.Interface
		link       netconf.Link
		want       string // "": none
	}{
		{"nothing", nil, eth0, ""},
		{"name", map[string]config.Interface{"eth0": {}, "eth1": {}}, eth0, "eth0"},
		{"pattern", map[string]config.Interface{"eth*": {}}, eth0, "eth*"},
		{"name before pattern", map[string]config.Interface{"eth*": {}, "eth0": {}, "e????????*": {}}, eth0, "eth0"},
		{"name in match", map[string]config.Interface{"eth0*": {}, "lan": match("eth0")}, eth0, "lan"},
		{"the key counts only without match", map[string]config.Interface{"eth0": match("eth1")}, eth0, ""},
		{"MAC before name", map[string]config.Interface{"eth0": {}, "lan": match("mac=52:54:00:12:34:56")}, eth0, "lan"},
		{"MAC as pattern, in capitals, with a colon", map[string]config.Interface{"lan": match("MAC:52:54:00:12:34:*")}, eth0, "lan"},
		{"another MAC", map[string]config.Interface{"lan": match("mac=52:54:00:12:34:57")}, eth0, ""},
		{"longer MAC pattern", map[string]config.Interface{"a": match("mac=52:*"), "b": match("mac=52:54:*")}, eth0, "b"},
		{"longer pattern", map[string]config.Interface{"*": {}, "e*": {}, "et*": {}}, eth0, "et*"},
		{"of equal length the first", map[string]config.Interface{"e*h0": {}, "et*0": {}}, eth0, "e*h0"},
		{"no pattern", map[string]config.Interface{"eth[": {}}, eth0, ""},
		{"a VLAN has the MAC of its card", map[string]config.Interface{"lan": match("mac=52:54:*")}, netconf.Link{Name: "eth0.5", MAC: eth0.MAC, Kind: "vlan"}, ""},
		{"a VLAN by pattern", map[string]config.Interface{"eth0.*": {}}, netconf.Link{Name: "eth0.5", MAC: eth0.MAC, Kind: "vlan"}, "eth0.*"},
		{"a container's end", map[string]config.Interface{"*": {}}, netconf.Link{Name: "veth1", Kind: "veth"}, ""},
		{"a bridge by pattern", map[string]config.Interface{"*": {}}, netconf.Link{Name: "docker0", Kind: "bridge"}, ""},
		{"a bridge by name", map[string]config.Interface{"br0": {}}, netconf.Link{Name: "br0", Kind: "bridge"}, "br0"},
		{"loopback by pattern", map[string]config.Interface{"l*": {}}, netconf.Link{Name: "lo", Loop: true}, ""},
		{"loopback by name", map[string]config.Interface{"lo": {}}, netconf.Link{Name: "lo", Loop: true}, "lo"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if key, found := netconf.Pick(tt.interfaces, tt.link); key != tt.want || found != (tt.want != "") {
				t.Errorf("pick() = %q, %v; want %q", key, found, tt.want)
			}
		})
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func via(to, hop string, metric int) netconf.Route {
	r := netconf.Route{To: netip.MustParsePrefix(to), Metric: metric}
	if hop != "" {
		r.Via = netip.MustParseAddr(hop)
	}
	return r
}

func TestWant(t *testing.T) {
	up := []config.Command{{Line: "true"}}
	for _, tt := range []struct {
		name    string
		in      config.Interface
		link    netconf.Link
		want    netconf.Wanted
		wantErr string
	}{
		{"nothing said", config.Interface{}, netconf.Link{Index: 2}, netconf.Wanted{DHCP: true}, ""},
		{"no DHCP", config.Interface{DHCP: new(false)}, netconf.Link{Index: 2}, netconf.Wanted{}, ""},
		{"only IPv4LL", config.Interface{DHCP: new(false), IPv4LL: true}, netconf.Link{Index: 2}, netconf.Wanted{IPv4LL: true}, ""},
		{"loopback asks for nothing", config.Interface{IPv4LL: true}, netconf.Link{Index: 1, Loop: true}, netconf.Wanted{}, ""},
		{"all", config.Interface{
			Address: "192.0.2.7/24", Addresses: []string{"192.0.2.8/24", "192.0.2.7/24", "2001:db8::7/64"}, DHCP: new(true), IPv4LL: true,
			Gateway: "192.0.2.1", GatewayIPv6: "fe80::1", MTU: 1400, PreUp: up, PostUp: up,
			Routes: []config.Route{{To: "10.1.2.3/8", Via: "192.0.2.2", Metric: 5}, {To: "198.51.100.0/24"}},
		}, netconf.Link{Index: 3}, netconf.Wanted{
			DHCP: true, MTU: 1400, PreUp: up, PostUp: up, Addresses: prefixes("192.0.2.7/24", "192.0.2.8/24", "2001:db8::7/64"),
			Routes: []netconf.Route{via("0.0.0.0/0", "192.0.2.1", 103), via("::/0", "fe80::1", 103), via("10.0.0.0/8", "192.0.2.2", 5), via("198.51.100.0/24", "", 0)},
		}, ""},
		{"IPv6 address and IPv4LL", config.Interface{Address: "2001:db8::7/64", IPv4LL: true}, netconf.Link{Index: 2},
			netconf.Wanted{Addresses: prefixes("2001:db8::7/64"), IPv4LL: true}, ""},
		{"nonsense leaves the rest", config.Interface{
			Address: "192.0.2.7", Addresses: []string{"192.0.2.8/24"}, Gateway: "gate",
			Routes: []config.Route{{To: "ten"}, {To: "10.0.0.0/8", Via: "x"}, {To: "10.0.0.0/8", Via: "fe80::1"}, {To: "10.0.0.0/8"}},
		}, netconf.Link{Index: 2}, netconf.Wanted{Addresses: prefixes("192.0.2.8/24"), Routes: []netconf.Route{via("10.0.0.0/8", "", 0)}},
			`rancher.network.interfaces.lan.address: "192.0.2.7": not an address with the length of its network, such as 192.168.1.10/24
rancher.network.interfaces.lan.gateway: "gate": not an address
rancher.network.interfaces.lan.routes: "ten": not a network, such as 10.0.0.0/8
rancher.network.interfaces.lan.routes: "10.0.0.0/8": via "x" is not an address
rancher.network.interfaces.lan.routes: "10.0.0.0/8": via fe80::1 is of the other kind of IP`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Key = "lan"
			got, err := netconf.Want("lan", tt.in, tt.link)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("want() (-want +got):\n%s", diff)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff(tt.wantErr, text); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDirect(t *testing.T) {
	w := netconf.Wanted{Addresses: prefixes("192.0.2.7/24", "2001:db8::7/64", "203.0.113.9/32")}
	for hop, want := range map[string]bool{
		"192.0.2.1": false, "192.0.3.1": true, "203.0.113.1": true, "2001:db8::1": false, "2001:db9::1": true, "fe80::1": false, "": false,
	} {
		if got := w.Direct(via("0.0.0.0/0", hop, 0)); got != want {
			t.Errorf("direct(%q) = %v, want %v", hop, got, want)
		}
	}
}

// TestDHCPCDConf is with the options of the image.
func TestDHCPCDConf(t *testing.T) {
	base, err := os.ReadFile("../../images/network/rootfs/etc/dhcpcd.conf")
	if err != nil {
		t.Fatal(err)
	}
	got := netconf.DHCPCDConf(base, map[string]netconf.Wanted{
		"eth10": {DHCP: true},
		"eth0":  {DHCP: true, IPv4LL: true},
		"eth1":  {IPv4LL: true},
		"eth2":  {DHCP: true, MTU: 1400},
	})
	const want = `
# Written by ros-netconf from rancher.network.interfaces.
allowinterfaces eth0 eth1 eth2 eth10

interface eth1
nodhcp
noipv6

interface eth2
noarp
nooption interface_mtu

interface eth10
noarp
`
	added := got[len(got)-len(want):]
	if diff := cmp.Diff(want, string(added)); diff != "" {
		t.Errorf("end of dhcpcd.conf (-want +got):\n%s", diff)
	}
	rest := string(base)
	for _, line := range []string{"allowinterfaces eth* en*\n", "noarp\n"} {
		before, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("the image's dhcpcd.conf does not say %q", line)
		}
		rest = before + after
	}
	if diff := cmp.Diff(rest, string(got[:len(got)-len(want)])); diff != "" {
		t.Errorf("beginning of dhcpcd.conf (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("one\n\n# Written by ros-netconf from rancher.network.interfaces.\ndenyinterfaces *\n", string(netconf.DHCPCDConf([]byte("one\n"), nil))); diff != "" {
		t.Errorf("for no links (-want +got):\n%s", diff)
	}
}

func TestCommand(t *testing.T) {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	for _, tt := range []struct {
		iface string
		in    config.Command
		want  reaper.Command
	}{
		{"", config.Command{Line: "echo $x"}, reaper.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "echo $x"}, Env: env, Dir: "/"}},
		{"eth0", config.Command{Line: "echo $iface"}, reaper.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "echo $iface"}, Env: append(env[:3:3], "iface=eth0"), Dir: "/"}},
		{"eth0", config.Command{Words: []string{"ip", "link", "set", "$iface", "x${iface}y", "$HOME"}},
			reaper.Command{Path: "/usr/bin/env", Args: []string{"env", "ip", "link", "set", "eth0", "xeth0y", "$HOME"}, Env: append(env[:3:3], "iface=eth0"), Dir: "/"}},
	} {
		if diff := cmp.Diff(tt.want, netconf.Command(tt.iface, tt.in)); diff != "" {
			t.Errorf("command(%q, %+v) (-want +got):\n%s", tt.iface, tt.in, diff)
		}
	}
}

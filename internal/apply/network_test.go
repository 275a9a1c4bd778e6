package apply_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

const networkFile = "run/ros/config/network/network.json"

func TestNetworkNameServers(t *testing.T) {
	b := newBox(t)
	restarts := func(did ...string) apply.Outcome {
		return apply.Outcome{Did: did, Restart: []string{"network"}}
	}
	const file, fallback = "run/ros/config/network/resolv.conf", "run/ros/config/network/resolv.conf.default"
	b.expect(apply.Network, load(t, ""), restarts("name servers for when there are no others are new"), "")
	b.want(map[string]string{networkFile: "(none)", file: "(none)", fallback: "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"})

	const dns = "rancher: {network: {dns: {nameservers: [10.0.2.53, \"2001:db8::53\"], search: [lan, example.com]}}}\n"
	b.expect(apply.Network, load(t, dns), restarts("name servers of the config are new"), "")
	b.want(map[string]string{networkFile: "(none)", file: "search lan example.com\nnameserver 10.0.2.53\nnameserver 2001:db8::53\n"})

	b.expect(apply.Network, load(t, ""), restarts("name servers of the config are new"), "")
	b.want(map[string]string{file: "(none)"})

	b.expect(apply.Network, config.Config{}, restarts("name servers for when there are no others are new"), "")
	b.want(map[string]string{fallback: "(none)"})
}

// TestNetworkDefaults is what counts where neither the config nor the network
// says anything.
func TestNetworkDefaults(t *testing.T) {
	b := newBox(t)
	const text = `
rancher:
  defaults: {network: {dhcp_timeout: 7, dns: {nameservers: [10.0.2.54], search: [default.test]}}}
  network: {interfaces: {eth0: {dhcp: true}}}
`
	b.expect(apply.Network, load(t, text), apply.Outcome{
		Did:     []string{"links are being set up as the config says: ros service ps network shows when they are", "name servers for when there are no others are new"},
		Restart: []string{"network"},
	}, "")
	b.want(map[string]string{"run/ros/config/network/resolv.conf.default": "search default.test\nnameserver 10.0.2.54\n"})
	var got config.Network
	if err := json.Unmarshal([]byte(b.read(networkFile)), &got); err != nil || got.DHCPTimeoutSeconds != 7 {
		t.Errorf("dhcp_timeout is %d, %v; want 7, that of the defaults", got.DHCPTimeoutSeconds, err)
	}
}

func TestNetworkLinks(t *testing.T) {
	b := newBox(t)
	const usual = "rancher: {network: {http_proxy: \"http://me:secret@proxy:3128\"}}\n"
	const static = `
rancher:
  network:
    http_proxy: http://me:secret@proxy:3128
    pre_cmds: [modprobe x]
    interfaces:
      eth0: {address: 192.0.2.7/24, gateway: 192.0.2.1, routes: [{to: 10.0.0.0/8, via: 192.0.2.2}]}
      any: {match: "mac=52:54:*", dhcp: true, post_up: [[ip, link, show, $iface]]}
`
	links := apply.Outcome{Did: []string{"links are being set up as the config says: ros service ps network shows when they are"}, Restart: []string{"network"}}
	if _, err := b.apply(apply.Network, new(load(t, usual))); err != "" {
		t.Fatal(err)
	}
	b.want(map[string]string{networkFile: "(none)"})

	b.expect(apply.Network, load(t, static), links, "")
	var got config.Network
	if err := json.Unmarshal([]byte(b.read(networkFile)), &got); err != nil {
		t.Fatal(err)
	}
	want := config.Network{
		PreCmds:            []config.Command{{Line: "modprobe x"}},
		DHCPTimeoutSeconds: 10,
		Interfaces: map[string]config.Interface{
			"eth0": {Address: "192.0.2.7/24", Gateway: "192.0.2.1", Routes: []config.Route{{To: "10.0.0.0/8", Via: "192.0.2.2"}}},
			"any":  {Match: "mac=52:54:*", DHCP: new(true), PostUp: []config.Command{{Words: []string{"ip", "link", "show", "$iface"}}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", networkFile, diff)
	}
	if info, err := os.Stat(b.Path(networkFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want mode 0600", networkFile, info, err)
	}

	b.expect(apply.Network, load(t, usual), links, "")
	b.want(map[string]string{networkFile: "(none)"})
}

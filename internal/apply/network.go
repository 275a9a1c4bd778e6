package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/rosteros/ros/config"
)

// What the service network reads when it starts.
const (
	networkDir      = "run/ros/config/network"
	networkSettings = networkDir + "/network.json"        // for ros-netconf; only if the config says something about links
	networkDNS      = networkDir + "/resolv.conf"         // name servers that go before those of DHCP
	networkFallback = networkDir + "/resolv.conf.default" // and those for when there are no others
)

// Network hands the service network what the config says about links and name
// servers. What was set up before and is no longer wanted the service takes
// back itself when it starts. Proxies are for Environment and Docker.
func Network(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	settings, err := linkSettings(cfg)
	if err != nil {
		return Outcome{}, fmt.Errorf("rancher.network: %w", err)
	}
	var o Outcome
	var errs []error
	for _, f := range []struct {
		path, did string
		text      []byte
		perm      os.FileMode
	}{
		{networkSettings, "links are being set up as the config says: ros service ps network shows when they are", settings, 0o600}, // commands may have passwords in them
		{networkDNS, "name servers of the config are new", resolvers(cfg.Rancher.Network.DNS), 0o644},
		{networkFallback, "name servers for when there are no others are new", resolvers(cfg.Rancher.Defaults.Network.DNS), 0o644},
	} {
		changed, err := h.putOrRemove(f.path, f.text, f.perm)
		if err != nil {
			errs = append(errs, fmt.Errorf("rancher.network: %w", err))
		}
		if changed && err == nil {
			o.Did = append(o.Did, f.did)
			o.Restart = []string{"network"}
		}
	}
	return o, errors.Join(errs...)
}

// linkSettings is what ros-netconf needs to know of the config, nothing if
// there is nothing that dhcpcd does not do by itself.
func linkSettings(cfg *config.Config) ([]byte, error) {
	n := cfg.Rancher.Network
	if len(n.Interfaces) == 0 && len(n.PreCmds) == 0 && len(n.PostCmds) == 0 {
		return nil, nil
	}
	timeout := n.DHCPTimeoutSeconds
	if timeout == 0 {
		timeout = cfg.Rancher.Defaults.Network.DHCPTimeoutSeconds
	}
	return json.MarshalIndent(config.Network{
		PreCmds:            n.PreCmds,
		PostCmds:           n.PostCmds,
		DHCPTimeoutSeconds: timeout,
		Interfaces:         n.Interfaces,
	}, "", "  ")
}

// resolvers are lines of resolv.conf(5), none if nothing is said.
func resolvers(dns config.DNS) []byte {
	var b bytes.Buffer
	if len(dns.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(dns.Search, " "))
	}
	for _, server := range dns.Nameservers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	return b.Bytes()
}

// putOrRemove makes a file say a text, or makes it not be there for an empty
// one.
func (h *Host) putOrRemove(path string, text []byte, perm os.FileMode) (changed bool, err error) {
	if len(text) == 0 {
		return h.remove(path)
	}
	return h.put(path, text, perm)
}

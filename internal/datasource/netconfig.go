package datasource

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// netConfig is what sources say about rancher.network. Only what is set gets
// into the YAML: it is a layer of the config, and what it does not name is left
// to others.
type netConfig struct {
	DNS        netDNS                  `yaml:"dns,omitempty"`
	Interfaces map[string]netInterface `yaml:"interfaces,omitempty"` // by any name, if match is set
}

type netDNS struct {
	Nameservers []string `yaml:"nameservers,omitempty"`
	Search      []string `yaml:"search,omitempty"`
}

type netInterface struct {
	Match       string     `yaml:"match,omitempty"` // "mac=52:54:00:12:34:56", or a pattern of names
	DHCP        *bool      `yaml:"dhcp,omitempty"`
	Addresses   []string   `yaml:"addresses,omitempty"` // 192.0.2.7/24
	Gateway     string     `yaml:"gateway,omitempty"`
	GatewayIPv6 string     `yaml:"gateway_ipv6,omitempty"`
	Routes      []netRoute `yaml:"routes,omitempty"`
	MTU         int        `yaml:"mtu,omitempty"`
}

type netRoute struct {
	To     string `yaml:"to"` // CIDR
	Via    string `yaml:"via,omitempty"`
	Metric int    `yaml:"metric,omitempty"`
}

// yaml is the value of rancher.network; nothing when nothing is said.
func (n netConfig) yaml() ([]byte, error) {
	if len(n.Interfaces) == 0 && len(n.DNS.Nameservers) == 0 && len(n.DNS.Search) == 0 {
		return nil, nil
	}
	return yaml.Marshal(n)
}

// nameserver adds name servers that are addresses, each once.
func (n *netConfig) nameserver(addresses ...string) error {
	for _, text := range addresses {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("name server %q is not an IP address", text)
		}
		if !slices.Contains(n.DNS.Nameservers, a.String()) {
			n.DNS.Nameservers = append(n.DNS.Nameservers, a.String())
		}
	}
	return nil
}

// search adds domains, each once.
func (n *netConfig) search(domains ...string) {
	for _, d := range domains {
		if d = strings.TrimSpace(d); d != "" && !slices.Contains(n.DNS.Search, d) {
			n.DNS.Search = append(n.DNS.Search, d)
		}
	}
}

// dhcp says whether a link asks for addresses.
func (i *netInterface) dhcp(on bool) { i.DHCP = &on }

// mac makes the link that has a hardware address the one that is meant.
func (i *netInterface) mac(address string) error {
	mac, err := net.ParseMAC(address)
	if err != nil {
		return fmt.Errorf("%q is not a hardware address", address)
	}
	i.Match = "mac=" + mac.String()
	return nil
}

// address adds an address: 192.0.2.7/24, or 192.0.2.7 and a mask.
func (i *netInterface) address(text, mask string) error {
	p, err := prefix(text, mask)
	if err != nil {
		return err
	}
	if !slices.Contains(i.Addresses, p.String()) {
		i.Addresses = append(i.Addresses, p.String())
	}
	return nil
}

// gateway makes the next hop of the default route. The first one of each family
// counts: of several, cloud-init's formats name the best first.
func (i *netInterface) gateway(text string) error {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("gateway %q is not an IP address", text)
	}
	switch {
	case a.Is4() && i.Gateway == "":
		i.Gateway = a.String()
	case !a.Is4() && i.GatewayIPv6 == "":
		i.GatewayIPv6 = a.String()
	}
	return nil
}

// route adds a route; one to everywhere, without a metric, is a gateway.
func (i *netInterface) route(to, mask, via string, metric int) error {
	if to == "default" {
		to = "0.0.0.0/0"
		if strings.Contains(via, ":") {
			to = "::/0"
		}
	}
	p, err := prefix(to, mask)
	if err != nil {
		return err
	}
	p = p.Masked()
	if p.Bits() == 0 && metric == 0 && via != "" {
		return i.gateway(via)
	}
	r := netRoute{To: p.String(), Metric: metric}
	if via != "" {
		hop, err := netip.ParseAddr(via)
		if err != nil {
			return fmt.Errorf("next hop %q is not an IP address", via)
		}
		r.Via = hop.String()
	}
	if !slices.Contains(i.Routes, r) {
		i.Routes = append(i.Routes, r)
	}
	return nil
}

// prefix joins an address and its mask, which may be a length (24), a mask
// (255.255.255.0, ffff:ffff::) or stand behind the address (192.0.2.7/24).
// Without any of them the address is all there is.
func prefix(text, mask string) (netip.Prefix, error) {
	if address, behind, ok := strings.Cut(text, "/"); ok {
		text, mask = address, behind
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an IP address", text)
	}
	if mask == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	bits, err := strconv.Atoi(mask)
	if err != nil {
		m, err := netip.ParseAddr(mask)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is neither a mask nor its length", mask)
		}
		ones, size := net.IPMask(m.AsSlice()).Size()
		if size != a.BitLen() {
			return netip.Prefix{}, fmt.Errorf("%q is not the mask of an address such as %s", mask, a)
		}
		bits = ones
	}
	p := netip.PrefixFrom(a, bits)
	if !p.IsValid() {
		return netip.Prefix{}, fmt.Errorf("%q is not the mask of an address such as %s", mask, a)
	}
	return p, nil
}

// reaches tells whether a next hop is on the link.
func (i *netInterface) reaches(via string) bool {
	hop, err := netip.ParseAddr(via)
	return err == nil && slices.ContainsFunc(i.Addresses, func(text string) bool {
		p, err := netip.ParsePrefix(text)
		return err == nil && p.Contains(hop)
	})
}

package datasource

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// networkConfig reads cloud-init's network configuration, version 1 or 2, with
// or without the key network around it. Links that are made of others (bonds,
// bridges, VLANs) are left out, with a note.
func networkConfig(text []byte) (netConfig, []string, error) {
	var around struct {
		Network yaml.Node `yaml:"network"`
		Version int       `yaml:"version"`
		Config  yaml.Node `yaml:"config"`
	}
	if err := decodeYAML(text, &around); err != nil {
		return netConfig{}, nil, fmt.Errorf("network-config %w", err)
	}
	if around.Network.Kind == yaml.MappingNode {
		inner, err := yaml.Marshal(&around.Network)
		if err != nil {
			return netConfig{}, nil, fmt.Errorf("network-config: %w", err)
		}
		around.Network.Kind = 0
		text = inner
		if err := decodeYAML(text, &around); err != nil {
			return netConfig{}, nil, fmt.Errorf("network-config %w", err)
		}
	}
	c := converter{n: netConfig{Interfaces: make(map[string]netInterface)}}
	var err error
	switch {
	case around.Version == 1 && around.Config.Kind == yaml.ScalarNode && around.Config.Value == "disabled":
	case around.Version == 1:
		err = c.version1(&around.Config)
	case around.Version == 2:
		err = c.version2(text)
	default:
		err = errors.New("version is neither 1 nor 2")
	}
	if err != nil {
		return netConfig{}, nil, fmt.Errorf("network-config: %w", err)
	}
	return c.n, c.notes, nil
}

// converter makes rancher.network of one of cloud-init's formats.
type converter struct {
	n     netConfig
	notes []string
}

func (c *converter) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// words is a text, several in one with spaces or commas, or a list of them.
type words []string

// UnmarshalYAML takes any of the notations.
func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = strings.FieldsFunc(n.Value, func(r rune) bool { return r == ' ' || r == ',' })
		return nil
	}
	var list []string
	if err := n.Decode(&list); err != nil {
		return err
	}
	*w = list
	return nil
}

// v1Item is an entry of version 1.
type v1Item struct {
	Type        string     `yaml:"type"`
	Name        string     `yaml:"name"`
	MAC         string     `yaml:"mac_address"`
	MTU         int        `yaml:"mtu"`
	Subnets     []v1Subnet `yaml:"subnets"`
	Address     words      `yaml:"address"` // of a nameserver
	Search      words      `yaml:"search"`
	Destination string     `yaml:"destination"` // of a route
	Netmask     string     `yaml:"netmask"`
	Gateway     string     `yaml:"gateway"`
	Metric      int        `yaml:"metric"`
}

type v1Subnet struct {
	Type        string `yaml:"type"`
	Address     string `yaml:"address"`
	Netmask     string `yaml:"netmask"`
	Gateway     string `yaml:"gateway"`
	Nameservers words  `yaml:"dns_nameservers"`
	Search      words  `yaml:"dns_search"`
	Routes      []struct {
		Network     string `yaml:"network"`
		Destination string `yaml:"destination"`
		Netmask     string `yaml:"netmask"`
		Gateway     string `yaml:"gateway"`
		Metric      int    `yaml:"metric"`
	} `yaml:"routes"`
}

func (c *converter) version1(list *yaml.Node) error {
	var items []v1Item
	if err := list.Decode(&items); err != nil {
		return err
	}
	var routes []v1Item
	for _, item := range items {
		switch item.Type {
		case "physical":
			c.v1Link(item)
		case "loopback":
		case "nameserver":
			if err := c.n.nameserver(item.Address...); err != nil {
				c.note("%v", err)
			}
			c.n.search(item.Search...)
		case "route":
			routes = append(routes, item)
		default:
			c.note("%q is left out: type %s is not supported", item.Name, item.Type)
		}
	}
	for _, r := range routes {
		c.v1Route(r)
	}
	return nil
}

// v1Link adds a link.
func (c *converter) v1Link(item v1Item) {
	i := netInterface{MTU: item.MTU}
	try := func(err error) {
		if err != nil {
			c.note("%q: %v", item.Name, err)
		}
	}
	if item.Name == "" {
		c.note("a link without a name is left out")
		return
	}
	if item.MAC != "" {
		try(i.mac(item.MAC))
	}
	i.dhcp(false)
	for _, s := range item.Subnets {
		switch s.Type {
		case "dhcp", "dhcp4", "dhcp6", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless", "ipv6_slaac":
			i.dhcp(true)
		case "static", "static6":
			try(i.address(s.Address, s.Netmask))
		case "manual":
		default:
			c.note("%q: a subnet of type %s is not supported", item.Name, s.Type)
			continue
		}
		if s.Gateway != "" {
			try(i.gateway(s.Gateway))
		}
		for _, r := range s.Routes {
			try(i.route(cmp.Or(r.Network, r.Destination), r.Netmask, r.Gateway, r.Metric))
		}
		try(c.n.nameserver(s.Nameservers...))
		c.n.search(s.Search...)
	}
	c.n.Interfaces[item.Name] = i
}

// v1Route adds a route that names no link to the link which reaches its next
// hop.
func (c *converter) v1Route(r v1Item) {
	for _, name := range slices.Sorted(maps.Keys(c.n.Interfaces)) {
		i := c.n.Interfaces[name]
		if !i.reaches(r.Gateway) {
			continue
		}
		if err := i.route(r.Destination, r.Netmask, r.Gateway, r.Metric); err != nil {
			c.note("route to %q: %v", r.Destination, err)
		}
		c.n.Interfaces[name] = i
		return
	}
	c.note("route to %q is left out: no link reaches %q", r.Destination, r.Gateway)
}

// v2Link is a link of version 2.
type v2Link struct {
	Match struct {
		Name   string `yaml:"name"`
		MAC    string `yaml:"macaddress"`
		Driver words  `yaml:"driver"`
	} `yaml:"match"`
	DHCP4       bool        `yaml:"dhcp4"`
	DHCP6       bool        `yaml:"dhcp6"`
	Addresses   []v2Address `yaml:"addresses"`
	Gateway4    string      `yaml:"gateway4"`
	Gateway6    string      `yaml:"gateway6"`
	MTU         int         `yaml:"mtu"`
	Nameservers struct {
		Addresses words `yaml:"addresses"`
		Search    words `yaml:"search"`
	} `yaml:"nameservers"`
	Routes []struct {
		To     string `yaml:"to"`
		Via    string `yaml:"via"`
		Metric int    `yaml:"metric"`
	} `yaml:"routes"`
}

// v2Address is an address, or one with options behind a colon, which are not
// looked at.
type v2Address string

// UnmarshalYAML takes either notation.
func (a *v2Address) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 {
		n = n.Content[0]
	}
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: not an address", n.Line)
	}
	*a = v2Address(n.Value)
	return nil
}

func (c *converter) version2(text []byte) error {
	var v2 struct {
		Ethernets map[string]v2Link    `yaml:"ethernets"`
		Bonds     map[string]yaml.Node `yaml:"bonds"`
		Bridges   map[string]yaml.Node `yaml:"bridges"`
		VLANs     map[string]yaml.Node `yaml:"vlans"`
		Wifis     map[string]yaml.Node `yaml:"wifis"`
	}
	if err := yaml.Unmarshal(text, &v2); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(v2.Ethernets)) {
		c.v2Link(id, v2.Ethernets[id])
	}
	for _, left := range []struct {
		kind  string
		links map[string]yaml.Node
	}{{"bonds", v2.Bonds}, {"bridges", v2.Bridges}, {"VLANs", v2.VLANs}, {"Wi-Fi networks", v2.Wifis}} {
		for _, id := range slices.Sorted(maps.Keys(left.links)) {
			c.note("%q is left out: %s are not supported", id, left.kind)
		}
	}
	return nil
}

func (c *converter) v2Link(id string, l v2Link) {
	i := netInterface{MTU: l.MTU}
	try := func(err error) {
		if err != nil {
			c.note("%q: %v", id, err)
		}
	}
	switch {
	case l.Match.MAC != "":
		try(i.mac(l.Match.MAC))
	case l.Match.Name != "":
		i.Match = l.Match.Name
	case len(l.Match.Driver) > 0:
		c.note("%q is left out: links cannot be told by their driver; use match: macaddress or name", id)
		return
	}
	i.dhcp(l.DHCP4 || l.DHCP6)
	for _, a := range l.Addresses {
		try(i.address(string(a), ""))
	}
	for _, gateway := range []string{l.Gateway4, l.Gateway6} {
		if gateway != "" {
			try(i.gateway(gateway))
		}
	}
	for _, r := range l.Routes {
		try(i.route(r.To, "", r.Via, r.Metric))
	}
	try(c.n.nameserver(l.Nameservers.Addresses...))
	c.n.search(l.Nameservers.Search...)
	c.n.Interfaces[id] = i
}

package loader

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/rosteros/ros/internal/project"
)

// networks are those of the service, the first of them its NetworkMode.
func (t *translation) networks() {
	s, h := t.service, &t.out.HostConfig
	if s.NetworkMode != "" {
		h.NetworkMode = t.borrowed(s.NetworkMode)
		t.ports()
		return
	}
	t.ports()
	names := s.NetworksByPriority()
	if len(names) == 0 {
		h.NetworkMode = "none"
		return
	}
	t.out.NetworkingConfig = &networking{EndpointsConfig: map[string]endpoint{}}
	for i, key := range names {
		config := t.project.Networks[key]
		t.network(key, config)
		e := t.endpoint(s.Networks[key])
		if i == 0 {
			h.NetworkMode = config.Name
			if e.MacAddress == "" {
				e.MacAddress = s.MacAddress
			}
		}
		t.out.NetworkingConfig.EndpointsConfig[config.Name] = e
	}
}

func (t *translation) endpoint(n *types.ServiceNetworkConfig) endpoint {
	s := t.service
	e := endpoint{Aliases: []string{t.container.Name}}
	if n.ServiceNameAliasEnabled() && s.Name != t.container.Name {
		e.Aliases = append(e.Aliases, s.Name)
	}
	for _, link := range s.Links {
		service, alias, ok := strings.Cut(link, ":")
		if !ok {
			alias = service
		}
		e.Links = append(e.Links, t.peer(service)+":"+alias)
	}
	for _, link := range s.ExternalLinks {
		name, alias, ok := strings.Cut(link, ":")
		if !ok {
			alias = name
		}
		e.Links = append(e.Links, name+":"+alias)
	}
	if n == nil {
		return e
	}
	e.Aliases = append(e.Aliases, n.Aliases...)
	e.GwPriority, e.MacAddress = n.GatewayPriority, n.MacAddress
	if len(n.DriverOpts) > 0 || n.InterfaceName != "" {
		e.DriverOpts = map[string]string{}
		maps.Copy(e.DriverOpts, n.DriverOpts)
		if n.InterfaceName != "" {
			e.DriverOpts["com.docker.network.endpoint.ifname"] = n.InterfaceName
		}
	}
	if n.Ipv4Address != "" || n.Ipv6Address != "" || len(n.LinkLocalIPs) > 0 {
		e.IPAMConfig = &addresses{n.Ipv4Address, n.Ipv6Address, n.LinkLocalIPs}
	}
	return e
}

// network notes what a network of the project is like.
func (t *translation) network(key string, n types.NetworkConfig) {
	o := project.Object{Name: n.Name, Key: key, External: bool(n.External)}
	if !o.External {
		out := network{
			Name: n.Name, Driver: n.Driver, Options: n.DriverOpts, Internal: n.Internal, Attachable: n.Attachable,
			EnableIPv4: n.EnableIPv4, EnableIPv6: n.EnableIPv6,
			Labels: t.owned(n.Labels, "com.docker.compose.network", key),
		}
		if n.Ipam.Driver != "" || len(n.Ipam.Config) > 0 || len(n.Ipam.Options) > 0 {
			out.IPAM = &ipam{Driver: n.Ipam.Driver, Options: n.Ipam.Options}
			for _, p := range n.Ipam.Config {
				out.IPAM.Config = append(out.IPAM.Config, pool{p.Subnet, p.IPRange, p.Gateway, p.AuxiliaryAddresses})
			}
		}
		o.Create = text(out)
	}
	if !slices.ContainsFunc(t.container.Networks, func(have project.Object) bool { return have.Name == o.Name }) {
		t.container.Networks = append(t.container.Networks, o)
	}
}

package datasource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// digitalOcean is the metadata service of DigitalOcean. Its vendor-data is left
// alone: it sets up the provider's own images.
type digitalOcean struct{ client Client }

func newDigitalOcean(_ Machine, argument string) (Source, error) {
	c, err := service(argument, linkLocal)
	return digitalOcean{c}, err
}

func (digitalOcean) Name() string { return "digitalocean" }

// droplet is a machine.
type droplet struct {
	ID         json.Number `json:"droplet_id"`
	Hostname   string      `json:"hostname"`
	PublicKeys []string    `json:"public_keys"`
	Interfaces struct {
		Public  []dropletLink `json:"public"`
		Private []dropletLink `json:"private"`
	} `json:"interfaces"`
	DNS struct {
		Nameservers []string `json:"nameservers"`
	} `json:"dns"`
}

type dropletLink struct {
	MAC    string          `json:"mac"`
	IPv4   *dropletAddress `json:"ipv4"`
	IPv6   *dropletAddress `json:"ipv6"`
	Anchor *dropletAddress `json:"anchor_ipv4"` // what a reserved address is sent to
}

type dropletAddress struct {
	Address string `json:"ip_address"`
	Netmask string `json:"netmask"` // of IPv4
	CIDR    int    `json:"cidr"`    // of IPv6
	Gateway string `json:"gateway"`
}

func (s digitalOcean) Fetch(ctx context.Context) (*Data, error) {
	var machine droplet
	if err := getJSON(ctx, s.client, "metadata/v1.json", &machine); err != nil {
		return nil, err
	}
	if machine.ID == "" {
		return nil, fmt.Errorf("%s: an answer without the id of a droplet", s.client.Base)
	}
	userData, err := s.client.Optional(ctx, "metadata/v1/user-data")
	if err != nil {
		return nil, err
	}
	d := &Data{
		InstanceID: machine.ID.String(),
		Hostname:   machine.Hostname,
		SSHKeys:    machine.PublicKeys,
		UserData:   userData,
	}
	n, notes := machine.network()
	d.network(n, notes, nil)
	return d, nil
}

// network has the addresses of all links; most droplets have no DHCP.
func (d droplet) network() (n netConfig, notes []string) {
	n.Interfaces = make(map[string]netInterface)
	add := func(kind string, links []dropletLink, routes bool) {
		for at, l := range links {
			name := fmt.Sprintf("%s%d", kind, at)
			i, err := l.netInterface(routes)
			if err != nil {
				notes = append(notes, fmt.Sprintf("link %q: %v", name, err))
			}
			if len(i.Addresses) > 0 {
				n.Interfaces[name] = i
			}
		}
	}
	add("public", d.Interfaces.Public, true)
	// The gateway of a private network leads nowhere but into that network.
	add("private", d.Interfaces.Private, false)
	if err := n.nameserver(d.DNS.Nameservers...); err != nil {
		notes = append(notes, err.Error())
	}
	return n, notes
}

// netInterface is the link without what is wrong with it, which is the error.
func (l dropletLink) netInterface(routes bool) (i netInterface, err error) {
	if err := i.mac(l.MAC); err != nil {
		return i, err // nothing else says which link it is
	}
	for _, a := range []*dropletAddress{l.IPv4, l.Anchor, l.IPv6} {
		if a == nil || a.Address == "" {
			continue
		}
		mask := a.Netmask
		if mask == "" {
			mask = strconv.Itoa(a.CIDR)
		}
		err = errors.Join(err, i.address(a.Address, mask))
		if routes && a != l.Anchor && a.Gateway != "" {
			err = errors.Join(err, i.gateway(a.Gateway))
		}
	}
	return i, err
}

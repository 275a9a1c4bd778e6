package datasource

import (
	"encoding/json"
	"fmt"
	"strings"
)

// networkFile is OpenStack's network_data.json.
type networkFile struct {
	Links []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		MAC  string `json:"ethernet_mac_address"`
		MTU  *int   `json:"mtu"`
	} `json:"links"`
	Networks []struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Link    string `json:"link"`
		Address string `json:"ip_address"`
		Mask    string `json:"netmask"`
		Gateway string `json:"gateway"`
		Routes  []struct {
			Network string `json:"network"`
			Mask    string `json:"netmask"`
			Gateway string `json:"gateway"`
		} `json:"routes"`
		Services   []networkService `json:"services"`
		DNS        []string         `json:"dns_nameservers"`
		DNSServers []string         `json:"dns_servers"`
	} `json:"networks"`
	Services []networkService `json:"services"`
}

type networkService struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

// networkData reads network_data.json. Links that are made of others (bonds,
// VLANs) are left out, with a note.
func networkData(text []byte) (n netConfig, notes []string, err error) {
	var o networkFile
	if err := json.Unmarshal(text, &o); err != nil {
		return n, nil, fmt.Errorf("cannot read network_data.json: %w", err)
	}
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	n.Interfaces = make(map[string]netInterface)
	left := make(map[string]bool)
	for _, l := range o.Links {
		var i netInterface
		switch l.Type {
		case "bond", "vlan":
			note("link %q is left out: %ss are not supported", l.ID, l.Type)
			left[l.ID] = true
			continue
		}
		if err := i.mac(l.MAC); err != nil {
			note("link %q is left out: %v", l.ID, err)
			left[l.ID] = true
			continue
		}
		if l.MTU != nil {
			i.MTU = *l.MTU
		}
		i.dhcp(false)
		n.Interfaces[l.ID] = i
	}
	for _, w := range o.Networks {
		i, ok := n.Interfaces[w.Link]
		if !ok {
			if !left[w.Link] {
				note("network %q is left out: there is no link %q", w.ID, w.Link)
			}
			continue
		}
		try := func(err error) {
			if err != nil {
				note("network %q: %v", w.ID, err)
			}
		}
		if strings.Contains(w.Type, "dhcp") || strings.Contains(w.Type, "slaac") {
			i.dhcp(true)
		} else {
			try(i.address(w.Address, w.Mask))
			if w.Gateway != "" {
				try(i.gateway(w.Gateway))
			}
		}
		for _, r := range w.Routes {
			try(i.route(r.Network, r.Mask, r.Gateway, 0))
		}
		for _, s := range w.Services {
			if s.Type == "dns" {
				try(n.nameserver(s.Address))
			}
		}
		try(n.nameserver(w.DNS...))
		try(n.nameserver(w.DNSServers...))
		n.Interfaces[w.Link] = i
	}
	for _, s := range o.Services {
		if s.Type != "dns" {
			continue
		}
		if err := n.nameserver(s.Address); err != nil {
			note("%v", err)
		}
	}
	return n, notes, nil
}

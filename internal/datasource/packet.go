package datasource

import (
	"context"
	"fmt"
	"net/http"
)

// packet is the metadata service of Packet, later Equinix Metal, and of
// Tinkerbell. It describes a bond of all network cards. There are no bonds in
// rancher.network yet, so a note says that the machine stays with the address
// that DHCP gives to one of the cards, which the provider's switches allow.
type packet struct {
	services  []Client // the first one that answers counts
	phoneHome string   // where to report; known after Fetch
}

// packetLinks are the names of the service.
var packetLinks = []string{"https://metadata.platformequinix.com", "https://metadata.packet.net"}

func newPacket(_ Machine, argument string) (Source, error) {
	s := &packet{}
	links := packetLinks
	if argument != "" {
		links = []string{argument}
	}
	for _, link := range links {
		c, err := service(link, packetLinks[0])
		if err != nil {
			return nil, err
		}
		s.services = append(s.services, c)
	}
	return s, nil
}

func (*packet) Name() string { return "packet" }

func (s *packet) Fetch(ctx context.Context) (*Data, error) {
	return firstService(s.services, func(c Client) (*Data, error) { return s.ask(ctx, c) })
}

func (s *packet) ask(ctx context.Context, c Client) (*Data, error) {
	var machine struct {
		ID        string   `json:"id"`
		Hostname  string   `json:"hostname"`
		SSHKeys   []string `json:"ssh_keys"`
		PhoneHome string   `json:"phone_home_url"`
		Network   struct {
			Bonding struct {
				Mode int `json:"mode"`
			} `json:"bonding"`
		} `json:"network"`
	}
	if err := getJSON(ctx, c, "metadata", &machine); err != nil {
		return nil, err
	}
	if machine.ID == "" {
		return nil, fmt.Errorf("%s: an answer without the id of a machine", c.Base)
	}
	userData, err := c.Optional(ctx, "userdata")
	if err != nil {
		return nil, err
	}
	s.phoneHome = machine.PhoneHome
	d := &Data{InstanceID: machine.ID, Hostname: machine.Hostname, SSHKeys: machine.SSHKeys, UserData: userData}
	if machine.Network.Bonding.Mode != 0 {
		d.Notes = append(d.Notes, "network: the bond of the network cards is left out: bonds are not supported")
	}
	return d, nil
}

// Finish tells the provider that the machine is up.
func (s *packet) Finish(ctx context.Context) error {
	if s.phoneHome == "" {
		return nil
	}
	if _, err := (Client{}).Do(ctx, http.MethodPost, s.phoneHome, nil); err != nil {
		return fmt.Errorf("cannot report that the machine is up: %w", err)
	}
	return nil
}

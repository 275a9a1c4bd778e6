package datasource

import (
	"context"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// hetzner is the metadata service of Hetzner Cloud. Its vendor-data is left
// alone: it sets up the provider's own images.
type hetzner struct{ client Client }

func newHetzner(_ Machine, argument string) (Source, error) {
	c, err := service(argument, linkLocal)
	return hetzner{c}, err
}

func (hetzner) Name() string { return "hetzner" }

func (s hetzner) Fetch(ctx context.Context) (*Data, error) {
	const page = "hetzner/v1/metadata"
	text, err := s.client.Get(ctx, page)
	if err != nil {
		return nil, err
	}
	var meta struct {
		InstanceID string    `yaml:"instance-id"`
		Hostname   string    `yaml:"hostname"`
		PublicKeys yaml.Node `yaml:"public-keys"`
		Network    yaml.Node `yaml:"network-config"`
	}
	if err := decodeYAML(text, &meta); err != nil {
		return nil, fmt.Errorf("%s %w", page, err)
	}
	if !instanceID.MatchString(meta.InstanceID) {
		return nil, fmt.Errorf("%s: an answer without the id of a server", s.client.Base)
	}
	d := &Data{InstanceID: meta.InstanceID, Hostname: meta.Hostname}
	if d.UserData, err = s.client.Optional(ctx, "hetzner/v1/userdata"); err != nil {
		return nil, err
	}
	if d.SSHKeys, err = publicKeys(&meta.PublicKeys); err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("public-keys: %v", err))
	}
	if meta.Network.Kind == 0 {
		return d, nil
	}
	network, err := yaml.Marshal(&meta.Network)
	if err != nil {
		return nil, err
	}
	d.network(networkConfig(network))
	return d, nil
}

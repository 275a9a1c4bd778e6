package datasource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rosteros/ros/internal/sshkeys"
)

// openStack is the metadata service of OpenStack's Nova.
type openStack struct{ client Client }

func newOpenStack(_ Machine, argument string) (Source, error) {
	c, err := service(argument, linkLocal)
	return openStack{c}, err
}

// isOpenStack knows Nova by its own name and by those that operators give it.
func isOpenStack(m Machine) bool {
	nova := []string{"OpenStack Nova", "OpenStack Compute"}
	tags := []string{"OpenTelekomCloud", "SAP CCloud VM", "HUAWEICLOUD"}
	return slices.Contains(nova, m.DMI["product_name"]) ||
		slices.Contains(append(tags, nova...), m.DMI["chassis_asset_tag"])
}

func (openStack) Name() string { return "openstack" }

func (s openStack) Fetch(ctx context.Context) (*Data, error) {
	d, err := openStackData(func(name string) ([]byte, error) {
		return s.client.Get(ctx, "openstack/latest/"+name)
	})
	if err == nil && !instanceID.MatchString(d.InstanceID) {
		return nil, fmt.Errorf("%s: an answer without the uuid of a machine", s.client.Base)
	}
	return d, err
}

// openStackData reads the files that OpenStack has for a machine, which are the
// same over HTTP and on a config drive. read gives one by its name, and
// ErrAbsent for one that is not there; only meta_data.json must be.
func openStackData(read func(name string) ([]byte, error)) (*Data, error) {
	optional := func(name string) ([]byte, error) {
		text, err := read(name)
		if errors.Is(err, ErrAbsent) {
			return nil, nil
		}
		return text, err
	}
	text, err := read("meta_data.json")
	if err != nil {
		return nil, err
	}
	d, err := openStackMeta(text)
	if err != nil {
		return nil, err
	}
	if d.UserData, err = optional("user_data"); err != nil {
		return nil, err
	}
	vendor, err := optional("vendor_data.json")
	if err != nil {
		return nil, err
	}
	d.VendorData = openStackVendor(vendor)
	network, err := optional("network_data.json")
	if err != nil || len(network) == 0 {
		return d, err
	}
	d.network(networkData(network))
	return d, nil
}

// openStackMeta reads meta_data.json.
func openStackMeta(text []byte) (*Data, error) {
	var meta struct {
		UUID       string            `json:"uuid"`
		Hostname   string            `json:"hostname"`
		Name       string            `json:"name"`
		PublicKeys map[string]string `json:"public_keys"`
	}
	if err := decodeJSON(text, "meta_data.json", &meta); err != nil {
		return nil, err
	}
	d := &Data{InstanceID: meta.UUID, Hostname: meta.Hostname}
	if d.Hostname == "" {
		d.Hostname = meta.Name
	}
	for _, name := range slices.Sorted(maps.Keys(meta.PublicKeys)) {
		d.SSHKeys = append(d.SSHKeys, sshkeys.Lines(meta.PublicKeys[name])...)
	}
	return d, nil
}

// openStackVendor is the part of vendor_data.json that is meant for cloud-init:
// all of it if it is a text, its key cloud-init if it is an object. The rest is
// for other programs.
func openStackVendor(text []byte) []byte {
	var all string
	if json.Unmarshal(text, &all) == nil {
		return []byte(all)
	}
	var parts struct {
		CloudInit string `json:"cloud-init"`
	}
	if json.Unmarshal(text, &parts) == nil {
		return []byte(parts.CloudInit)
	}
	return nil
}

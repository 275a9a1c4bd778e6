package datasource

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/sshkeys"
)

// getEncoded is get of a key that another one, KEY.encoding, says how to decode.
func (v vmwareSettings) getEncoded(key string) ([]byte, error) {
	text, err := v.get(key)
	if err != nil || text == "" {
		return nil, err
	}
	encoding, err := v.get(key + ".encoding")
	if err != nil {
		return nil, err
	}
	value, err := decodeText(text, encoding)
	if err != nil {
		return nil, fmt.Errorf("guestinfo.%s: %w", key, err)
	}
	return value, nil
}

// decodeText decodes text that is base64 or gzip in base64.
func decodeText(text, encoding string) ([]byte, error) {
	switch encoding {
	case "", "plain", "text/plain":
		return []byte(text), nil
	case "b64", "base64", "gz+b64", "gz+base64", "gzip+b64", "gzip+base64":
	default:
		return nil, fmt.Errorf("unknown encoding %q", encoding)
	}
	value, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, fmt.Errorf("cannot decode base64: %w", err)
	}
	if !strings.HasPrefix(encoding, "gz") {
		return value, nil
	}
	unzip, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return nil, fmt.Errorf("cannot unpack: %w", err)
	}
	return readBounded(unzip, "the unpacked value")
}

// read reads all dialects. What one has said the next does not change.
func (v vmwareSettings) read(ctx context.Context, d *Data) error {
	if err := v.cloudInit(d); err != nil {
		return err
	}
	if err := v.rancher(ctx, d); err != nil {
		return err
	}
	v.appliance(d)
	return nil
}

// cloudInit reads cloud-init's variables.
func (v vmwareSettings) cloudInit(d *Data) (err error) {
	if d.UserData, err = v.getEncoded("userdata"); err != nil {
		return err
	}
	if d.VendorData, err = v.getEncoded("vendordata"); err != nil {
		return err
	}
	text, err := v.getEncoded("metadata")
	if err != nil || text == nil {
		return err
	}
	if err := d.guestinfoMeta(text); err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("guestinfo.metadata: %v", err))
	}
	return nil
}

// guestinfoMeta reads the variable metadata, which is YAML or JSON.
func (d *Data) guestinfoMeta(text []byte) error {
	var meta struct {
		InstanceID    string    `yaml:"instance-id"`
		LocalHostname string    `yaml:"local-hostname"`
		Hostname      string    `yaml:"hostname"`
		Keys          yaml.Node `yaml:"public-keys-data"`
		Keys2         yaml.Node `yaml:"public_keys_data"`
		Keys3         yaml.Node `yaml:"public-keys"`
		Keys4         yaml.Node `yaml:"public_keys"`
		Network       yaml.Node `yaml:"network"`
		NetworkCode   string    `yaml:"network.encoding"`
	}
	if err := decodeYAML(text, &meta); err != nil {
		return err
	}
	d.InstanceID, d.Hostname = meta.InstanceID, cmp.Or(meta.LocalHostname, meta.Hostname)
	var errs []error
	for _, n := range []*yaml.Node{&meta.Keys, &meta.Keys2, &meta.Keys3, &meta.Keys4} {
		keys, err := publicKeys(n)
		if err != nil {
			errs = append(errs, fmt.Errorf("public keys: %w", err))
		}
		if len(d.SSHKeys) == 0 {
			d.SSHKeys = keys
		}
	}
	var network []byte
	var err error
	switch meta.Network.Kind {
	case 0:
		return errors.Join(errs...)
	case yaml.ScalarNode:
		network, err = decodeText(meta.Network.Value, meta.NetworkCode)
	default:
		network, err = yaml.Marshal(&meta.Network)
	}
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("network: %w", err))...)
	}
	d.network(networkConfig(network))
	return errors.Join(errs...)
}

// rancher reads RancherOS's variables.
func (v vmwareSettings) rancher(ctx context.Context, d *Data) (err error) {
	if d.Hostname == "" {
		if d.Hostname, err = v.get("hostname"); err != nil {
			return err
		}
	}
	for _, name := range []string{"cloud-init.config", "coreos.config"} { // CoreOS's is older
		if d.UserData != nil {
			break
		}
		if d.UserData, err = v.rancherUserData(ctx, name); err != nil {
			return err
		}
	}
	if d.Network != nil {
		return nil
	}
	n, notes, err := v.rancherNetwork()
	if err != nil {
		return err
	}
	d.network(n, notes, nil)
	return nil
}

// rancherUserData is what NAME.data is or NAME.url leads to.
func (v vmwareSettings) rancherUserData(ctx context.Context, name string) ([]byte, error) {
	text, err := v.getEncoded(name + ".data")
	if err != nil || text != nil {
		return text, err
	}
	address, err := v.get(name + ".url")
	if err != nil || address == "" {
		return nil, err
	}
	if text, err = v.web.Get(ctx, address); err != nil {
		// Not with %w: a page that is not there may come yet.
		return nil, fmt.Errorf("guestinfo.%s.url: %v", name, err)
	}
	return text, nil
}

// maxLinks bounds how many links, addresses and servers are looked for.
const maxLinks = 64

// rancherNetwork reads interface.N.… and dns.….
func (v vmwareSettings) rancherNetwork() (n netConfig, notes []string, err error) {
	n.Interfaces = make(map[string]netInterface)
	for at := range maxLinks {
		l := vmwareLink{settings: v, prefix: fmt.Sprintf("interface.%d.", at)}
		i, name, err := l.read()
		if err != nil {
			return n, nil, err
		}
		if name == "" {
			break
		}
		notes = append(notes, l.notes...)
		n.Interfaces[name] = i
	}
	servers, err := v.list("dns.server.%d")
	if err != nil {
		return n, nil, err
	}
	if err := n.nameserver(servers...); err != nil {
		notes = append(notes, err.Error())
	}
	domains, err := v.list("dns.domain.%d")
	n.search(domains...)
	return n, notes, err
}

// list is the values of keys that are numbered from 0 on.
func (v vmwareSettings) list(format string) (values []string, err error) {
	for at := range maxLinks {
		value, err := v.get(fmt.Sprintf(format, at))
		if err != nil || value == "" {
			return values, err
		}
		values = append(values, value)
	}
	return values, nil
}

// vmwareLink reads one interface.N.
type vmwareLink struct {
	settings vmwareSettings
	prefix   string
	notes    []string
}

// read returns the link and its name; without a name there is no such link.
func (l *vmwareLink) read() (i netInterface, name string, err error) {
	values := make(map[string]string)
	for _, key := range []string{"name", "mac", "dhcp"} {
		if values[key], err = l.settings.get(l.prefix + key); err != nil {
			return i, "", err
		}
	}
	addresses, err := l.settings.list(l.prefix + "ip.%d.address")
	if err != nil {
		return i, "", err
	}
	name = values["name"]
	if values["mac"] != "" {
		l.note(i.mac(values["mac"]))
		if name == "" {
			name = strings.TrimSuffix(l.prefix, ".")
		}
	}
	switch strings.ToLower(values["dhcp"]) {
	case "":
	case "yes", "true", "on", "1":
		i.dhcp(true)
	default:
		i.dhcp(false)
	}
	for _, address := range addresses {
		l.note(i.address(address, ""))
	}
	if err := l.routes(&i); err != nil {
		return i, "", err
	}
	if name == "" && len(addresses) > 0 {
		l.note(errors.New("neither name nor mac says which link it is"))
	}
	return i, name, nil
}

func (l *vmwareLink) routes(i *netInterface) error {
	for at := range maxLinks {
		key := fmt.Sprintf("%sroute.%d.", l.prefix, at)
		gateway, err := l.settings.get(key + "gateway")
		if err != nil {
			return err
		}
		destination, err := l.settings.get(key + "destination")
		switch {
		case err != nil:
			return err
		case gateway == "" && destination == "":
			return nil
		case destination == "":
			l.note(i.gateway(gateway))
		default:
			l.note(i.route(destination, "", gateway, 0))
		}
	}
	return nil
}

func (l *vmwareLink) note(err error) {
	if err != nil {
		l.notes = append(l.notes, fmt.Sprintf("%s: %v", strings.TrimSuffix(l.prefix, "."), err))
	}
}

// appliance reads the properties that OVF appliances have for cloud-init.
func (v vmwareSettings) appliance(d *Data) {
	d.InstanceID = cmp.Or(d.InstanceID, v.properties["instance-id"])
	d.Hostname = cmp.Or(d.Hostname, v.properties["local-hostname"])
	if len(d.SSHKeys) == 0 {
		d.SSHKeys = sshkeys.Lines(v.properties["public-keys"])
	}
	text := v.properties["user-data"]
	if d.UserData != nil || text == "" {
		return
	}
	var err error
	if d.UserData, err = decodeText(text, "base64"); err != nil {
		d.UserData = []byte(text) // base64 by convention only
	}
}

package datasource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/sshkeys"
	"github.com/rosteros/ros/internal/yamldoc"
)

// noCloud is cloud-init's datasource without a cloud: files on a disk labelled
// cidata, in a directory or at an address. Proxmox has the same.
type noCloud struct {
	name  string
	disks Disks
	dir   string // read this directory; "": not
	web   *Client
	// What the kernel command line or the firmware said itself.
	hostname, instanceID string
}

// isNoCloud wants the disks that hold a seed.
var isNoCloud = labelled("cidata")

// noCloudSeed is what "ds=nocloud;s=…;h=…;i=…" says, on the kernel command line
// or in the serial number that the firmware gives; ok: something said it.
func noCloudSeed(m Machine) (settings map[string]string, ok bool) {
	for _, text := range append(m.Cmdline.Values("ds"), strings.TrimPrefix(m.DMI["product_serial"], "ds=")) {
		name, rest, _ := strings.Cut(text, ";")
		if name != "nocloud" && name != "nocloud-net" {
			continue
		}
		settings = make(map[string]string)
		for word := range strings.SplitSeq(rest, ";") {
			key, value, _ := strings.Cut(word, "=")
			settings[key] = value
		}
		return settings, true
	}
	return nil, false
}

func hasNoCloud(m Machine) bool {
	if _, ok := noCloudSeed(m); ok {
		return true
	}
	return m.has(isNoCloud)
}

// newNoCloud makes it. argument is a directory or an address; without it the
// seed of the command line counts, then the disk.
func newNoCloud(m Machine, argument string) (Source, error) {
	s := noCloud{name: "nocloud", disks: m.Disks}
	if seed, ok := noCloudSeed(m); ok && argument == "" {
		argument = cmp.Or(seed["seedfrom"], seed["s"])
		s.hostname, s.instanceID = cmp.Or(seed["local-hostname"], seed["h"]), cmp.Or(seed["instance-id"], seed["i"])
	}
	argument = strings.TrimPrefix(argument, "file://")
	switch {
	case argument == "":
	case path.IsAbs(argument):
		s.dir = filepath.Join(m.Root, argument)
	default:
		address, err := url.Parse(argument)
		if err != nil || address.Scheme != "http" && address.Scheme != "https" {
			return nil, fmt.Errorf("%q is neither an absolute path nor the address of a seed", argument)
		}
		s.web = &Client{HTTP: m.Web.client(), Base: argument}
	}
	return s, nil
}

// newProxmox is the disk that Proxmox makes.
func newProxmox(m Machine, _ string) (Source, error) {
	return noCloud{name: "proxmox", disks: m.Disks}, nil
}

func (s noCloud) Name() string { return s.name }

func (s noCloud) Fetch(ctx context.Context) (data *Data, err error) {
	switch {
	case s.web != nil:
		data, err = readNoCloud(func(name string) ([]byte, error) { return s.web.Optional(ctx, name) })
	case s.dir != "":
		var root *os.Root
		if root, err = os.OpenRoot(s.dir); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", s.dir, ErrAbsent)
		} else if err != nil {
			return nil, err
		}
		defer root.Close()
		data, err = readNoCloud(func(name string) ([]byte, error) { return readFile(root.FS(), name) })
	default:
		err = s.disks.Read(ctx, isNoCloud, func(fsys fs.FS) (err error) {
			data, err = readNoCloud(func(name string) ([]byte, error) { return readFile(fsys, name) })
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	data.Hostname, data.InstanceID = cmp.Or(s.hostname, data.Hostname), cmp.Or(s.instanceID, data.InstanceID)
	return data, nil
}

// readNoCloud reads a seed. read is one of its files; nothing when there is
// none.
func readNoCloud(read func(name string) ([]byte, error)) (*Data, error) {
	files := make(map[string][]byte)
	for _, name := range []string{"meta-data", "user-data", "vendor-data", "network-config"} {
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		if text != nil {
			files[name] = text
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("neither user-data nor meta-data: %w", ErrAbsent)
	}
	d := &Data{UserData: files["user-data"], VendorData: files["vendor-data"]}
	d.noCloudMeta(files["meta-data"])
	if text := files["network-config"]; len(text) > 0 {
		d.network(networkConfig(text))
	}
	return d, nil
}

// noCloudMeta reads meta-data. What is wrong with it is a note: the user-data
// is there all the same.
func (d *Data) noCloudMeta(text []byte) {
	var meta struct {
		InstanceID    string    `yaml:"instance-id"`
		LocalHostname string    `yaml:"local-hostname"`
		Hostname      string    `yaml:"hostname"`
		PublicKeys    yaml.Node `yaml:"public-keys"`
		OldNetwork    string    `yaml:"network-interfaces"`
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return
	}
	if err := decodeYAML(text, &meta); err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("meta-data %v", err))
		return
	}
	d.InstanceID, d.Hostname = meta.InstanceID, cmp.Or(meta.LocalHostname, meta.Hostname)
	if meta.OldNetwork != "" {
		d.Notes = append(d.Notes, "meta-data: network-interfaces is not supported: use a file network-config")
	}
	var err error
	if d.SSHKeys, err = publicKeys(&meta.PublicKeys); err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("meta-data: public-keys: %v", err))
	}
}

// publicKeys are a text, a list of texts, or texts or lists by a name.
func publicKeys(n *yaml.Node) ([]string, error) {
	switch n.Kind {
	case 0:
		return nil, nil
	case yaml.ScalarNode:
		return sshkeys.Lines(n.Value), nil
	case yaml.SequenceNode, yaml.MappingNode:
		var keys []string
		for i, item := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				continue // the name
			}
			// One list in a mapping is as deep as it gets.
			if item.Kind != yaml.ScalarNode && (n.Kind != yaml.MappingNode || item.Kind != yaml.SequenceNode) {
				return keys, errors.New("is neither a list of keys nor keys by name")
			}
			more, err := publicKeys(item)
			if err != nil {
				return keys, err
			}
			keys = append(keys, more...)
		}
		return keys, nil
	}
	return nil, errors.New("is neither a list of keys nor keys by name")
}

// decodeYAML reads a mapping into a struct. Aliases cannot make it expand
// without end: the YAML package counts them.
func decodeYAML(text []byte, into any) error {
	if doc, faults := yamldoc.Parse(text); doc == nil {
		if faults[0].Line == 0 {
			return errors.New(faults[0].Message)
		}
		return fmt.Errorf("line %d: %s", faults[0].Line, faults[0].Message)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	return nil
}

package datasource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/userdata"
)

// Names of files in the directory that keeps an answer. config.Read loads those
// that end in .yml in the order of their names.
const (
	metadataLayer = "10-metadata.yml" // what is added to, not replaced: see config.Layer
	networkLayer  = "15-network.yml"
	vendorLayers  = "20-vendor-data-%02d.yml"
	userLayers    = "30-user-data-%02d.yml"
	composeLayers = "40-compose-%02d.yml"
	scriptFiles   = "script-%02d" // run by the console at every boot, in the order of their names
	recordFile    = "source.json"
)

// Record says what a directory was made from, in source.json.
type Record struct {
	Source     string    `json:"source"`
	InstanceID string    `json:"instance_id,omitempty"`
	Fetched    time.Time `json:"fetched"`
	Errors     []string  `json:"errors,omitempty"` // what was there and could not be used
}

// Decoded is what user-data and vendor-data consist of, and what was wrong with
// them.
type Decoded struct {
	User, Vendor       userdata.Parts
	UserErr, VendorErr error
}

// Store makes dir the directory of what d says, with its user-data taken apart,
// and returns its record. dir is replaced as a whole and for good: after a
// power cut it is the old one or the new one. What cannot be used is in the
// record and does not keep the rest from being stored.
func (d *Data) Store(dir string, decoded Decoded, now time.Time) (Record, error) {
	files, faults, err := d.files(decoded)
	if err != nil {
		return Record{}, fmt.Errorf("cannot keep the answer of datasource %s: %w", d.Source, err)
	}
	record := Record{Source: d.Source, InstanceID: d.InstanceID, Fetched: now.UTC().Truncate(time.Second), Errors: faults}
	if files[recordFile], err = json.MarshalIndent(record, "", "  "); err != nil {
		return Record{}, err
	}
	if err := replaceDir(dir, files); err != nil {
		return Record{}, fmt.Errorf("cannot keep the answer of datasource %s: %w", d.Source, err)
	}
	return record, nil
}

// Stored tells whether dir has an answer of the same source for the same
// machine.
func Stored(dir string, d *Data) bool {
	var r Record
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	return err == nil && json.Unmarshal(text, &r) == nil && r.Source == d.Source && r.InstanceID == d.InstanceID
}

// files are the files of the directory by their names.
func (d *Data) files(decoded Decoded) (files map[string][]byte, faults []string, err error) {
	files = make(map[string][]byte)
	faults = append(faults, d.Notes...)
	if files[metadataLayer], err = d.metadata(); err != nil {
		return nil, nil, err
	}
	if len(d.Network) > 0 {
		if files[networkLayer], err = underNetwork(d.Network); err != nil {
			return nil, nil, err
		}
	}
	c := counter{files: files, count: make(map[string]int)}
	for _, from := range []struct {
		what  string
		parts userdata.Parts
		err   error
		name  string
	}{{"vendor-data", decoded.Vendor, decoded.VendorErr, vendorLayers}, {"user-data", decoded.User, decoded.UserErr, userLayers}} {
		faults = append(faults, lineByLine(from.what, from.err)...)
		for _, p := range from.parts {
			faults = append(faults, lineByLine(from.what, c.add(p, from.name))...)
		}
	}
	return files, faults, nil
}

func lineByLine(what string, err error) []string {
	if err == nil {
		return nil
	}
	var said []string
	for line := range strings.Lines(err.Error()) {
		said = append(said, what+": "+strings.TrimSuffix(line, "\n"))
	}
	return said
}

// counter numbers parts by what their files are called.
type counter struct {
	files map[string][]byte
	count map[string]int
}

// add adds a part; configs is what the files of cloud-configs are called.
func (c *counter) add(p userdata.Part, configs string) error {
	name, data := configs, p.Data
	switch p.Kind {
	case userdata.Script:
		name = scriptFiles
	case userdata.Compose:
		name = composeLayers
		var err error
		if data, err = userdata.FromCompose(p.Data); err != nil {
			return err
		}
	}
	c.count[name]++
	c.files[fmt.Sprintf(name, c.count[name])] = data
	return nil
}

// metadata is a cloud-config of what the source itself says.
func (d *Data) metadata() ([]byte, error) {
	type rancher struct {
		ResizeDevice string `yaml:"resize_device"`
	}
	var meta struct {
		Hostname string   `yaml:"hostname,omitempty"`
		Keys     []string `yaml:"ssh_authorized_keys,omitempty"`
		Rancher  *rancher `yaml:"rancher,omitempty"`
	}
	// A full name is the host's and its domain's; the machine is called by the
	// first part of it.
	meta.Hostname, _, _ = strings.Cut(d.Hostname, ".")
	meta.Keys = d.SSHKeys
	if d.ResizeDevice != "" {
		meta.Rancher = &rancher{d.ResizeDevice}
	}
	text, err := yaml.Marshal(meta)
	return append([]byte("#cloud-config\n"), text...), err
}

// underNetwork puts a value of rancher.network below its keys.
func underNetwork(value []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(value, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 {
		return nil, errors.New("the network is no YAML")
	}
	text, err := yaml.Marshal(map[string]map[string]*yaml.Node{"rancher": {"network": doc.Content[0]}})
	return append([]byte("#cloud-config\n"), text...), err
}

// replaceDir makes dir a directory of these files, for root only. The old one
// and the new one change places in one step.
func replaceDir(dir string, files map[string][]byte) error {
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	for name, text := range files {
		mode := os.FileMode(0o600)
		if strings.HasPrefix(name, "script-") {
			mode = 0o700
		}
		if err := atomicfile.WriteFile(filepath.Join(fresh, name), text, mode); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(fresh, dir); err != nil {
			return err
		}
		return syncDir(filepath.Dir(dir))
	}
	if err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("cannot replace %s: %w", dir, err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return os.RemoveAll(fresh) // it is the old one now
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

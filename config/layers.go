package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/yamldoc"
)

// Layer is one source of config: the content of a file, or the settings of the
// kernel command line.
type Layer struct {
	Name     string // the path, or "kernel command line"
	Data     []byte
	Settings []Setting
	Append   bool // its ssh_authorized_keys are added to those of all other layers
}

// Setting is a word of the kernel command line: "rancher.debug", "true".
type Setting = cmdline.Setting

// CommandLine is the name of the layer that the kernel command line is.
const CommandLine = "kernel command line"

// OEMFile is where rosd keeps the oem-config.yml of the OEM partition while the
// machine runs.
const OEMFile = "/run/ros/oem/oem-config.yml"

// Files are the places config is read from, lowest first. A place that is "" or
// does not exist has no layer.
type Files struct {
	OEM        string // oem-config.yml of whoever made the machine
	Datasource string // what the cloud says: every *.yml of a directory in name order
	Dir        string // cloud-config.d: likewise
	File       string // cloud-config.yml: what ros config writes
}

// Metadata is the file in the directory of the datasource that has what the
// cloud says about the machine by itself, without its user. Its keys are added.
const Metadata = "10-metadata.yml"

// Header is the first line of a cloud-config. User-data needs it, since it may
// be something else.
const Header = "#cloud-config"

// Read gets the layers, lowest first, the kernel command line last. What cannot
// be read is a warning.
func Read(files Files, settings []Setting) ([]Layer, []Warning) {
	r := &reader{}
	r.file(files.OEM, false)
	r.dir(files.Datasource, true)
	r.dir(files.Dir, false)
	r.file(files.File, false)
	if len(settings) > 0 {
		r.layers = append(r.layers, Layer{Name: CommandLine, Settings: settings})
	}
	return r.layers, r.warnings
}

type reader struct {
	layers   []Layer
	warnings []Warning
}

func (r *reader) file(path string, add bool) {
	if path == "" {
		return
	}
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return
	}
	data, err := yamldoc.Read(path)
	if err != nil {
		r.warnings = append(r.warnings, Warning{Layer: path, Message: err.Error(), Severity: Wrong})
		return
	}
	r.layers = append(r.layers, Layer{Name: path, Data: data, Append: add})
}

// dir reads a directory, which may hold the metadata of a cloud.
func (r *reader) dir(path string, cloud bool) {
	if path == "" {
		return
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil && !os.IsNotExist(err) {
		r.warnings = append(r.warnings, Warning{Layer: path, Message: fmt.Sprintf("cannot read the directory: %v", err), Severity: Wrong})
	}
	for _, entry := range entries {
		name := entry.Name()
		ext := filepath.Ext(name)
		if (ext == ".yml" || ext == ".yaml") && !strings.HasPrefix(name, ".") && !entry.IsDir() {
			r.file(filepath.Join(path, name), cloud && name == Metadata)
		}
	}
}

// Replaced are the layers with another content of one file. A file that is not
// among them goes below the kernel command line, above all else.
func Replaced(layers []Layer, file string, text []byte) []Layer {
	out := slices.Clone(layers)
	if at := slices.IndexFunc(out, func(l Layer) bool { return l.Name == file }); at >= 0 {
		out[at].Data = text
		return out
	}
	at := len(out)
	if at > 0 && out[at-1].Settings != nil {
		at--
	}
	return slices.Insert(out, at, Layer{Name: file, Data: text})
}

package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
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
}

// Setting is a word of the kernel command line: "rancher.debug", "true".
type Setting = cmdline.Setting

// Files are the places config is read from. A place that is "" or does not
// exist has no layer.
type Files struct {
	UserData string // of a NoCloud disk; its first line says what it is
	Dir      string // cloud-config.d: every *.yml in name order
	File     string // cloud-config.yml: what ros config writes
}

// Header is the first line of user-data that is for us.
const Header = "#cloud-config"

// Read gets the layers, lowest first: user-data, the directory, the file, the
// kernel command line. What cannot be read is a warning.
func Read(files Files, settings []Setting) ([]Layer, []Warning) {
	var layers []Layer
	var warnings []Warning
	read := func(path string) {
		data, err := yamldoc.Read(path)
		if err != nil {
			warnings = append(warnings, Warning{Layer: path, Message: err.Error()})
			return
		}
		layers = append(layers, Layer{Name: path, Data: data})
	}
	if exists(files.UserData) {
		before := len(layers)
		read(files.UserData)
		if len(layers) > before {
			if message := unusable(layers[before].Data); message != "" {
				warnings = append(warnings, Warning{Layer: files.UserData, Line: 1, Message: message})
				layers = layers[:before]
			}
		}
	}
	if files.Dir != "" {
		entries, err := os.ReadDir(files.Dir) // sorted by name
		if err != nil && !os.IsNotExist(err) {
			warnings = append(warnings, Warning{Layer: files.Dir, Message: fmt.Sprintf("cannot read the directory: %v", err)})
		}
		for _, entry := range entries {
			name := entry.Name()
			ext := filepath.Ext(name)
			if (ext == ".yml" || ext == ".yaml") && !strings.HasPrefix(name, ".") && !entry.IsDir() {
				read(filepath.Join(files.Dir, name))
			}
		}
	}
	if exists(files.File) {
		read(files.File)
	}
	if len(settings) > 0 {
		layers = append(layers, Layer{Name: "kernel command line", Settings: settings})
	}
	return layers, warnings
}

func exists(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Lstat(path)
	return !os.IsNotExist(err)
}

// unusable says why user-data is not for us. On a seed disk lies whatever the
// cloud's customer wrote, and a script read as YAML would make no sense.
func unusable(data []byte) string {
	first, _, _ := bytes.Cut(bytes.TrimPrefix(data, []byte("\ufeff")), []byte("\n"))
	line := strings.TrimRight(string(first), " \t\r")
	switch {
	case line == Header || len(bytes.TrimSpace(data)) == 0:
		return ""
	case strings.HasPrefix(line, "#!"):
		return "is a script, which has no effect yet"
	case strings.HasPrefix(line, "\x1f\x8b"):
		return "is compressed, which has no effect yet"
	case strings.HasPrefix(line, "#compose"):
		return "is a Compose file, which has no effect yet"
	}
	return fmt.Sprintf("does not begin with %q, so it is not read", Header)
}

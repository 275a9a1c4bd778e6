package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/yamldoc"
)

// kernelLines are where the kernel command line is. The console sees it without
// what stands behind " -- "; PID 1 sees all of it.
var kernelLines = []string{"/proc/1/root/proc/cmdline", "/proc/cmdline"}

// configNow are the entries that count. Root sees what the files say now; for
// everybody else rosd answers with what it has applied, and without secrets.
func (a *app) configNow(ctx context.Context, private bool) ([]config.Entry, []string, error) {
	if a.uid != 0 {
		view, err := a.daemon().config(ctx)
		return view.Entries, view.Warnings, a.explain("read the config", err)
	}
	cfg, said := a.loaded()
	return cfg.Entries(private), said, nil
}

// configTwice is configNow with secrets, as far as the caller may see them, and
// without, of one reading.
func (a *app) configTwice(ctx context.Context) (whole, shown []config.Entry, err error) {
	if a.uid != 0 {
		entries, _, err := a.configNow(ctx, false)
		return entries, entries, err
	}
	cfg, _ := a.loaded()
	return cfg.Entries(true), cfg.Entries(false), nil
}

// loaded is what all layers say, and what is wrong with them.
func (a *app) loaded() (*config.Config, []string) {
	layers, warnings := a.layers()
	cfg, more := config.Load(layers...)
	var said []string
	for _, w := range append(warnings, more...) {
		said = append(said, w.String())
	}
	return cfg, said
}

// layers reads all layers, as rosd does.
func (a *app) layers() ([]config.Layer, []config.Warning) {
	line := a.kernelLine()
	store := configstore.New(a.conf)
	files := config.Files{OEM: a.oem, Datasource: store.Datasource(), Dir: store.FileDir(), File: store.File()}
	if line.OnlyDefaults() {
		files = config.Files{}
	}
	return config.Read(files, line.Settings())
}

func (a *app) kernelLine() cmdline.Line {
	for _, path := range a.kernelLines {
		if text, err := os.ReadFile(path); err == nil {
			return cmdline.Parse(string(text))
		}
	}
	return cmdline.Line{}
}

// configFile is cloud-config.yml as it is.
type configFile struct {
	path string
	text []byte
	sum  string // as in control.ConfigWrite
}

// beginning is what there is to edit.
func (f configFile) beginning() []byte {
	if len(bytes.TrimSpace(f.text)) == 0 {
		return []byte(config.Header + "\n")
	}
	return f.text
}

func (a *app) configFile() (configFile, error) {
	f := configFile{path: configstore.New(a.conf).File()}
	if _, err := os.Lstat(f.path); errors.Is(err, os.ErrNotExist) {
		return f, nil
	}
	text, err := yamldoc.Read(f.path)
	if err != nil {
		return f, fmt.Errorf("cannot use %s: %w", f.path, err)
	}
	f.text, f.sum = text, hexSum(text)
	return f, nil
}

func hexSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// input is a file that was named, or standard input for none or "-".
func (a *app) input(name string) (as string, text []byte, err error) {
	if name != "" && name != "-" {
		text, err = yamldoc.Read(name)
		if err != nil {
			return name, nil, fmt.Errorf("cannot use %s: %w", name, err)
		}
		return name, text, nil
	}
	text, err = io.ReadAll(io.LimitReader(a.stdin, yamldoc.MaxSize+1))
	if err == nil && len(text) > yamldoc.MaxSize {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return "", nil, fmt.Errorf("cannot read standard input: %w", err)
	}
	return "standard input", text, nil
}

// below are the entries at and below a key, with their paths cut to it.
func below(entries []config.Entry, path []string) []config.Entry {
	var found []config.Entry
	for _, e := range entries {
		if len(e.Path) >= len(path) && slices.Equal(e.Path[:len(path)], path) {
			e.Path = e.Path[len(path):]
			found = append(found, e)
		}
	}
	return found
}

// valueOf is the value of a key as YAML: that of an entry, a mapping of those
// below it, or a part of one above it; "": it has none.
func valueOf(entries []config.Entry, path []string) (string, error) {
	found := below(entries, path)
	if len(found) == 1 && len(found[0].Path) == 0 {
		return strings.TrimSuffix(found[0].Value, "\n"), nil
	}
	if len(found) > 0 {
		text, err := config.Document(found)
		return strings.TrimSuffix(strings.TrimPrefix(string(text), config.Header+"\n"), "\n"), err
	}
	for n := len(path) - 1; n > 0; n-- {
		for _, e := range entries {
			if slices.Equal(e.Path, path[:n]) {
				return within(e.Value, path[n:])
			}
		}
	}
	return "", nil
}

// within is a part of a value, such as the image of a service.
func within(text string, path []string) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
		return "", err
	}
	n := doc.Content[0]
	for _, part := range path {
		at := -1
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				at = i + 1
			}
		}
		if at < 0 {
			return "", nil
		}
		n = n.Content[at]
	}
	out, err := yaml.Marshal(n)
	return strings.TrimSuffix(string(out), "\n"), err
}

// bare is a single value without the quotes of YAML, for scripts; anything else
// as it is.
func bare(text string) string {
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) == nil && len(doc.Content) == 1 && doc.Content[0].Kind == yaml.ScalarNode {
		return strings.TrimSuffix(doc.Content[0].Value, "\n")
	}
	return text
}

// asJSON is a YAML value for --json; "" is null.
func asJSON(text string) (any, error) {
	var v any
	err := yaml.Unmarshal([]byte(text), &v)
	return v, err
}

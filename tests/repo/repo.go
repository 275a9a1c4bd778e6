// Package repo holds the rules of the source tree as tests: what may import
// what, what every package and file must have, what may not stand anywhere. A
// rule that is not here is not held for long.
//
// The package itself only finds the tree and its files.
package repo

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Module is the import path of the tree.
const Module = "github.com/rosteros/ros"

// Top is the top directory of the tree.
func Top() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the tree: %w", err)
	}
	name := strings.TrimSpace(string(out))
	if filepath.Base(name) != "go.mod" {
		return "", errors.New("cannot find the tree: not in a module")
	}
	return filepath.Dir(name), nil
}

// File is a file of the tree.
type File struct {
	Name string // relative to the top, with slashes
	Text []byte
}

// Files are the regular files that git tracks, and those that it would track
// after git add, so that a rule bites before a commit.
func Files(top string) ([]File, error) {
	out, err := exec.Command("git", "-C", top, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the files of the tree: %w", err)
	}
	var files []File
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		path := filepath.Join(top, name)
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // removed, or a symlink
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, File{name, text})
	}
	return files, nil
}

// Binary says whether a file is not text.
func (f File) Binary() bool { return bytes.IndexByte(f.Text, 0) >= 0 }

// Ext is the file's extension, with the dot.
func (f File) Ext() string { return filepath.Ext(f.Name) }

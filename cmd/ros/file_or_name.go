package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// systemRoot is where the files are that rosd sees: PID 1's, and no console's.
const systemRoot = "/proc/1/root"

// fileOrName is a word that may name a file or a folder, or be the name of
// something else: an image, an entry of a catalog, a release. rosd works in
// another directory, so a file is told as a path from the root. It is one when it
// begins with a dot or a slash, as for docker and apt, or when there is a file of
// a kind that no name ends in.
func fileOrName(word string) (string, error) { return pathOrName(word, systemRoot) }

func pathOrName(word, root string) (string, error) {
	first, _, slash := strings.Cut(word, "/")
	kinds := []string{".tar", ".gz", ".xz", ".zst", ".yml", ".yaml"}
	if !(first == "" && slash || first == "." || first == ".." || slices.Contains(kinds, filepath.Ext(word)) && isFile(word)) {
		return word, nil
	}
	path, err := filepath.Abs(word)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return path, nil // who looks for it says that it is not there
	}
	if _, err := os.Stat(root + path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot use %s: it is in the console only, where the system does not see it; put it below /home, /opt, /tmp, /mnt or /media", path)
	}
	return path, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

package statedisk

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path"

	"github.com/rosteros/ros/internal/sshkeys"
)

// marker begins a disk that asks to be formatted, as docker-machine and
// boot2docker make them: the words alone, or a tar archive whose first entry has
// them for its name (boot2docker, rootfs/etc/rc.d/automount).
const marker = "boot2docker, please format-me"

// markSize is as much of such a disk as may be its archive: eight times what
// RancherOS read.
const markSize = 64 << 10

// readMark tells whether a disk is marked, and the keys that its archive has
// for logging in. An archive that is cut off or damaged has fewer or none.
func readMark(device string) (marked bool, keys []string, err error) {
	f, err := os.Open(device)
	if err != nil {
		return false, nil, err
	}
	defer f.Close()
	head := make([]byte, markSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, nil, err
	}
	head = head[:n]
	if !bytes.HasPrefix(head, []byte(marker)) {
		return false, nil, nil
	}
	archive := tar.NewReader(bytes.NewReader(head))
	for {
		h, err := archive.Next()
		if err != nil {
			return true, nil, nil
		}
		if path.Clean(h.Name) != ".ssh/authorized_keys" {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return true, nil, nil
		}
		return true, sshkeys.Lines(string(text)), nil
	}
}

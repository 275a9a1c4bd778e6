// Package atomicfile writes files that must survive a power cut: a reader sees
// the old content or the new one, never a part and never an empty file.
//
// It guarantees that once WriteFile has returned nil the new content is on the
// disk, as far as the disk tells the truth. It does not guard against two
// writers: the last rename wins. It replaces what it is given the path of, so
// owner, extended attributes and hard links of the old file are not kept, and
// a symbolic link is replaced rather than followed.
package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile makes data the content of path, with exactly the permissions perm
// (the umask is not applied). The directory must exist. On an error path holds
// the old content, or the new one if only the last sync failed, and nothing is
// left beside it.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	if err := write(path, data, perm); err != nil {
		return fmt.Errorf("cannot write file %q: %w", path, err)
	}
	return nil
}

func write(path string, data []byte, perm os.FileMode) (err error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	// The name begins with a dot so that programs which read whole directories
	// (cloud-config.d) pass over what a power cut left behind.
	temp, err := os.CreateTemp(dir, "."+base+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err := temp.Write(data); err != nil {
		return err
	}
	if err := temp.Chmod(perm); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the rename itself durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rosteros/ros/internal/statedisk"
)

// File is a file on the state disk. Its folders are made as PID 1 makes them:
// it leaves alone what is there.
type File struct {
	Path string // below the top of the state disk: var/lib/rancher/conf/cloud-config.d/user_config.yml
	Mode fs.FileMode
	Data []byte
}

// privateDirs are folders that only root may look into.
var privateDirs = map[string]bool{"var/lib/rancher/conf": true}

// makeState makes the state disk.
func (j Job) makeState(ctx context.Context, disk *Disk, part Extent) error {
	j.Events.Progress(stepState, 0, 0)
	const block = 4096
	args := []string{"mke2fs", "-q", "-F", "-t", "ext4", "-b", strconv.Itoa(block), "-m", "1", "-L", statedisk.Label, "-U", j.IDs.State,
		// nodiscard: mke2fs would discard from the beginning of the disk, whatever
		// the offset. The journal of a disk image grows no more, so its size is
		// not left to that of the image.
		"-J", "size=64", "-E", fmt.Sprintf("offset=%d,hash_seed=%s,nodiscard,lazy_itable_init=1", part.Start, j.IDs.HashSeed)}
	if len(j.Seed) > 0 {
		dir, err := seedDir(j.Seed)
		if err != nil {
			return fmt.Errorf("make the state disk: %w", err)
		}
		defer os.RemoveAll(dir)
		args = append(args, "-d", dir)
	}
	if err := j.Run(ctx, nil, io.Discard, append(args, disk.Path, strconv.FormatInt(part.Size/block, 10))...); err != nil {
		return fmt.Errorf("make the state disk: %w", err)
	}
	j.Events.Progress(stepState, part.Size, part.Size)
	return nil
}

// seedDir is a folder with the files, as they are to be on the state disk.
func seedDir(files []File) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "install-"); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // it becomes the root of the file system
		return "", err
	}
	for _, f := range files {
		if err := putFile(dir, f); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func putFile(top string, f File) error {
	if err := makeDirs(top, filepath.Dir(f.Path)); err != nil {
		return err
	}
	path := filepath.Join(top, f.Path)
	if err := os.WriteFile(path, f.Data, f.Mode); err != nil {
		return err
	}
	return os.Chmod(path, f.Mode)
}

// makeDirs makes the folders that are missing.
func makeDirs(top, dir string) error {
	if dir == "." {
		return nil
	}
	if err := makeDirs(top, filepath.Dir(dir)); err != nil {
		return err
	}
	mode := fs.FileMode(0o755)
	if privateDirs[dir] {
		mode = 0o700
	}
	path := filepath.Join(top, dir)
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

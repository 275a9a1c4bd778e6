package bootloader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Files is a FAT file system as GRUB's variables and slots need it: no order is
// promised between two changes but by Sync. Names are relative, with slashes.
// It exists so that tests can cut the power between any two changes.
type Files interface {
	// Open opens a file. errors.Is(err, fs.ErrNotExist) tells that it is not there.
	Open(name string) (io.ReadCloser, error)
	// Size is how long a file is.
	Size(name string) (int64, error)
	// Create makes a file, and the directories above it, with what r has.
	Create(name string, r io.Reader) error
	// Overwrite changes bytes of a file where they lie, and returns when the disk
	// has them. The file keeps its length and its place.
	Overwrite(name string, at int64, data []byte) error
	// Rename replaces what has the new name.
	Rename(from, to string) error
	// Remove removes a file; one that is not there is no error.
	Remove(name string) error
	// Sync returns when the disk has every change.
	Sync() error
	// Free is the space left, in bytes.
	Free() (int64, error)
}

// Dir is the file system mounted at a directory.
func Dir(dir string) Files { return files{dir} }

type files struct{ dir string }

func (f files) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f files) Open(name string) (io.ReadCloser, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	// What is read back must come from the disk. It is only advice: pages that
	// are not yet written stay, which is why Sync comes first.
	_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
	return file, nil
}

func (f files) Size(name string) (int64, error) {
	info, err := os.Stat(f.path(name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f files) Create(name string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(f.path(name)), 0o755); err != nil {
		return err
	}
	file, err := os.Create(f.path(name))
	if err != nil {
		return err
	}
	_, err = io.Copy(file, r)
	return errors.Join(err, file.Close())
}

func (f files) Overwrite(name string, at int64, data []byte) error {
	file, err := os.OpenFile(f.path(name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, at)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func (f files) Rename(from, to string) error { return os.Rename(f.path(from), f.path(to)) }

func (f files) Remove(name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f files) Sync() error {
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

func (f files) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(f.dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

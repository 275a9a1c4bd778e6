package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/mounts"
)

// Keep puts files onto the state disk of a disk that was renewed. If the system
// that runs has it mounted, they go there; else it is mounted for that long.
func (m Machine) Keep(target Target, files []File) error {
	if len(files) == 0 {
		return nil
	}
	state, ok := target.part(State)
	if !ok {
		return fmt.Errorf("cannot write to the state disk: %q has none", target.Path)
	}
	if err := m.keep(state, files); err != nil {
		return fmt.Errorf("cannot write to the state disk %q: %w", state.Path, err)
	}
	return nil
}

func (m Machine) keep(state Part, files []File) (err error) {
	top, err := m.mountedAt(state.Path)
	if err != nil {
		return err
	}
	if top == "" {
		if top, err = os.MkdirTemp(m.Scratch, "state-"); err != nil {
			return err
		}
		defer os.Remove(top)
		if err := m.Sys.Mount(state.Path, top, state.Content.Type, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Sys.Unmount(top, 0)) }()
	}
	for _, f := range files {
		if err := makeDirs(top, filepath.Dir(f.Path)); err != nil {
			return err
		}
		if err := atomicfile.WriteFile(filepath.Join(top, f.Path), f.Data, f.Mode); err != nil {
			return err
		}
	}
	return nil
}

// mountedAt is where a device is mounted first, "" if it is not.
func (m Machine) mountedAt(path string) (string, error) {
	points, err := m.points()
	if err != nil {
		return "", err
	}
	for _, p := range points {
		if p.Source == path {
			return p.Target, nil
		}
	}
	return "", nil
}

func (m Machine) points() ([]mounts.Point, error) {
	f, err := os.Open(m.Mounts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mounts.Table(f)
}

package datasource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// configDrive is OpenStack's metadata on a disk labelled config-2. Others use
// it as well.
type configDrive struct {
	disks Disks
	dir   string // read this directory instead of a disk, if it is there; "": a disk
}

// isConfigDrive wants the disks that hold one.
var isConfigDrive = labelled("config-2")

func newConfigDrive(m Machine, argument string) (Source, error) {
	s := configDrive{disks: m.Disks}
	if argument != "" {
		if !path.IsAbs(argument) {
			return nil, fmt.Errorf("%q is not an absolute path", argument)
		}
		s.dir = filepath.Join(m.Root, argument)
	}
	return s, nil
}

func (configDrive) Name() string { return "configdrive" }

func (s configDrive) Fetch(ctx context.Context) (*Data, error) {
	// RancherOS names the directory where it mounts the disk. Here the disk is
	// mounted for nobody else, so the directory is often not there.
	if s.dir != "" {
		if root, err := os.OpenRoot(s.dir); err == nil {
			defer root.Close()
			if data, err := readConfigDrive(root.FS()); !errors.Is(err, ErrAbsent) {
				return data, err
			}
		}
	}
	var data *Data
	err := s.disks.Read(ctx, isConfigDrive, func(fsys fs.FS) (err error) {
		data, err = readConfigDrive(fsys)
		return err
	})
	return data, err
}

func readConfigDrive(fsys fs.FS) (*Data, error) {
	return openStackData(func(name string) ([]byte, error) {
		text, err := readFile(fsys, path.Join("openstack/latest", name))
		if err == nil && text == nil {
			err = fmt.Errorf("%s: %w", name, ErrAbsent)
		}
		return text, err
	})
}

// network takes what a converter of network data made.
func (d *Data) network(n netConfig, notes []string, err error) {
	notes = append(notes, n.sound()...)
	for _, note := range notes {
		d.Notes = append(d.Notes, "network: "+note)
	}
	if err == nil {
		d.Network, err = n.yaml()
	}
	if err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("network: %v", err))
	}
}

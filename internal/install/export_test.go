package install

import "os"

// Script is what sfdisk is told.
func Script(l Layout, ids IDs) string { return l.script(ids) }

// OpenImage opens a file that CreateImage has made.
func OpenImage(path string, size, sectorSize int64) (*Disk, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	return &Disk{Path: path, Size: size, SectorSize: sectorSize, file: file}, err
}

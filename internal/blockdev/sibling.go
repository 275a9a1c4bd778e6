package blockdev

import "fmt"

// Sibling is the partition with that PARTLABEL on the disk that spec is on. A
// machine may have a second disk with partitions of the same names.
// errors.Is(err, ErrNotFound) tells that it is not there.
func (h Host) Sibling(spec, partLabel string) (Device, error) {
	of, err := h.Find(spec)
	if err != nil {
		return Device{}, err
	}
	devices, err := h.List()
	if err != nil {
		return Device{}, err
	}
	for _, d := range devices {
		if d.PartLabel == partLabel && d.Disk != "" && d.Disk == of.Disk {
			return h.Identify(d), nil
		}
	}
	return Device{}, fmt.Errorf("no partition %s beside %s: %w", partLabel, of.Path, ErrNotFound)
}

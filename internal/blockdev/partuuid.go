package blockdev

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Identify fills in the PARTUUID of a partition that List has found. The kernel of Debian 13 knows
// it and does not tell: its uevent has PARTNAME and no PARTUUID. So it is read
// from the partition table; where there is no GPT it stays empty.
func (h Host) Identify(d Device) Device {
	if d.PartUUID != "" || d.Disk == "" {
		return d
	}
	disk, err := os.OpenFile(filepath.Join(h.Dev, d.Disk), os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return d
	}
	defer disk.Close()
	table, err := readGPT(disk, d.SectorSize, 1)
	if err != nil {
		return d
	}
	if e := table.entry(d.Partition); e.used() {
		d.PartUUID = e.uuid()
	}
	return d
}

// uuid is the GUID of the partition as text. Its first three fields are little
// endian (UEFI specification, appendix A).
func (e gptEntry) uuid() string {
	g := e[16:32]
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(g), le.Uint16(g[4:]), le.Uint16(g[6:]), g[8:10], g[10:16])
}

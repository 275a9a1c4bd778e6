package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/bootloader"
)

// writeTable makes the partitions. Firmware finds the EFI system partition from
// here on.
func (j Job) writeTable(ctx context.Context, disk *Disk, layout Layout) error {
	args := []string{"sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", "--wipe-partitions", "never"}
	if !disk.device && disk.SectorSize != 512 {
		args = append(args, "--sector-size", strconv.FormatInt(disk.SectorSize, 10)) // a device says it itself
	}
	if err := j.Run(ctx, strings.NewReader(layout.script(j.IDs)), io.Discard, append(args, disk.Path)...); err != nil {
		return fmt.Errorf("write the partition table: %w", err)
	}
	return disk.Settle()
}

// writeBIOS makes BIOS start the disk: its one sector is the last to be written.
func (j Job) writeBIOS(disk *Disk, part Extent) error {
	if len(j.Boot.Boot) == 0 {
		return nil
	}
	return bootloader.WriteBIOS(synced{disk}, j.Boot.Boot, j.Boot.Core, part.Start, part.Size)
}

// synced is a disk on which every write is over before the next one begins.
type synced struct{ *Disk }

func (s synced) WriteAt(p []byte, at int64) (int, error) {
	n, err := s.Disk.WriteAt(p, at)
	return n, errors.Join(err, s.file.Sync())
}

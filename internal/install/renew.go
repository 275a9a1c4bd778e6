package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/slots"
)

// Renew writes slot A, the boot loader and its files anew on a disk that Write
// has made. The partitions and the state disk stay as they are; slot B is given
// up.
func (j Job) Renew(ctx context.Context, disk *Disk, target Target, host Machine) error {
	if err := j.renew(ctx, disk, target, host); err != nil {
		return fmt.Errorf("cannot install on %q: %w", disk.Path, err)
	}
	return nil
}

func (j Job) renew(ctx context.Context, disk *Disk, target Target, host Machine) error {
	layout, err := host.layout(target)
	if err != nil {
		return err
	}
	if err := j.fits(layout); err != nil {
		return err
	}
	root, _ := target.part(RootA)
	tree, err := j.tree(ctx, slots.A, root.PartUUID)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		// GRUB finds nothing to start from here on.
		func() error { return disk.zero(layout.Part(ESP).Start, mib) },
		func() error { return disk.zero(layout.Part(BootNote).Start, mib) },
		disk.Settle,
		func() error { return j.writeImage(ctx, disk, layout.Part(RootA)) },
		func() error { return j.makeESP(ctx, disk, layout.Part(ESP), tree) },
		disk.Settle,
		func() error { return j.readBack(ctx, disk, layout.Part(RootA), layout.Part(ESP), tree) },
		func() error { return j.writeBIOS(disk, layout.Part(BIOS)) },
		func() error { return j.finishESP(ctx, disk, layout.Part(ESP), tree) },
		disk.Settle,
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// layout is where the partitions of a disk lie that Write has made.
func (m Machine) layout(t Target) (Layout, error) {
	l := Layout{SectorSize: t.SectorSize, parts: make([]Extent, len(partitions))}
	parts, err := t.renewable()
	if err != nil {
		return l, err
	}
	for n := BIOS; n <= State; n++ {
		text, err := os.ReadFile(filepath.Join(m.Host.Sys, "class/block", parts[n].Name, "start"))
		if err != nil {
			return l, err
		}
		start, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return l, err
		}
		l.parts[n] = Extent{start * 512, parts[n].Size} // in 512s, whatever the sector is
	}
	return l, nil
}

package apply

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/mounts"
)

// resizeStamp is where RancherOS kept that resize_device had been done.
const resizeStamp = "var/lib/rancher/resizefs.done"

// growpart grows the partitions of growpart.devices, once in a boot. PID 1 has
// grown the state partition ("/") already.
func (b *boot) growpart(ctx context.Context) {
	if mode := b.cfg.Growpart.Mode; mode == "off" || mode == "false" {
		return
	}
	for _, spec := range b.cfg.Growpart.Devices {
		if spec == "/" || slices.Contains(b.was.Grown, spec) || !b.due("growpart.devices") {
			continue
		}
		d, err := b.h.devices().Find(spec)
		if err == nil {
			err = b.grow(ctx, d)
		}
		if err != nil {
			b.failed(fmt.Errorf("growpart: %w", err))
			continue
		}
		b.was.Grown = append(b.was.Grown, spec)
	}
}

// resizeDevice grows the first partition of rancher.resize_device, once for
// good.
func (b *boot) resizeDevice(ctx context.Context) {
	spec := b.cfg.Rancher.ResizeDevice
	if spec == "" || b.h.present(resizeStamp) || !b.due("rancher.resize_device") {
		return
	}
	d, err := b.h.devices().Find(spec)
	if err == nil && d.Partition == 0 {
		d, err = b.firstPartition(d)
	}
	if err == nil {
		err = b.grow(ctx, d)
	}
	if err != nil {
		b.failed(fmt.Errorf("rancher.resize_device: %w", err))
		return
	}
	_, err = b.h.put(resizeStamp, []byte(spec+"\n"), 0o644)
	b.failed(err)
}

// devices are those of the machine.
func (h *Host) devices() blockdev.Host {
	return blockdev.Host{Sys: h.Path("sys"), Dev: h.Path("dev")}
}

// firstPartition is the first partition of a disk, or the disk if it has none.
func (b *boot) firstPartition(disk blockdev.Device) (blockdev.Device, error) {
	all, err := b.h.devices().List()
	if err != nil || disk.Partitions == 0 {
		return disk, err
	}
	at := slices.IndexFunc(all, func(d blockdev.Device) bool { return d.Disk == disk.Name })
	return all[at], nil
}

// grow grows a partition and the file system on it.
func (b *boot) grow(ctx context.Context, d blockdev.Device) error {
	growth, err := b.h.devices().Grow(d)
	if err != nil {
		return err
	}
	size := max(d.Size, growth.NewSize)
	content, err := blockdev.Probe(d.Path)
	if err != nil {
		return err
	}
	const worthIt = 1 << 20
	switch {
	case content.Size > 0 && size < content.Size+worthIt || !growth.Grown && content.Size == 0:
		return nil
	case !strings.HasPrefix(content.Type, "ext"):
		return fmt.Errorf("%s: cannot grow a file system of type %q, only its partition", d.Path, content.Type)
	}
	if err := b.resize(ctx, d.Path); err != nil {
		return fmt.Errorf("cannot grow the file system on %s: %w", d.Path, err)
	}
	b.outcome.Did = append(b.outcome.Did, fmt.Sprintf("grew %s to %d MiB", d.Path, size>>20))
	return nil
}

// resize is resize2fs. One that is not mounted has to be checked before. On a
// large disk that takes longer than anybody waits: what has begun comes to its
// end, whoever goes on meanwhile.
func (b *boot) resize(ctx context.Context, device string) error {
	ctx = context.WithoutCancel(ctx)
	mounted, err := b.h.mounted()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(mounted, func(m mounts.Point) bool { return m.Source == device }) {
		const corrected = 1
		_, err := b.h.System.Run(ctx, "/usr/sbin/e2fsck", "-f", "-p", device)
		var exit *exec.ExitError
		if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == corrected) {
			return err
		}
	}
	_, err = b.h.System.Run(ctx, "/usr/sbin/resize2fs", device)
	return err
}

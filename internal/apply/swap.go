package apply

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/mounts"
)

const (
	defaultSwapFile = "/var/swapfile"
	swapRecord      = "var/lib/rancher/conf/swapfile" // the path of the file that we made, over reboots
	leastSwap       = 1 << 20
)

// Swap makes the swap file and swaps to it. Without it in the config the file
// goes, if it was made here.
func Swap(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	var o Outcome
	path := filepath.Clean(cmp.Or(cfg.Swap.Filename, defaultSwapFile))
	wanted := cfg.Swap.Size != 0
	if made := h.line(swapRecord); made != "" && (!wanted || made != path) {
		if err := h.dropSwap(made); err != nil {
			return o, fmt.Errorf("swap: cannot take %s away: %w", made, err)
		}
		o.Did = append(o.Did, "no more swap in "+made)
	}
	if !wanted {
		return o, nil
	}
	did, err := h.swapFile(ctx, path, cfg.Swap)
	if err != nil {
		return o, fmt.Errorf("swap: cannot swap to %s: %w", path, err)
	}
	if did {
		o.Did = append(o.Did, "swap is in "+path)
	}
	return o, nil
}

// swapSize is how large the file has to be, in whole MiB.
func (h *Host) swapSize(s config.Swap) (int64, error) {
	size := int64(s.Size)
	if size < 0 {
		memory, err := h.memory()
		if err != nil {
			return 0, err
		}
		size = memory
		if s.MaxSize > 0 {
			size = min(size, int64(s.MaxSize))
		}
	}
	if size = size / leastSwap * leastSwap; size == 0 {
		return 0, errors.New("it would be smaller than 1 MiB")
	}
	return size, nil
}

// memory is how much the machine has, in bytes.
func (h *Host) memory() (int64, error) {
	f, err := os.Open(h.Path("proc/meminfo"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "MemTotal: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, errors.New("the kernel does not say how much memory there is")
}

// swapFile makes the file and swaps to it. One whose size was chosen by itself
// may be smaller: the disk was fuller then, or the machine had less memory.
func (h *Host) swapFile(ctx context.Context, path string, s config.Swap) (did bool, err error) {
	size, err := h.swapSize(s)
	if err != nil {
		return false, err
	}
	if err := h.checkSwapFile(path); err != nil {
		return false, err
	}
	full := h.Path(path)
	on, err := h.swapping(path)
	if err != nil {
		return false, err
	}
	info, err := os.Stat(full)
	fits := err == nil && (info.Size() == size || s.Size < 0 && info.Size() >= leastSwap && info.Size() < size)
	if on && fits {
		return false, nil
	}
	if !fits {
		if on {
			if err := h.System.Swapoff(full); err != nil {
				return false, err
			}
		}
		if err := h.makeSwap(ctx, path, size, s.Size < 0); err != nil {
			return false, err
		}
	}
	return true, h.System.Swapon(full)
}

// checkSwapFile keeps from taking a file that is somebody's.
func (h *Host) checkSwapFile(path string) error {
	info, err := os.Lstat(h.Path(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return plain(err)
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	case h.line(swapRecord) == path:
		return nil // perhaps not finished
	}
	if content, err := blockdev.Probe(h.Path(path)); err != nil || content.Type != "swap" {
		return errors.New("there is a file already, which is not for swap")
	}
	return nil
}

// makeSwap makes the file, with all its blocks: the kernel takes none with holes.
func (h *Host) makeSwap(ctx context.Context, path string, size int64, auto bool) error {
	full := h.Path(path)
	if err := h.noSwapInMemory(path); err != nil {
		return err
	}
	if _, err := h.put(swapRecord, []byte(path+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := allocate(full, size, auto)
	if err == nil {
		_, err = h.System.Run(ctx, "/usr/bin/busybox", "mkswap", full)
	}
	if err != nil {
		return errors.Join(err, h.dropSwap(path))
	}
	return nil
}

// noSwapInMemory keeps from filling the memory with what should relieve it: a
// machine without a state disk has its files there.
func (h *Host) noSwapInMemory(path string) error {
	mounted, err := h.mounted()
	if err != nil {
		return err
	}
	var place mounts.Point
	for _, m := range mounted {
		if below(path, m.Target) && len(m.Target) >= len(place.Target) {
			place = m
		}
	}
	if place.FSType == "tmpfs" {
		return errors.New("it would be in memory itself: there is no disk below it")
	}
	return nil
}

// below says whether a path is dir or in it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// allocate makes a file that only root can read. One whose size was chosen by
// itself takes no more than half of what is free.
func allocate(path string, size int64, auto bool) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var place unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &place); err != nil {
		return err
	}
	free := int64(place.Bavail) * place.Bsize
	if auto {
		size = min(size, free/2) / leastSwap * leastSwap
	}
	// What is left free is what the machine needs to go on.
	if size == 0 || size > free-free/10 {
		return fmt.Errorf("%d MiB do not fit: %d MiB are free, and a tenth of them stays so", size>>20, free>>20)
	}
	return unix.Fallocate(int(f.Fd()), 0, 0, size)
}

// dropSwap takes a swap file away.
func (h *Host) dropSwap(path string) error {
	on, err := h.swapping(path)
	if err != nil {
		return err
	}
	if on {
		if err := h.System.Swapoff(h.Path(path)); err != nil {
			return err
		}
	}
	if _, err := h.remove(strings.TrimPrefix(path, "/")); err != nil {
		return err
	}
	_, err = h.remove(swapRecord)
	return err
}

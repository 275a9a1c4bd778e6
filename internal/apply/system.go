package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/modules"
	"github.com/rosteros/ros/internal/mounts"
)

// kernel is System on the machine that rosd runs on.
type kernel struct {
	params map[string]string // of modules, from the kernel command line
	log    *slog.Logger
	once   sync.Mutex // one module at a time
}

// LocalSystem is the machine that this program runs on. params are the
// parameters that the kernel command line gives modules.
func LocalSystem(params map[string]string, log *slog.Logger) System {
	return &kernel{params: params, log: log}
}

func (*kernel) Sethostname(name string) error { return unix.Sethostname([]byte(name)) }

// Mount leaves the module of the file system to the kernel, which has modprobe
// load it (Documentation/admin-guide/sysctl/kernel.rst, modprobe).
func (*kernel) Mount(source, target, fstype string, flags uintptr, options string) error {
	err := unix.Mount(source, target, fstype, flags, options)
	if errors.Is(err, unix.ENODEV) && fstype != "" {
		return fmt.Errorf("no file system of type %q: %w", fstype, err)
	}
	return err
}

func (*kernel) Unmount(target string) error { return unix.Unmount(target, unix.UMOUNT_NOFOLLOW) }

func (*kernel) Swapon(path string) error { return mounts.Swapon(path) }

func (*kernel) Swapoff(path string) error { return mounts.Swapoff(path) }

// LoadModule reads the tables of modules anew each time: they are larger than
// all else that rosd holds, and hardly ever needed.
func (k *kernel) LoadModule(name, params string) error {
	k.once.Lock()
	defer k.once.Unlock()
	dir, err := modules.Dir("/")
	if err != nil {
		return err
	}
	loader, err := modules.New(modules.Options{Dir: dir, Sys: "/sys", Params: k.params, Log: k.log})
	if err != nil {
		return err
	}
	return loader.Load(name, params)
}

// Run gives programs a bare environment, so that they do the same wherever
// rosd was started.
func (*kernel) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.WaitDelay = time.Second // what it started may hold its pipes open
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		if last := lines[len(lines)-1]; last != "" {
			return out, fmt.Errorf("%s: %w: %s", name, err, last)
		}
		return out, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

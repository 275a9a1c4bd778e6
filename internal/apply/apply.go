// Package apply makes a running machine what its config says.
//
// It owns one function for each applier of config.Appliers: what it writes,
// which services it reloads or restarts, and how it takes back what a key that
// is gone had done. It decides nothing about config: package config says which
// keys there are and which applier they belong to; rosd says when.
//
// Every function states what should be and changes only what is not so:
// applying the same config twice changes nothing the second time. What must be
// remembered in order to be undone is in files below /run/ros/applied, so a
// rosd that starts anew goes on where the last one was.
package apply

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/rosteros/ros/config"
)

// Host is the machine as far as config changes it.
type Host struct {
	Root     string // "/", or a directory in tests; every path is below it
	System   System
	Services Services
	Log      *slog.Logger
	Slot     string   // where the OS image came from: "iso", "A", "B"
	Consoles []string // terminals that console= names

	// DockerOptions is where the built-in options of dockerd are, below Root, for
	// the engine that runs; nil: those of the OS's own engine.
	DockerOptions func() string
	// Console, if not nil, is the service in whose container logins go on; "":
	// they stay where they are.
	Console func() string
}

// console is the service that logins are entered into, if they are.
func (h *Host) console() string {
	if h.Console == nil {
		return ""
	}
	return h.Console()
}

// System are the calls that change the kernel's state. A test records them.
type System interface {
	Sethostname(name string) error
	Mount(source, target, fstype string, flags uintptr, options string) error
	Unmount(target string) error
	Swapon(path string) error
	Swapoff(path string) error
	LoadModule(name, params string) error
	// Run runs a program of the host and returns what it printed.
	Run(ctx context.Context, name string, args ...string) ([]byte, error)
}

// Services is what appliers may do to services.
type Services interface {
	// Restart makes a running service start anew; one that is stopped stays so.
	Restart(ctx context.Context, service string) error
	// Signal tells the main process of a running service to look at its files.
	Signal(ctx context.Context, service, signal string) error
	// Files says where the files of a service can be reached from the host: the
	// root of its running container ("": not running) and its bind mounts.
	Files(service string) (root string, mounts []Bind)
}

// Bind is a directory of the host that a service sees.
type Bind struct {
	Source, Target string
	ReadOnly       bool
}

// Outcome is what an applier did.
type Outcome struct {
	Did     []string // "host name is now edge-7"; none: nothing had to be done
	Notes   []string // what could not be taken back, what takes effect later
	Reload  []string // services to send a SIGHUP, by name
	Restart []string // services to restart
}

// Applier makes one part of the machine what cfg says. Restart and Reload in
// its outcome are carried out by the caller, once for each service however many
// appliers ask for it, and not at the first application after boot, when no
// service has been started yet. An error does not keep it from doing the rest
// of its work: errors are joined.
type Applier func(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error)

// Path is a path of the machine.
func (h *Host) Path(parts ...string) string {
	return filepath.Join(append([]string{h.Root}, parts...)...)
}

// put writes a file unless it says so already, with the directories above it.
func (h *Host) put(path string, text []byte, perm os.FileMode) (changed bool, err error) {
	return put(h.Path(path), text, perm)
}

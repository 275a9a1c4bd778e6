package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/rosteros/ros/config"
)

// Names of the machine, which all containers see as /etc/hostname and
// /etc/hosts. The network service writes the same two files when DHCP names
// the machine. It must not when this one is there:
const (
	hostnameFile   = "run/ros/net/hostname"
	hostsFile      = "run/ros/net/hosts"
	namedByConfig  = "run/ros/config/network/hostname"        // the name; only if the config gives one
	hostsUnmanaged = "run/ros/config/network/hosts-unmanaged" // there: /etc/hosts does not name the machine
)

// named is what Hostname did last.
type named struct {
	Name       string
	Configured bool // the config gave the name, not rancher.defaults
}

// Hostname names the machine. Without a name in the config it has the one that
// the network gave it, or the default one until the network gives it one.
func Hostname(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	var was named
	if err := h.recall("hostname", &was); err != nil {
		return Outcome{}, err
	}
	current := h.line(hostnameFile)
	now := named{Name: cfg.Hostname, Configured: cfg.Hostname != ""}
	if !now.Configured {
		now.Name = current
		if current == was.Name { // nobody else has named it
			now.Name = cmp.Or(cfg.Rancher.Defaults.Hostname, "rancher")
		}
	}
	var o Outcome
	if now.Name != current {
		o.Did = append(o.Did, "host name is now "+now.Name)
	}
	if was.Configured && !now.Configured {
		o.Restart = append(o.Restart, "network") // it asks DHCP for a name
	}
	var errs []error
	if h.line("proc/sys/kernel/hostname") != now.Name {
		if err := h.System.Sethostname(now.Name); err != nil {
			errs = append(errs, fmt.Errorf("cannot set host name %q: %w", now.Name, err))
		}
	}
	managed := cfg.ManageEtcHosts != "false"
	_, err := h.put(hostnameFile, []byte(now.Name+"\n"), 0o644)
	errs = append(errs, err)
	changed, err := h.put(hostsFile, []byte(hosts(now.Name, managed)), 0o644)
	errs = append(errs, err)
	if changed && len(o.Did) == 0 {
		o.Did = append(o.Did, "wrote /etc/hosts")
	}
	errs = append(errs, h.mark(namedByConfig, now.Name+"\n", now.Configured), h.mark(hostsUnmanaged, "", !managed))
	// A name from the network is not ours: it may change without our knowing.
	if now.Configured || now.Name != current || current == was.Name {
		errs = append(errs, h.remember("hostname", now))
	}
	return o, errors.Join(errs...)
}

// hosts is /etc/hosts of a machine of that name.
func hosts(name string, managed bool) string {
	text := "127.0.0.1 localhost\n" +
		"::1 localhost ip6-localhost ip6-loopback\n" +
		"ff02::1 ip6-allnodes\n" +
		"ff02::2 ip6-allrouters\n"
	if !managed {
		return text
	}
	if short, _, full := strings.Cut(name, "."); full {
		name += " " + short
	}
	return text + "127.0.1.1 " + name + "\n"
}

// mark makes a file be there with that text, or not be there.
func (h *Host) mark(path, text string, there bool) error {
	var err error
	if there {
		_, err = h.put(path, []byte(text), 0o644)
	} else {
		_, err = h.remove(path)
	}
	return err
}

// line is the text of a file of one line, "" if it cannot be read.
func (h *Host) line(path string) string {
	text, _ := os.ReadFile(h.Path(path))
	return strings.TrimSpace(string(text))
}

// present says whether there is something at a path.
func (h *Host) present(path string) bool {
	_, err := os.Lstat(h.Path(path))
	return err == nil
}

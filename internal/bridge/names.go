package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
)

// write makes the files of all attached services what they should be. They are
// bind-mounted into containers, so they are written in place: a file that takes
// the place of another would not be seen there.
func (n *Networks) write() error {
	machine, err := os.ReadFile(n.o.ResolvConf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, service := range slices.Sorted(maps.Keys(n.members)) {
		m, files := n.members[service], n.Files(service)
		for path, text := range map[string]string{
			files.Hosts: n.hosts(m), files.ResolvConf: resolvConf(m, string(machine)), files.Hostname: m.Hostname + "\n",
		} {
			errs = append(errs, writeInPlace(path, text))
		}
	}
	return errors.Join(errs...)
}

func writeInPlace(path, text string) error {
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return nil
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// hosts is /etc/hosts of a service: itself, what its file says, and the other
// services of its networks by name, alias and link.
func (n *Networks) hosts(m member) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	for _, h := range m.Service.ExtraHosts {
		if h.Address == compose.HostGateway {
			h.Address = m.Links[0].Network.Gateway
			if out := m.wayOut(); out != nil {
				h.Address = out.Network.Gateway
			}
		}
		fmt.Fprintf(&b, "%s %s\n", h.Address, h.Name)
	}
	for _, l := range m.Links {
		addresses := n.addresses(l.Network)
		for _, name := range slices.Sorted(maps.Keys(addresses)) {
			words := append([]string{name}, n.aliases(name, l.Network.Name)...)
			for _, link := range m.Service.Links {
				if link.Service == name {
					words = append(words, link.Alias)
				}
			}
			if name == m.Service.Name {
				words = append([]string{m.Hostname}, words...)
			}
			slices.Sort(words[1:])
			fmt.Fprintf(&b, "%s %s\n", addresses[name], strings.Join(slices.Compact(words), " "))
		}
	}
	return b.String()
}

// aliases are the further names of a service in a network.
func (n *Networks) aliases(service, network string) []string {
	known := n.o.Services()
	if m, attached := n.members[service]; attached {
		known = []compose.Service{m.Service}
	}
	for _, s := range known {
		for _, a := range s.Networks {
			if s.Name == service && a.Network.Name == network {
				return a.Aliases
			}
		}
	}
	return nil
}

// resolvConf is that of a service: the machine's, with what the service's file
// says. A name server on a loopback address of the machine is asked through the
// gateway, from where a rule leads there; with no way out nobody can be asked.
func resolvConf(m member, machine string) string {
	s := m.Service
	servers, search, options := settings(machine)
	out := m.wayOut()
	for i, server := range servers {
		if _, ok := loopbackAddress(server); ok && out != nil {
			servers[i] = out.Network.Gateway
		}
	}
	servers = slices.DeleteFunc(servers, func(server string) bool {
		a, err := netip.ParseAddr(server)
		return err == nil && !a.Is4() // they have no IPv6
	})
	if out == nil {
		servers = nil
	}
	for _, own := range []struct {
		from []string
		to   *[]string
	}{{s.DNS, &servers}, {s.DNSSearch, &search}, {s.DNSOpt, &options}} {
		if len(own.from) > 0 {
			*own.to = own.from
		}
	}
	var lines []string
	for _, server := range servers {
		if line := "nameserver " + server; !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(search) > 0 {
		lines = append(lines, "search "+strings.Join(search, " "))
	}
	if len(options) > 0 {
		lines = append(lines, "options "+strings.Join(options, " "))
	}
	return strings.Join(lines, "\n") + "\n"
}

// settings are what a resolv.conf says (resolv.conf(5)).
func settings(resolvConf string) (servers, search, options []string) {
	for line := range strings.Lines(resolvConf) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			servers = append(servers, words[1])
		case "search", "domain":
			search = words[1:]
		case "options":
			options = append(options, words[1:]...)
		}
	}
	return servers, search, options
}

// loopbackAddress is that of a name server that answers to the machine alone;
// IPv4, since it is reached by it.
func loopbackAddress(server string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(server)
	return a, err == nil && a.Is4() && a.IsLoopback()
}

// loopbackServer is the first such name server of the machine.
func (n *Networks) loopbackServer() (netip.Addr, bool) {
	text, _ := os.ReadFile(n.o.ResolvConf)
	servers, _, _ := settings(string(text))
	for _, server := range servers {
		if a, ok := loopbackAddress(server); ok {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// watch says when a file in a directory has been written or replaced, until ctx
// ends.
func watch(ctx context.Context, dir string) (<-chan struct{}, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	events := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO); err != nil {
		events.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { events.Close() })
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		defer stop()
		buf := make([]byte, 4096) // what has changed does not matter
		for {
			if _, err := events.Read(buf); err != nil {
				return
			}
			select {
			case changed <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return changed, nil
}

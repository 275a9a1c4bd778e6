// Package bridge owns the networks of services in scope system: a bridge of the
// kernel for each network, a network namespace for each service that is in one,
// the addresses, the firewall rules, the ports of the machine that are taken for
// them, and the files by which a service finds names.
//
// It knows nothing of containers: package containers asks for a namespace before
// a container starts and gives it back when it has ended. All of it is in the
// kernel and below /run, so rosd may die at any time: the next one reads what is
// there (New) and drops what has lost its container meanwhile (Keep).
//
// Networks have IPv4 only. Addresses follow from names, so they are the same
// after a restart and after a boot, but for names that happen to want the same
// one.
package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/compose"
)

// Options are the places of the running machine; one that is "" has the value
// named beside it.
type Options struct {
	Dir        string // what is known of attached services: /run/ros/networks
	NetnsDir   string // network namespaces: /run/ros/netns
	ResolvConf string // name servers of the machine: /run/ros/net/resolv.conf

	// Services are those of all files, for the names of those that do not run yet.
	Services func() []compose.Service

	Log *slog.Logger // slog.DiscardHandler when nil
}

// Networks are the networks of this machine's services. Its methods may be used
// from several goroutines.
type Networks struct {
	o Options

	mu       sync.Mutex
	members  map[string]member   // the attached services
	reserved map[string][]socket // by service: they hold its ports
}

// member is a service that is attached, as it is written down.
type member struct {
	Service  compose.Service `json:"service"`
	Hostname string          `json:"hostname"`
	Links    []link          `json:"links"` // as Service.Networks
}

// link is the place of a service in a network.
type link struct {
	Network compose.Network `json:"network"` // with subnet and gateway
	Address netip.Addr      `json:"address"`
}

// Files are the places of what a service is given.
type Files struct {
	Netns                       string
	Hosts, ResolvConf, Hostname string // for those names in /etc
}

// New finds out which services are attached already.
func New(o Options) *Networks {
	for _, d := range []struct {
		field *string
		value string
	}{{&o.Dir, "/run/ros/networks"}, {&o.NetnsDir, "/run/ros/netns"}, {&o.ResolvConf, "/run/ros/net/resolv.conf"}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Services == nil {
		o.Services = func() []compose.Service { return nil }
	}
	n := &Networks{o: o, members: map[string]member{}, reserved: map[string][]socket{}}
	entries, _ := os.ReadDir(o.Dir)
	for _, e := range entries {
		var m member
		text, err := os.ReadFile(filepath.Join(o.Dir, e.Name(), "state.json"))
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil { // rosd died before it was written: Keep drops the rest
			m = member{}
		}
		n.members[e.Name()] = m
	}
	return n
}

// Close lets go of the ports, as the end of the process would. All else stays.
func (n *Networks) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for service := range n.reserved {
		n.release(service)
	}
}

// Files of a service, whether it is attached or not.
func (n *Networks) Files(service string) Files {
	dir := filepath.Join(n.o.Dir, service)
	return Files{
		Netns: filepath.Join(n.o.NetnsDir, service), Hosts: filepath.Join(dir, "hosts"),
		ResolvConf: filepath.Join(dir, "resolv.conf"), Hostname: filepath.Join(dir, "hostname"),
	}
}

// Attach makes the namespace of a service and connects it to its networks, which
// are made when it is the first in them. When it fails it leaves nothing behind.
func (n *Networks) Attach(svc compose.Service) (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, there := n.members[svc.Name]; there { // of a start that did not get far
		if err := n.detach(svc.Name); err != nil {
			return fmt.Errorf("cannot give service %q a network: %w", svc.Name, err)
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot give service %q a network: %w", svc.Name, err), n.detach(svc.Name))
		}
	}()
	m, err := n.place(svc)
	if err != nil {
		return err
	}
	if err := n.reserve(m); err != nil {
		return err
	}
	if err := n.note(m); err != nil {
		return err
	}
	n.members[svc.Name] = m
	if err := n.build(m); err != nil {
		return err
	}
	if err := n.enforce(); err != nil {
		return err
	}
	n.flushFlows(m)
	if err := n.listen(svc.Name); err != nil {
		return err
	}
	return n.write()
}

// place finds out what addresses a service gets.
func (n *Networks) place(svc compose.Service) (member, error) {
	m := member{Service: svc, Hostname: svc.Hostname}
	if m.Hostname == "" {
		m.Hostname = svc.Name
	}
	for _, a := range svc.Networks {
		network, err := n.subnet(a.Network)
		if err != nil {
			return m, err
		}
		address, ok := n.addresses(network, svc)[svc.Name]
		if !ok {
			return m, fmt.Errorf("network %q: no address of %s is free", network.Name, network.Subnet)
		}
		for name, other := range n.members {
			if slices.Contains(other.Links, link{network, address}) {
				return m, fmt.Errorf("network %q: service %q has the address %s", network.Name, name, address)
			}
		}
		m.Links = append(m.Links, link{network, address})
	}
	return m, nil
}

// note writes down what a service has, before it has it.
func (n *Networks) note(m member) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	dir := filepath.Join(n.o.Dir, m.Service.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, "state.json"), text, 0o600)
}

// Detach takes back what Attach has made, and the networks that nobody is in any
// more. A service that is not attached is no error.
func (n *Networks) Detach(service string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, there := n.members[service]; !there {
		return nil
	}
	err := n.detach(service)
	if err == nil {
		err = n.write()
	}
	if err != nil {
		return fmt.Errorf("cannot take the network of service %q away: %w", service, err)
	}
	return nil
}

func (n *Networks) detach(service string) error {
	m := n.members[service]
	n.release(service)
	delete(n.members, service)
	err := n.tearDown(service, m)
	if err == nil {
		err = n.enforce()
	}
	if err == nil {
		n.flushFlows(m)
		err = os.RemoveAll(filepath.Join(n.o.Dir, service))
	}
	if err != nil {
		n.members[service] = m // to be tried again
	}
	return err
}

// Keep drops the networks of services that have no container, and makes the rest
// what it should be: rosd calls it when it has found out what runs.
func (n *Networks) Keep(running func(service string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.members) == 0 {
		return
	}
	for _, service := range slices.Sorted(maps.Keys(n.members)) {
		if running(service) {
			continue
		}
		if err := n.detach(service); err != nil {
			n.o.Log.Warn("cannot take away the network of a service that does not run", "service", service, "error", err)
		}
	}
	for _, service := range slices.Sorted(maps.Keys(n.members)) {
		err := n.reserve(n.members[service])
		if err == nil {
			err = n.listen(service)
		}
		if err != nil {
			n.o.Log.Warn("a port of a service was taken by somebody else", "service", service, "error", err)
		}
	}
	if err := errors.Join(n.enforce(), n.write()); err != nil {
		n.o.Log.Error("cannot restore the networks of services", "error", err)
	}
}

// Addresses are those of an attached service, by network.
func (n *Networks) Addresses(service string) map[string]netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := map[string]netip.Addr{}
	for _, l := range n.members[service].Links {
		list[l.Network.Name] = l.Address
	}
	return list
}

// networks are those that somebody is in, by name.
func (n *Networks) networks() map[string]compose.Network {
	list := map[string]compose.Network{}
	for _, m := range n.members {
		for _, l := range m.Links {
			list[l.Network.Name] = l.Network
		}
	}
	return list
}

// wayOut is the link that the default route of a service goes through; nil when
// all its networks are internal.
func (m member) wayOut() *link {
	for i := range m.Links {
		if !m.Links[i].Network.Internal {
			return &m.Links[i]
		}
	}
	return nil
}

// Run keeps the name servers of the services those of the machine, until ctx
// ends.
func (n *Networks) Run(ctx context.Context) {
	changed, err := watch(ctx, filepath.Dir(n.o.ResolvConf))
	if err != nil {
		n.o.Log.Warn("services will not see when the name servers of the machine change", "error", err)
		return
	}
	for range changed {
		n.mu.Lock()
		if len(n.members) > 0 {
			if err := errors.Join(n.enforce(), n.write()); err != nil {
				n.o.Log.Warn("services do not have the name servers of the machine", "error", err)
			}
		}
		n.mu.Unlock()
	}
}

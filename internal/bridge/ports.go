package bridge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
)

// socket holds a port of the machine.
type socket struct {
	port compose.Port
	fd   int
}

func (s socket) close() { _ = unix.Close(s.fd) }

// reserve takes the ports of a service: by a rule alone the kernel would lead
// them to it and let another program believe that it has them. What comes to the
// socket is nothing, for the rule comes first.
func (n *Networks) reserve(m member) error {
	if _, done := n.reserved[m.Service.Name]; done {
		return nil
	}
	for name, other := range n.members {
		for _, p := range m.Service.Ports {
			for _, o := range other.Service.Ports {
				if name != m.Service.Name && p.Clashes(o) {
					return fmt.Errorf("port %s of the machine is that of service %q", p, name)
				}
			}
		}
	}
	for _, p := range m.Service.Ports {
		s, err := bind(p)
		if err != nil {
			n.release(m.Service.Name)
			return err
		}
		n.reserved[m.Service.Name] = append(n.reserved[m.Service.Name], s)
	}
	return nil
}

// listen makes the TCP ports of a service fully its own: one that nobody listens
// on can be taken by a server that shares addresses, as all do. It comes after the
// rules. Who connects before them is refused, as where there is no server; the
// socket would keep him waiting for ever.
func (n *Networks) listen(service string) error {
	for _, s := range n.reserved[service] {
		if s.port.Protocol != "tcp" {
			continue
		}
		if err := unix.Listen(s.fd, 1); err != nil {
			return unusable(s.port, err)
		}
	}
	return nil
}

// release lets go of the ports of a service.
func (n *Networks) release(service string) {
	for _, s := range n.reserved[service] {
		s.close()
	}
	delete(n.reserved, service)
}

// bind also takes an address that the machine does not have yet: a lease may
// come after the services.
func bind(p compose.Port) (socket, error) {
	kind := unix.SOCK_STREAM
	if p.Protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return socket{}, unusable(p, err)
	}
	var address unix.SockaddrInet4
	address.Port = int(p.Published)
	if a, err := netip.ParseAddr(p.HostIP); err == nil {
		address.Addr = a.As4()
	}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	if err == nil && kind == unix.SOCK_STREAM { // a server that has ended does not count
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &address)
	}
	s := socket{p, fd}
	if err != nil {
		s.close()
		return socket{}, unusable(p, err)
	}
	return s, nil
}

// unusable is why a service cannot have a port.
func unusable(p compose.Port, err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("port %s of the machine is in use", p)
	}
	return fmt.Errorf("port %s of the machine: %w", p, err)
}

// flushFlows makes the kernel forget the flows to the UDP ports of a service. The
// rules see only the first packet of a flow, and a client that has been sending
// all the time would go on to reach whom it reached before.
func (n *Networks) flushFlows(m member) {
	ports := slices.DeleteFunc(slices.Clone(m.Service.Ports), func(p compose.Port) bool { return p.Protocol != "udp" })
	if len(ports) == 0 {
		return
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, flowsTo(ports)); err != nil {
		n.o.Log.Warn("old flows may go on past a service", "service", m.Service.Name, "error", err)
	}
}

// flowsTo are the flows to UDP ports.
type flowsTo []compose.Port

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (ports flowsTo) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	to := flow.Forward
	return to.Protocol == unix.IPPROTO_UDP && slices.ContainsFunc(ports, func(p compose.Port) bool {
		return p.Published == to.DstPort && (p.HostIP == "" || p.HostIP == to.DstIP.String())
	})
}

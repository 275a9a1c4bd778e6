package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

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
	var sockets []io.Closer
	for _, p := range m.Service.Ports {
		socket, err := listen(p.Protocol, net.JoinHostPort(p.HostIP, strconv.Itoa(int(p.Published))))
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("port %s of the machine is in use", p)
		}
		if err != nil {
			for _, s := range sockets {
				s.Close()
			}
			return err
		}
		sockets = append(sockets, socket)
	}
	n.reserved[m.Service.Name] = sockets
	return nil
}

// listen also takes an address that the machine does not have yet: a lease may
// come after the services.
func listen(protocol, address string) (io.Closer, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
		}), err)
	}}
	if protocol == "udp" {
		return config.ListenPacket(context.Background(), "udp4", address)
	}
	return config.Listen(context.Background(), "tcp4", address)
}

// flushFlows makes the kernel forget the flows to the UDP ports of a service. The
// rules see only the first packet of a flow, and a client that has been sending
// to a closed port all the time would go on to reach nobody.
func (n *Networks) flushFlows(m member) {
	for _, p := range m.Service.Ports {
		if p.Protocol != "udp" {
			continue
		}
		var filter netlink.ConntrackFilter
		err := errors.Join(filter.AddProtocol(unix.IPPROTO_UDP), filter.AddPort(netlink.ConntrackOrigDstPort, p.Published))
		if address, bad := netip.ParseAddr(p.HostIP); bad == nil {
			err = errors.Join(err, filter.AddIP(netlink.ConntrackOrigDstIP, address.AsSlice()))
		}
		if err == nil {
			_, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, &filter)
		}
		if err != nil {
			n.o.Log.Warn("old flows may go on past a service", "service", m.Service.Name, "port", p.String(), "error", err)
		}
	}
}

package bridge

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
)

// Names of links have at most 15 letters, and those of networks more: what a
// bridge is for stands in its alias (ip -d link).
func bridgeName(network string) string        { return "ros-" + short(network) }
func vethName(service, network string) string { return "rosv-" + short(service+"\x00"+network) }

// longestAlias is what the kernel takes (IFALIASZ).
const longestAlias = 255

func short(name string) string { return fmt.Sprintf("%010x", number(name)>>24) }

// taken are the subnets that the machine reaches, but for those behind the
// default route, which a VPN writes as two halves.
func (n *Networks) taken() ([]use, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("cannot list the routes of the machine: %w", err)
	}
	var list []use
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		a, ok := netip.AddrFromSlice(r.Dst.IP.To4())
		bits, _ := r.Dst.Mask.Size()
		if ok && bits > 1 {
			list = append(list, use{netip.PrefixFrom(a, bits), "which the machine has a route to"})
		}
	}
	return list, nil
}

// build makes the namespace of a service and its links.
func (n *Networks) build(m member) error {
	for _, l := range m.Links {
		if err := makeBridge(l.Network); err != nil {
			return fmt.Errorf("network %q: %w", l.Network.Name, err)
		}
	}
	path := n.Files(m.Service.Name).Netns
	if err := makeNamespace(path); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	lo, err := inside.LinkByName("lo")
	if err == nil {
		err = inside.LinkSetUp(lo)
	}
	if err != nil {
		return err
	}
	for i, l := range m.Links {
		if err := connect(m, i, ns, inside); err != nil {
			return fmt.Errorf("network %q: %w", l.Network.Name, err)
		}
	}
	return nil
}

// makeBridge makes the bridge of a network, unless it is there, and gives it the
// gateway's address.
func makeBridge(network compose.Network) error {
	name := bridgeName(network.Name)
	gateway, err := netip.ParseAddr(network.Gateway)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	// With a hardware address of its own it keeps it. Else it has the lowest of its
	// links, another one when they come and go, and who has learnt it loses the way
	// out for half a minute.
	attrs.Name, attrs.HardwareAddr = name, hardwareAddress(gateway)
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetAlias(link, network.Name[:min(len(network.Name), longestAlias)]); err != nil {
		return err
	}
	const conf = "/proc/sys/net"
	// What comes from a loopback address may leave by this link, so that the
	// machine reaches published ports by 127.0.0.1. Nothing else may come in by it
	// for such an address: see the rules.
	if err := os.WriteFile(filepath.Join(conf, "ipv4/conf", name, "route_localnet"), []byte("1"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(conf, "ipv6/conf", name, "disable_ipv6"), []byte("1"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	subnet, err := netip.ParsePrefix(network.Subnet)
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, address(network.Gateway, subnet)); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// hardwareAddress follows from an address, so that no neighbour has to learn it
// anew.
func hardwareAddress(a netip.Addr) net.HardwareAddr {
	four := a.As4()
	return append(net.HardwareAddr{0x02, 0x72}, four[:]...)
}

func address(a string, subnet netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(a).To4(), Mask: net.CIDRMask(subnet.Bits(), 32)}}
}

// connect makes a pair of links: one end in the bridge, the other in the service,
// by the name that it has there.
func connect(m member, i int, ns netns.NsHandle, inside *netlink.Handle) error {
	l := m.Links[i]
	parent, err := netlink.LinkByName(bridgeName(l.Network.Name))
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.MTU = vethName(m.Service.Name, l.Network.Name), parent.Attrs().Index, parent.Attrs().MTU
	hardware, err := m.hardware(i)
	if err != nil {
		return err
	}
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: m.Service.Networks[i].LinkName(i), PeerNamespace: netlink.NsFd(ns), PeerHardwareAddr: hardware,
	}
	// A pair of that name is of a start that rosd did not survive: the kernel takes
	// it away with its namespace, some time later.
	if err := removeLink(attrs.Name); err != nil {
		return err
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	outer, err := netlink.LinkByName(attrs.Name)
	if err == nil {
		// br_netfilter, which Docker needs, bridges what comes back to the service by a
		// port of its own, instead of routing it: out where it has come in.
		err = errors.Join(netlink.LinkSetAlias(outer, m.Service.Name), netlink.LinkSetHairpin(outer, true), netlink.LinkSetUp(outer))
	}
	if err != nil {
		return err
	}
	inner, err := inside.LinkByName(pair.PeerName)
	if err != nil {
		return err
	}
	subnet, err := netip.ParsePrefix(l.Network.Subnet)
	if err != nil {
		return err
	}
	if err := errors.Join(inside.AddrReplace(inner, address(l.Address.String(), subnet)), inside.LinkSetUp(inner)); err != nil {
		return err
	}
	if out := m.wayOut(); out == nil || *out != l {
		return nil
	}
	return inside.RouteReplace(&netlink.Route{LinkIndex: inner.Attrs().Index, Gw: net.ParseIP(l.Network.Gateway)})
}

// hardware is the address of a link inside of a service: what the file says, or
// what goes with the address.
func (m member) hardware(i int) (net.HardwareAddr, error) {
	if given := m.Service.Networks[i].MAC; given != "" {
		return net.ParseMAC(given)
	}
	return hardwareAddress(m.Links[i].Address), nil
}

// makeNamespace makes a network namespace that stays without a process in it, by
// a mount at path.
func makeNamespace(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		done <- func() error {
			runtime.LockOSThread()
			own, err := netns.Get()
			if err != nil {
				return err
			}
			defer own.Close()
			// The thread goes back. One that stayed would end with this goroutine, but for
			// the first of the process, which would hold the namespace.
			defer func() {
				if netns.Set(own) == nil {
					runtime.UnlockOSThread()
				}
			}()
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			if err := setDefaults(); err != nil {
				return err
			}
			return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}()
	}()
	return <-done
}

// setDefaults makes the settings of a new namespace those that containers of
// Docker have: nobody needs a right for ping and for port 80, and there is no
// IPv6. /proc/sys/net is that of the thread that looks.
func setDefaults() error {
	for _, s := range []struct{ name, value string }{
		{"ipv4/ping_group_range", "0 2147483647"},
		{"ipv4/ip_unprivileged_port_start", "0"},
		{"ipv6/conf/all/disable_ipv6", "1"},
		{"ipv6/conf/default/disable_ipv6", "1"},
	} {
		err := os.WriteFile(filepath.Join("/proc/sys/net", s.name), []byte(s.value), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// tearDown removes the namespace of a service with the links in it, and the
// bridges that nobody is in any more.
func (n *Networks) tearDown(service string, m member) error {
	path := n.Files(service).Netns
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // no mount, no file
		return fmt.Errorf("network namespace: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	used := n.networks()
	for _, l := range m.Links {
		// A process that is about to end may keep the namespace a little longer.
		errs = append(errs, removeLink(vethName(service, l.Network.Name)))
		if _, still := used[l.Network.Name]; !still {
			errs = append(errs, removeLink(bridgeName(l.Network.Name)))
		}
	}
	return errors.Join(errs...)
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}

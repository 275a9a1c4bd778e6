package netconf

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernel is what the kernel knows about links, by netlink.
type kernel struct{ h *netlink.Handle }

func openKernel() (kernel, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return kernel{}, fmt.Errorf("cannot speak to the kernel about links: %w", err)
	}
	return kernel{h}, nil
}

func (k kernel) close() { k.h.Close() }

// maxDumps is how often a list is asked for that changed while it was read.
const maxDumps = 5

// dump asks for a list until it comes in one piece.
func dump[T any](ask func() ([]T, error)) ([]T, error) {
	for tries := 1; ; tries++ {
		list, err := ask()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || tries == maxDumps {
			return list, err
		}
	}
}

// links are all links, the oldest first.
func (k kernel) links() ([]link, error) {
	list, err := dump(k.h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("cannot list the links: %w", err)
	}
	var links []link
	for _, l := range list {
		links = append(links, linkOf(l))
	}
	slices.SortFunc(links, func(a, b link) int { return cmp.Compare(a.Index, b.Index) })
	return links, nil
}

func linkOf(l netlink.Link) link {
	a := l.Attrs()
	kind := l.Type()
	if kind == "device" {
		kind = ""
	}
	return link{
		Index: a.Index, Name: a.Name, MAC: a.HardwareAddr.String(), Kind: kind, MTU: a.MTU,
		Loop: a.Flags&net.FlagLoopback != 0, Up: a.Flags&net.FlagUp != 0,
	}
}

func (l link) netlink() netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: l.Index, Name: l.Name}}
}

func (k kernel) setMTU(l link, mtu int) error { return k.h.LinkSetMTU(l.netlink(), mtu) }
func (k kernel) setUp(l link) error           { return k.h.LinkSetUp(l.netlink()) }
func (k kernel) setDown(l link) error         { return k.h.LinkSetDown(l.netlink()) }

// address is an address of a link.
type address struct {
	netip.Prefix
	Forever bool // it does not go away by itself
	Ready   bool // nobody is being asked any more whether it is taken
	Bare    bool // the kernel has no route to its network for it: dhcpcd makes its own
}

func (k kernel) addresses(l link) ([]address, error) {
	list, err := dump(func() ([]netlink.Addr, error) { return k.h.AddrList(l.netlink(), netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("cannot list the addresses: %w", err)
	}
	var all []address
	for _, a := range list {
		if a.Peer != nil {
			continue // of a tunnel
		}
		all = append(all, address{
			prefixOf(a.IPNet), a.Flags&unix.IFA_F_PERMANENT != 0, a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0,
			a.Flags&unix.IFA_F_NOPREFIXROUTE != 0,
		})
	}
	return all, nil
}

// prefixOf is an address of the kernel's, ours to compare. Not valid: nil.
func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	addr, _ := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones)
}

func netOf(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// addAddress also makes an address that goes away by itself one that stays. A
// bare one it would leave bare.
func (k kernel) addAddress(l link, p netip.Prefix) error {
	return k.h.AddrReplace(l.netlink(), &netlink.Addr{IPNet: netOf(p)})
}

// dropAddress is content with an address that is not there.
func (k kernel) dropAddress(l link, p netip.Prefix) error {
	err := k.h.AddrDel(l.netlink(), &netlink.Addr{IPNet: netOf(p)})
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

// lowestMetric6 is what the kernel makes of metric 0 in IPv6.
const lowestMetric6 = 1024

func (r route) normal() route {
	if r.To.Addr().Is6() && r.Metric == 0 {
		r.Metric = lowestMetric6
	}
	return r
}

// routeOf gives a route to the kernel.
func routeOf(l link, r route, direct bool) *netlink.Route {
	out := &netlink.Route{
		LinkIndex: l.Index, Dst: netOf(r.To), Priority: r.Metric,
		Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, Protocol: unix.RTPROT_STATIC,
	}
	switch {
	case !r.Via.IsValid():
		if r.To.Addr().Is4() {
			out.Scope = netlink.SCOPE_LINK
		}
	default:
		out.Gw = r.Via.AsSlice()
		if direct {
			out.SetFlag(netlink.FLAG_ONLINK)
		}
	}
	return out
}

// routes are those of the main table over a link, and who made them.
func (k kernel) routes(l link) (map[route]netlink.RouteProtocol, error) {
	list, err := dump(func() ([]netlink.Route, error) {
		return k.h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{LinkIndex: l.Index}, netlink.RT_FILTER_OIF)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the routes: %w", err)
	}
	routes := map[route]netlink.RouteProtocol{}
	for _, r := range list {
		to := prefixOf(r.Dst)
		if !to.IsValid() || r.Type != unix.RTN_UNICAST {
			continue
		}
		via, _ := netip.AddrFromSlice(r.Gw)
		routes[route{to, via.Unmap(), r.Priority}] = r.Protocol
	}
	return routes, nil
}

func (k kernel) addRoute(l link, r route, direct bool) error {
	return k.h.RouteReplace(routeOf(l, r, direct))
}

// dropRoute is content with a route that is not there.
func (k kernel) dropRoute(l link, r route) error {
	out := routeOf(l, r, false)
	out.Protocol = 0 // whoever made it
	err := k.h.RouteDel(out)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// watch says that a link has come, gone or changed, or (by its number alone)
// that a route over it is gone, until stop is closed: dhcpcd takes a default
// route for its own when it adds one. The channel closes when the kernel has
// more to say than was read in time: then it is time to look at everything and
// to watch anew.
func (k kernel) watch(stop <-chan struct{}) (<-chan link, error) {
	end := make(chan struct{}) // of both, when one of them ends
	links, routes := make(chan netlink.LinkUpdate), make(chan netlink.RouteUpdate)
	if err := errors.Join(netlink.LinkSubscribe(links, end), netlink.RouteSubscribe(routes, end)); err != nil {
		close(end)
		return nil, fmt.Errorf("cannot watch the links: %w", err)
	}
	changes := make(chan link)
	go func() {
		defer close(changes)
		defer close(end)
		for {
			var l link
			select {
			case u, ok := <-links:
				if !ok {
					go discard(routes)
					return
				}
				l = linkOf(u.Link)
			case u, ok := <-routes:
				if !ok {
					go discard(links)
					return
				}
				if u.Type != unix.RTM_DELROUTE {
					continue
				}
				l = link{Index: u.LinkIndex}
			case <-stop:
				go discard(links)
				go discard(routes)
				return
			}
			select {
			case changes <- l:
			case <-stop:
			}
		}
	}()
	return changes, nil
}

// discard reads to the end, or the sender would stay behind.
func discard[T any](updates <-chan T) {
	for range updates {
	}
}

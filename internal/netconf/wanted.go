package netconf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/rosteros/ros/config"
)

// wanted is what a link should be.
type wanted struct {
	Key       string // its entry in rancher.network.interfaces
	Addresses []netip.Prefix
	Routes    []route
	MTU       int // 0: as it is
	DHCP      bool
	IPv4LL    bool // when there is no other address
	PreUp     []config.Command
	PostUp    []config.Command
}

// route is a route over a link.
type route struct {
	To     netip.Prefix
	Via    netip.Addr // not valid: on the link itself
	Metric int        // 0: the kernel's own
}

// gatewayMetric and the number of the link make the metric of its default
// route: routes of DHCP (1000 and more) and of router advertisements (1024) come
// after it, and of two links with a gateway the first counts.
const gatewayMetric = 100

// want is what an entry says of a link. Parts that make no sense are left out.
func want(key string, i config.Interface, l link) (wanted, error) {
	w := wanted{Key: key, MTU: i.MTU, PreUp: i.PreUp, PostUp: i.PostUp}
	var errs []error
	wrong := func(field, value string, err error) {
		errs = append(errs, fmt.Errorf("rancher.network.interfaces.%s.%s: %q: %w", key, field, value, err))
	}
	texts := i.Addresses
	if i.Address != "" {
		texts = slices.Concat([]string{i.Address}, i.Addresses)
	}
	for _, text := range texts {
		address, err := netip.ParsePrefix(text)
		if err != nil {
			wrong("address", text, errors.New("not an address with the length of its network, such as 192.168.1.10/24"))
		} else if !slices.Contains(w.Addresses, address) {
			w.Addresses = append(w.Addresses, address)
		}
	}
	gateway := func(field, text, everywhere string) {
		if text == "" {
			return
		}
		via, err := netip.ParseAddr(text)
		if err != nil {
			wrong(field, text, errors.New("not an address"))
			return
		}
		w.Routes = append(w.Routes, route{netip.MustParsePrefix(everywhere), via, gatewayMetric + l.Index})
	}
	gateway("gateway", i.Gateway, "0.0.0.0/0")
	gateway("gateway_ipv6", i.GatewayIPv6, "::/0")
	for _, r := range i.Routes {
		parsed, err := parseRoute(r)
		if err != nil {
			wrong("routes", r.To, err)
		} else if !slices.Contains(w.Routes, parsed) {
			w.Routes = append(w.Routes, parsed)
		}
	}
	w.DHCP = len(texts) == 0
	if i.DHCP != nil {
		w.DHCP = *i.DHCP
	}
	w.DHCP = w.DHCP && !l.Loop
	w.IPv4LL = i.IPv4LL && !l.Loop && !slices.ContainsFunc(w.Addresses, func(a netip.Prefix) bool { return a.Addr().Is4() })
	return w, errors.Join(errs...)
}

func parseRoute(r config.Route) (route, error) {
	to, err := netip.ParsePrefix(r.To)
	if err != nil {
		return route{}, errors.New("not a network, such as 10.0.0.0/8")
	}
	parsed := route{To: to.Masked(), Metric: r.Metric}
	if r.Via == "" {
		return parsed, nil
	}
	if parsed.Via, err = netip.ParseAddr(r.Via); err != nil {
		return route{}, fmt.Errorf("via %q is not an address", r.Via)
	}
	if parsed.Via.Is4() != to.Addr().Is4() {
		return route{}, fmt.Errorf("via %s is of the other kind of IP", r.Via)
	}
	return parsed, nil
}

// byDHCPCD says whether dhcpcd has work on the link.
func (w wanted) byDHCPCD() bool { return w.DHCP || w.IPv4LL }

// direct says whether the next hop of a route must be taken to be on the link
// although no network of the link has it.
func (w wanted) direct(r route) bool {
	if !r.Via.IsValid() || r.Via.IsLinkLocalUnicast() && r.Via.Is6() {
		return false
	}
	return !slices.ContainsFunc(w.Addresses, func(a netip.Prefix) bool { return a.Masked().Contains(r.Via) })
}

func (r route) String() string {
	text := r.To.String()
	if r.To.Bits() == 0 {
		text = "default"
	}
	if r.Via.IsValid() {
		text += " via " + r.Via.String()
	}
	return text
}

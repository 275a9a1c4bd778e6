package netconf

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// owned is what was done to a link.
type owned struct {
	Index     int            // another number: another link, by the same name
	Addresses []netip.Prefix `json:",omitempty"`
	Routes    []route        `json:",omitempty"`
	MTU       int            `json:",omitempty"` // what it was before; 0: not changed
	Up        bool           `json:",omitempty"` // it was down before
}

func (o owned) empty() bool {
	return len(o.Addresses) == 0 && len(o.Routes) == 0 && o.MTU == 0 && !o.Up
}

// setter makes one link what it should be.
type setter struct {
	kernel kernel
	link   link
	want   wanted
	had    owned
	log    *slog.Logger
	errs   []error
}

func (s *setter) failed(what string, err error) bool {
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("cannot %s: %w", what, err))
	}
	return err != nil
}

// plan is what will be ours, to be written down before anything is done.
func (s *setter) plan() owned {
	o := owned{Index: s.link.Index, Addresses: s.want.Addresses, Routes: s.want.Routes, MTU: s.had.MTU}
	o.Up = s.had.Up || !s.link.Up && !s.link.Loop // the loopback stays up
	if s.want.MTU != 0 && o.MTU == 0 && s.link.MTU != s.want.MTU {
		o.MTU = s.link.MTU
	}
	if s.want.MTU == 0 {
		o.MTU = 0
	}
	return o
}

// set does it. Only what is not so already is changed; what was ours and is no
// longer wanted goes first, for an address may take others of its network
// along.
func (s *setter) set() error {
	s.dropAddresses(s.had.Addresses)
	s.dropRoutes(s.had.Routes)
	s.setMTU()
	if !s.link.Up && !s.failed("set it up", s.kernel.setUp(s.link)) {
		s.log.Info("is up")
	}
	s.addAddresses()
	s.addRoutes()
	return errors.Join(s.errs...)
}

func (s *setter) setMTU() {
	mtu := s.want.MTU
	if mtu == 0 {
		mtu = s.had.MTU
	}
	if mtu != 0 && mtu != s.link.MTU && !s.failed(fmt.Sprintf("set the MTU to %d", mtu), s.kernel.setMTU(s.link, mtu)) {
		s.log.Info("has another MTU", "mtu", mtu)
	}
}

// dropAddresses takes away those that are not wanted.
func (s *setter) dropAddresses(addresses []netip.Prefix) {
	for _, a := range addresses {
		if !slices.Contains(s.want.Addresses, a) && !s.failed("remove address "+a.String(), s.kernel.dropAddress(s.link, a)) {
			s.log.Info("removed", "address", a)
		}
	}
}

func (s *setter) dropRoutes(routes []route) {
	for _, r := range routes {
		if !slices.Contains(s.want.Routes, r) && !s.failed("remove route "+r.String(), s.kernel.dropRoute(s.link, r)) {
			s.log.Info("removed", "route", r)
		}
	}
}

func (s *setter) addAddresses() {
	if len(s.want.Addresses) == 0 {
		return
	}
	s.dropBare()
	have, err := s.kernel.addresses(s.link)
	if err != nil {
		s.errs = append(s.errs, err)
	}
	for _, a := range s.want.Addresses {
		there := slices.ContainsFunc(have, func(h address) bool { return h.Prefix == a && h.Forever })
		if !there && !s.failed("add address "+a.String(), s.kernel.addAddress(s.link, a)) {
			s.log.Info("added", "address", a)
		}
	}
}

// dropBare takes away addresses that are wanted and are dhcpcd's as yet: added to
// what is there they would have no route to their network, and nobody could be
// reached over the link.
func (s *setter) dropBare() {
	have, err := s.kernel.addresses(s.link)
	if err != nil {
		s.errs = append(s.errs, err)
	}
	for _, a := range have {
		if a.Bare && slices.Contains(s.want.Addresses, a.Prefix) {
			s.failed("remove address "+a.String(), s.kernel.dropAddress(s.link, a.Prefix))
		}
	}
}

// addRoutes adds those over which others are reached first.
func (s *setter) addRoutes() {
	if len(s.want.Routes) == 0 {
		return
	}
	have, err := s.kernel.routes(s.link)
	if err != nil {
		s.errs = append(s.errs, err)
	}
	for _, r := range s.want.Routes {
		if _, there := have[r.normal()]; there {
			continue
		}
		if s.failed("add route "+r.String(), s.kernel.addRoute(s.link, r, s.want.direct(r))) {
			continue
		}
		s.log.Info("added", "route", r)
		if s.want.direct(r) && len(s.want.Addresses) > 0 {
			s.log.Warn("the next hop is in none of the networks of the link; it is taken to be on the link itself", "route", r)
		}
	}
}

// forgetLease takes from a link what dhcpcd has left there: the address by
// IPv4, all that go away by themselves, and its routes.
func (s *setter) forgetLease(leased string) error {
	have, err := s.kernel.addresses(s.link)
	if err != nil {
		return err
	}
	var old []netip.Prefix
	for _, a := range have {
		if !a.Forever || a.String() == leased {
			old = append(old, a.Prefix)
		}
	}
	s.dropAddresses(old)
	routes, err := s.kernel.routes(s.link)
	if err != nil {
		s.errs = append(s.errs, err)
	}
	var gone []route
	for r, by := range routes {
		if by == unix.RTPROT_DHCP || by == unix.RTPROT_RA {
			gone = append(gone, r)
		}
	}
	s.dropRoutes(gone)
	return errors.Join(s.errs...)
}

// undo makes a link what it was.
func (s *setter) undo() error {
	s.dropAddresses(s.had.Addresses)
	s.dropRoutes(s.had.Routes)
	s.setMTU()
	if s.had.Up && s.link.Up && !s.failed("set it down", s.kernel.setDown(s.link)) {
		s.log.Info("is down again")
	}
	return errors.Join(s.errs...)
}

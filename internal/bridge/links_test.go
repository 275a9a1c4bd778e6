package bridge_test

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// The way out of a service is the same while others come and go.
func TestGatewayKeepsItsHardwareAddress(t *testing.T) {
	s := newStation(t, service("a", "shop"), service("b", "shop"))
	s.serve("world", "tcp4", ":7")
	gateway := func() string {
		links, err := netlink.LinkList()
		s.check(err)
		for _, l := range links {
			if l.Type() == "bridge" {
				return l.Attrs().HardwareAddr.String()
			}
		}
		return ""
	}
	s.attach("a")
	first := gateway()
	s.attach("b")
	s.want("b", "tcp4", worldAddress+":7", "world "+machineAddress)
	s.check(s.Detach("a"))
	if now := gateway(); now != first {
		t.Errorf("the gateway is %s and was %s", now, first)
	}
	s.want("b", "tcp4", worldAddress+":7", "world "+machineAddress)
}

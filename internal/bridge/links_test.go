package bridge_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/rosteros/ros/internal/bridge"
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

// A VPN that takes all traffic leaves the default route where it is and adds its
// two halves.
func TestHalvesOfTheDefaultRoute(t *testing.T) {
	s := newStation(t, service("a", "shop"))
	eth, err := netlink.LinkByName("eth0")
	s.check(err)
	for _, half := range []string{"0.0.0.0/1", "128.0.0.0/1"} {
		s.check(netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: prefix(half), Gw: net.ParseIP(worldAddress)}))
	}
	s.attach("a")
	s.serve("world", "tcp4", ":7")
	s.want("a", "tcp4", worldAddress+":7", "world "+machineAddress)
}

func TestLongNames(t *testing.T) {
	s := newStation(t, service("a", strings.Repeat("long", 100)))
	s.attach("a")
}

// Whoever makes namespaces stays in his own, and holds none of them.
func TestThreadsStay(t *testing.T) {
	s := newStation(t)
	before, err := os.Readlink("/proc/thread-self/ns/net")
	s.check(err)
	for range 500 {
		path := filepath.Join(s.dir, "one")
		s.check(bridge.MakeNamespace(path))
		s.check(syscall.Unmount(path, syscall.MNT_DETACH))
	}
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	s.check(err)
	for _, task := range tasks {
		if now, err := os.Readlink(task); err == nil && now != before {
			t.Errorf("%s is %s, not %s", task, now, before)
		}
	}
}

// A name server that only IPv6 reaches is none for services.
func TestLoopbackOfIPv6(t *testing.T) {
	s := newStation(t, service("a", "shop"))
	s.write("resolv.conf", "nameserver ::1\nnameserver 9.9.9.9\n")
	s.attach("a")
	if got, want := s.read(s.Files("a").ResolvConf), "nameserver 9.9.9.9\n"; got != want {
		t.Errorf("resolv.conf: %q, want %q", got, want)
	}
}

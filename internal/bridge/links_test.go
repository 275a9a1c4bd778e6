package bridge_test

import (
	"os"
	"path/filepath"
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

package bridge_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// rosd may die anywhere in Attach: what it has made by then is taken away by the
// next one, and is not in the way of a start that comes first.
func TestKilledAnywhere(t *testing.T) {
	s := newStation(t, publishing(service("web", "shop"), tcp(8080)), service("db", "shop"))
	links := func(prefix string) {
		all, err := netlink.LinkList()
		s.check(err)
		for _, l := range all {
			if strings.HasPrefix(l.Attrs().Name, prefix) {
				s.check(netlink.LinkDel(l))
			}
		}
	}
	undo := []struct { // the last step of Attach is the first
		name string
		do   func()
	}{
		{"files", func() {
			for _, path := range []string{s.Files("web").Hosts, s.Files("web").ResolvConf, s.Files("web").Hostname} {
				s.check(os.Remove(path))
			}
		}},
		{"rules", func() {
			conn, err := nftables.New()
			s.check(err)
			conn.DelTable(&nftables.Table{Name: "ros-networks", Family: nftables.TableFamilyIPv4})
			s.check(conn.Flush())
		}},
		{"links", func() { links("rosv-") }},
		{"namespace", func() { s.check(syscall.Unmount(s.Files("web").Netns, syscall.MNT_DETACH)) }},
		{"its file", func() { s.check(os.Remove(s.Files("web").Netns)) }},
		{"bridge", func() { links("ros-") }},
		{"note", func() { s.check(os.Remove(filepath.Join(s.dir, "networks/web/state.json"))) }},
	}
	for n := range len(undo) + 1 {
		for _, keep := range []bool{true, false} {
			s.attach("web")
			for _, step := range undo[:n] {
				step.do()
			}
			s.Close()
			s.Networks = s.rosd()
			if keep {
				s.Keep(func(string) bool { return false })
				s.nothingLeft()
			}
			s.attach("web", "db")
			s.serve("web", "tcp4", ":80")
			s.want("world", "tcp4", machineAddress+":8080", "web "+worldAddress)
			s.want("db", "tcp4", s.address("web", "shop")+":80", "web "+s.address("db", "shop"))
			s.check(s.Detach("web"))
			s.check(s.Detach("db"))
			s.nothingLeft()
			if t.Failed() {
				t.Fatalf("killed before %q (%d), with Keep: %v", undo[max(n-1, 0)].name, n, keep)
			}
		}
	}
}

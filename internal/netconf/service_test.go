package netconf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/netconf"
	"github.com/rosteros/ros/tests/namespace"
)

// lab is a network with cards of its own and a service that looks after them.
type lab struct {
	t     *testing.T
	dir   string
	paths netconf.Paths
	log   *syncBuffer
	stop  func() (done bool, err error)
}

// syncBuffer is written and read at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// dhcpcd notes how it is started, what it has to read and that it ends.
const dhcpcd = `#!/bin/sh
dir=${3%/*}
trap 'echo ends >>"$dir/../dhcpcd.log"; exit 0' TERM
{
	echo "$*"
	sed -n '/^# Written/,$p' "$dir/dhcpcd.conf"
} >>"$dir/../dhcpcd.log"
while :; do sleep 0.02; done
`

func newLab(t *testing.T) *lab {
	namespace.Need(t)
	l := &lab{t: t, dir: t.TempDir(), log: &syncBuffer{}}
	l.paths = netconf.Paths{
		Settings: filepath.Join(l.dir, "network.json"),
		Memory:   filepath.Join(l.dir, "memory"),
		Scratch:  filepath.Join(l.dir, "scratch"),
		Conf:     filepath.Join(l.dir, "etc.conf"),
		Resolver: filepath.Join(l.dir, "resolver"),
	}
	for _, dir := range []string{"memory/dhcp", "memory/resolv", "scratch"} {
		l.must(os.MkdirAll(filepath.Join(l.dir, dir), 0o755))
	}
	l.write("etc.conf", "duid\n")
	l.write("resolver", "#!/bin/sh\necho \"$*\" >>"+l.dir+"/resolver.log\n")
	l.write("dhcpcd", dhcpcd)
	l.must(os.Chmod(l.paths.Resolver, 0o755))
	l.must(os.Chmod(filepath.Join(l.dir, "dhcpcd"), 0o755))
	t.Cleanup(func() {
		if l.stop != nil {
			l.end()
		}
		for _, name := range []string{"eth0", "eth1", "eth2"} {
			l.unplug(name)
		}
		if t.Failed() {
			t.Log("the service's log:\n" + l.log.String())
		}
	})
	return l
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	l.must(os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o644))
}

func (l *lab) read(name string) string {
	text, err := os.ReadFile(filepath.Join(l.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return "(none)"
	}
	l.must(err)
	return string(text)
}

// plug adds a card: a dummy, or what a kernel has that knows none.
func (l *lab) plug(name string) {
	l.t.Helper()
	attrs := netlink.LinkAttrs{Name: name}
	if netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}) == nil {
		return
	}
	wire, err := netlink.LinkByName("wire0")
	if err != nil {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "wire0"}, PeerName: "wire1"}
		if err := netlink.LinkAdd(pair); err != nil {
			namespace.LeaveOut(l.t, "no links for tests: %v", err)
		}
		for _, end := range []string{"wire1", "wire0"} {
			wire, err = netlink.LinkByName(end)
			l.must(err)
			l.must(netlink.LinkSetUp(wire))
		}
	}
	attrs.ParentIndex = wire.Attrs().Index
	if err := netlink.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}); err != nil {
		namespace.LeaveOut(l.t, "no links for tests: %v", err)
	}
}

func (l *lab) unplug(name string) {
	if link, err := netlink.LinkByName(name); err == nil {
		l.must(netlink.LinkDel(link))
	}
}

func (l *lab) config(n config.Network) {
	l.t.Helper()
	text, err := json.Marshal(n)
	l.must(err)
	l.must(os.WriteFile(l.paths.Settings, text, 0o600))
}

func (l *lab) links(interfaces map[string]config.Interface) {
	l.t.Helper()
	l.config(config.Network{Interfaces: interfaces})
}

// start starts the service.
func (l *lab) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s := netconf.Service{
		Paths: l.paths, DHCPCD: filepath.Join(l.dir, "dhcpcd"),
		Log: slog.New(slog.NewTextHandler(l.log, nil)),
	}
	type result struct {
		done bool
		err  error
	}
	results := make(chan result, 1)
	go func() {
		done, err := s.Run(ctx)
		results <- result{done, err}
	}()
	l.stop = func() (bool, error) {
		cancel()
		r := <-results
		return r.done, r.err
	}
}

func (l *lab) end() {
	l.t.Helper()
	stop := l.stop
	l.stop = nil
	if done, err := stop(); done || err != nil {
		l.t.Errorf("Run() = %v, %v; want false, nil", done, err)
	}
}

// handsOver runs the service, which has to end by itself.
func (l *lab) handsOver() {
	l.t.Helper()
	s := netconf.Service{Paths: l.paths, DHCPCD: filepath.Join(l.dir, "dhcpcd"), Log: slog.New(slog.NewTextHandler(l.log, nil))}
	if done, err := s.Run(l.t.Context()); !done || err != nil {
		l.t.Errorf("Run() = %v, %v; want true, nil", done, err)
	}
}

// shows waits until links are as wanted.
func (l *lab) shows(want map[string][]string) {
	l.t.Helper()
	l.eventually(func() string {
		got := map[string][]string{}
		for name := range want {
			got[name] = l.state(name)
		}
		return cmp.Diff(want, got)
	})
}

func (l *lab) says(file, want string) {
	l.t.Helper()
	l.eventually(func() string { return cmp.Diff(want, l.read(file)) })
}

func (l *lab) eventually(diff func() string) {
	l.t.Helper()
	for range 500 {
		if diff() == "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.t.Fatalf("(-want +got):\n%s", diff())
}

// state is a link as people read it, without what the kernel does by itself.
func (l *lab) state(name string) []string {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return []string{"gone"}
	}
	a := link.Attrs()
	all := []string{"down"}
	if a.Flags&net.FlagUp != 0 {
		all[0] = "up"
	}
	if a.MTU != 1500 && name != "lo" {
		all = append(all, fmt.Sprintf("mtu %d", a.MTU))
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	l.must(err)
	for _, a := range addresses {
		if a.IP.To4() == nil && a.IP.IsLinkLocalUnicast() || a.IP.IsLoopback() {
			continue
		}
		text := a.IPNet.String()
		if a.Flags&unix.IFA_F_PERMANENT == 0 {
			text += " for a while"
		}
		all = append(all, text)
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	l.must(err)
	var lines []string
	for _, r := range routes {
		if r.Protocol == unix.RTPROT_KERNEL {
			continue
		}
		text := "to " + r.Dst.String()
		if r.Gw != nil {
			text += " via " + r.Gw.String()
		}
		if r.Flags&int(netlink.FLAG_ONLINK) != 0 {
			text += " onlink"
		}
		if r.Priority < 100 || r.Priority >= 1000 {
			text += fmt.Sprintf(" metric %d", r.Priority)
		}
		lines = append(lines, text)
	}
	slices.Sort(lines)
	return append(all, lines...)
}

func TestStatic(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.plug("eth1")
	l.links(map[string]config.Interface{
		"eth0": {
			Addresses: []string{"192.0.2.7/24", "2001:db8::7/64"}, Gateway: "192.0.2.1", GatewayIPv6: "2001:db8::1", MTU: 1400,
			Routes: []config.Route{{To: "10.0.0.0/8", Via: "192.0.2.2", Metric: 5}, {To: "10.9.0.0/16"}, {To: "2001:db8:1::/48", Via: "fe80::2"}},
		},
		"eth1": {Address: "203.0.113.9/32", Gateway: "172.31.1.1"},
		"lo":   {Address: "198.51.100.1/32"},
	})
	want := map[string][]string{
		"eth0": {"up", "mtu 1400", "192.0.2.7/24", "2001:db8::7/64",
			"to 0.0.0.0/0 via 192.0.2.1", "to 10.0.0.0/8 via 192.0.2.2 metric 5", "to 10.9.0.0/16 metric 0",
			"to 2001:db8:1::/48 via fe80::2 metric 1024", "to ::/0 via 2001:db8::1"},
		"eth1": {"up", "203.0.113.9/32", "to 0.0.0.0/0 via 172.31.1.1 onlink"},
		"lo":   {"up", "198.51.100.1/32"},
	}
	l.start()
	l.shows(want)
	l.says("scratch/faults", "")
	if got := l.read("dhcpcd.log"); got != "(none)" {
		t.Errorf("dhcpcd was started for static links: %s", got)
	}

	// A card that was pulled comes back as it was; so does one that was down.
	l.unplug("eth1")
	l.plug("eth1")
	link, err := netlink.LinkByName("eth0")
	l.must(err)
	l.must(netlink.LinkSetDown(link))
	l.shows(want)
	l.must(netlink.RouteDel(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP("192.0.2.1")}))
	l.shows(want)
	l.end()

	// Everything is there already.
	before := l.log.String()
	l.start()
	l.says("scratch/faults", "")
	time.Sleep(100 * time.Millisecond)
	l.end()
	if did := strings.TrimPrefix(l.log.String(), before); did != "" {
		t.Errorf("done a second time:\n%s", did)
	}

	// What is no longer wanted goes, whatever became of the service.
	l.links(map[string]config.Interface{"eth0": {Address: "192.0.2.8/24", Routes: []config.Route{{To: "10.0.0.0/8", Via: "192.0.2.2", Metric: 5}}}})
	l.start()
	l.shows(map[string][]string{
		"eth0": {"up", "192.0.2.8/24", "to 10.0.0.0/8 via 192.0.2.2 metric 5"},
		"eth1": {"down"},
		"lo":   {"up"},
	})
	l.end()
	l.must(os.Remove(l.paths.Settings))
	l.handsOver()
	l.shows(map[string][]string{"eth0": {"up"}})
	for _, file := range []string{"memory/links.json", "scratch/faults", "scratch/dhcpcd.conf"} {
		if got := l.read(file); got != "(none)" {
			t.Errorf("%s is left: %s", file, got)
		}
	}
}

func TestTwoGateways(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.plug("eth1")
	l.links(map[string]config.Interface{
		"eth0": {Address: "192.0.2.7/24", Gateway: "192.0.2.1"},
		"eth1": {Address: "198.51.100.7/24", Gateway: "198.51.100.1"},
	})
	l.start()
	l.shows(map[string][]string{
		"eth0": {"up", "192.0.2.7/24", "to 0.0.0.0/0 via 192.0.2.1"},
		"eth1": {"up", "198.51.100.7/24", "to 0.0.0.0/0 via 198.51.100.1"},
	})
	routes, err := netlink.RouteGet(net.ParseIP("8.8.8.8"))
	l.must(err)
	if hop := routes[0].Gw.String(); hop != "192.0.2.1" {
		t.Errorf("the world is reached over %s, want the first link's gateway", hop)
	}
}

// lease leaves on a link what dhcpcd would.
func (l *lab) lease(name, address, gateway string) {
	l.t.Helper()
	link, err := netlink.LinkByName(name)
	l.must(err)
	l.must(netlink.LinkSetUp(link))
	add := func(text string, lifetime int) {
		p := netip.MustParsePrefix(text)
		n := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		l.must(netlink.AddrAdd(link, &netlink.Addr{IPNet: n, ValidLft: lifetime, PreferedLft: lifetime}))
	}
	add(address, 0) // a lease may last for ever
	add("2001:db8:5::5/64", 3600)
	l.must(netlink.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		Gw: net.ParseIP(gateway), Priority: 1000 + int(name[3]-'0'), Protocol: unix.RTPROT_DHCP,
	}))
	l.write("memory/dhcp/"+name, address+"\n")
	l.write("memory/resolv/"+name+".dhcp", "nameserver 192.0.2.53\n")
}

func TestFromDHCPToStatic(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.plug("eth1")
	l.lease("eth0", "192.0.2.7/24", "192.0.2.1")
	l.lease("eth1", "198.51.100.9/24", "198.51.100.1")
	l.links(map[string]config.Interface{"eth0": {Address: "203.0.113.5/24", Gateway: "203.0.113.1"}})
	l.start()
	l.shows(map[string][]string{
		"eth0": {"up", "203.0.113.5/24", "to 0.0.0.0/0 via 203.0.113.1"},
		"eth1": {"up"},
	})
	l.says("resolver.log", "-u\n-u\n")
	for _, file := range []string{"memory/dhcp/eth0", "memory/resolv/eth0.dhcp", "memory/dhcp/eth1", "memory/resolv/eth1.dhcp"} {
		l.says(file, "(none)")
	}
	l.end()
	l.must(os.Remove(l.paths.Settings))
	l.handsOver()
	l.shows(map[string][]string{"eth0": {"up"}})
}

// TestLeasedAddressBecomesStatic must not take the address away in between.
func TestLeasedAddressBecomesStatic(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.lease("eth0", "192.0.2.7/24", "192.0.2.1")
	l.links(map[string]config.Interface{"eth0": {Address: "192.0.2.7/24", Addresses: []string{"2001:db8:5::5/64"}}})
	l.start()
	l.shows(map[string][]string{"eth0": {"up", "192.0.2.7/24", "2001:db8:5::5/64"}})
	if strings.Contains(l.log.String(), "removed address=") {
		t.Error("an address was taken away that is wanted")
	}
}

// TestLeasedAddressReachesItsNetwork: dhcpcd's address has no route of the
// kernel's to its network, and the one that dhcpcd made goes with the lease.
func TestLeasedAddressReachesItsNetwork(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	link, err := netlink.LinkByName("eth0")
	l.must(err)
	l.must(netlink.LinkSetUp(link))
	mask := net.CIDRMask(24, 32)
	l.must(netlink.AddrAdd(link, &netlink.Addr{
		IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 7).To4(), Mask: mask}, Flags: unix.IFA_F_NOPREFIXROUTE, ValidLft: 3600, PreferedLft: 3600,
	}))
	l.must(netlink.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(192, 0, 2, 0).To4(), Mask: mask},
		Scope: netlink.SCOPE_LINK, Protocol: unix.RTPROT_DHCP, Priority: 1002,
	}))
	l.write("memory/dhcp/eth0", "192.0.2.7/24\n")
	l.links(map[string]config.Interface{"eth0": {Address: "192.0.2.7/24", Addresses: []string{"192.0.2.77/24"}, Gateway: "192.0.2.1"}})
	l.start()
	l.shows(map[string][]string{"eth0": {"up", "192.0.2.7/24", "192.0.2.77/24", "to 0.0.0.0/0 via 192.0.2.1"}})
}

func TestDHCP(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.plug("eth1")
	l.lease("eth0", "192.0.2.7/24", "192.0.2.1")
	l.links(map[string]config.Interface{
		"eth0": {DHCP: new(true), Address: "203.0.113.5/24"},
		"eth1": {DHCP: new(false)},
		"eth*": {IPv4LL: true},
	})
	l.start()
	// Both count, and what is dhcpcd's stays.
	l.shows(map[string][]string{
		"eth0": {"up", "192.0.2.7/24", "203.0.113.5/24", "2001:db8:5::5/64 for a while", "to 0.0.0.0/0 via 192.0.2.1 metric 1000"},
		"eth1": {"up"},
	})
	starts := "--nobackground --config " + l.dir + "/scratch/dhcpcd.conf\n# Written by ros-netconf from rancher.network.interfaces.\n"
	said := starts + "allowinterfaces eth0\n\ninterface eth0\nnoarp\n"
	l.says("dhcpcd.log", said)
	l.plug("eth2")
	said += "ends\n" + starts + "allowinterfaces eth0 eth2\n\ninterface eth0\nnoarp\n"
	l.says("dhcpcd.log", said)
	l.end()
	l.says("dhcpcd.log", said+"ends\n")
	l.shows(map[string][]string{"eth0": {"up", "192.0.2.7/24", "203.0.113.5/24", "2001:db8:5::5/64 for a while", "to 0.0.0.0/0 via 192.0.2.1 metric 1000"}})
}

func TestDHCPCDEnds(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.write("dhcpcd", "#!/bin/sh\nexit 3\n")
	l.links(map[string]config.Interface{"eth0": {}})
	l.start()
	l.eventually(func() string {
		if strings.Contains(l.log.String(), "is up") {
			return ""
		}
		return "the link is not up"
	})
	time.Sleep(100 * time.Millisecond)
	stop := l.stop
	l.stop = nil
	if _, err := stop(); err == nil || err.Error() != "dhcpcd has ended: exit status 3" {
		t.Errorf("Run() error = %v", err)
	}
}

func TestCommands(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	note := func(what string) config.Command {
		return config.Command{Line: "echo " + what + " >>" + l.dir + "/said"}
	}
	l.config(config.Network{
		PreCmds:  []config.Command{note("first"), {Line: "echo why; exit 4"}, {Words: []string{"no-such-program"}}},
		PostCmds: []config.Command{note("last")},
		Interfaces: map[string]config.Interface{
			"eth0": {
				Address: "192.0.2.7/24",
				PreUp:   []config.Command{note("before $iface"), {Words: []string{"sh", "-c", "echo words $iface >>" + l.dir + "/said"}}},
				PostUp:  []config.Command{note("after $iface")},
			},
			"eth1": {Address: "192.0.2.8/24", PostUp: []config.Command{note("after $iface")}},
		},
	})
	l.start()
	said := "first\nbefore eth0\nwords eth0\nafter eth0\nlast\n"
	l.says("said", said)
	for _, want := range []string{
		`level=ERROR msg="command ended with exit code 4" key=rancher.network.pre_cmds output=why`,
		`level=ERROR msg="command ended with exit code 127" key=rancher.network.pre_cmds output=`,
		`level=WARN msg="no link is set up by rancher.network.interfaces.eth1 yet"`,
	} {
		if !strings.Contains(l.log.String(), want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	l.plug("eth1")
	l.says("said", said+"after eth1\n")
}

// TestPostUpOfDHCP waits for the lease, and no longer than it is told to.
func TestPostUpOfDHCP(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.plug("eth1")
	l.config(config.Network{
		DHCPTimeoutSeconds: 1,
		PostCmds:           []config.Command{{Line: "echo last >>" + l.dir + "/said"}},
		Interfaces: map[string]config.Interface{
			"eth0": {PostUp: []config.Command{{Line: "echo $iface >>" + l.dir + "/said"}}},
			"eth1": {DHCP: new(true), Address: "192.0.2.8/24", PostUp: []config.Command{{Line: "echo $iface >>" + l.dir + "/said"}}},
		},
	})
	l.write("dhcpcd", dhcpcd[:strings.LastIndex(dhcpcd, "while")]+"ip address add 198.51.100.9/24 dev eth0\nwhile :; do sleep 0.02; done\n")
	l.start()
	l.says("said", "eth0\neth1\nlast\n")
	if want := `msg="no address after 1s; going on without" link=eth1`; !strings.Contains(l.log.String(), want) || strings.Count(l.log.String(), "going on without") != 1 {
		t.Errorf("the log does not say just %s", want)
	}
}

func TestUsualWithPostCmds(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.config(config.Network{PostCmds: []config.Command{{Line: "echo last >" + l.dir + "/said"}}})
	l.start()
	l.says("said", "last\n")
	l.says("dhcpcd.log", "--nobackground --config "+l.dir+"/scratch/dhcpcd.conf\n"+
		"# Written by ros-netconf from rancher.network.interfaces.\nallowinterfaces eth0\n\ninterface eth0\nnoarp\n")
}

func TestFaults(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.links(map[string]config.Interface{"eth0": {Addresses: []string{"192.0.2.7/24"}, MTU: 67, Routes: []config.Route{{To: "10.0.0.0/8", Via: "127.0.0.1"}}}})
	l.start()
	l.says("scratch/faults", `eth0: cannot set the MTU to 67: invalid argument
eth0: cannot add route 10.0.0.0/8 via 127.0.0.1: invalid argument
`)
	l.shows(map[string][]string{"eth0": {"up", "192.0.2.7/24"}})
}

// TestUnreadable goes on: a machine must be reached.
func TestUnreadable(t *testing.T) {
	l := newLab(t)
	l.plug("eth0")
	l.write("network.json", "{")
	l.write("memory/links.json", "[")
	l.handsOver()
	for _, want := range []string{"going on as if the config said nothing", "what an earlier config has set up stays"} {
		if !strings.Contains(l.log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
}

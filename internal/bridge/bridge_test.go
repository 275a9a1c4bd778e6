package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/rosteros/ros/internal/bridge"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/tests/namespace"
)

// The machine of the tests is the namespace that they run in. It has one
// neighbour, in a namespace of its own.
const (
	machineAddress = "192.0.2.1"
	worldAddress   = "192.0.2.2"
)

// station is a machine with services.
type station struct {
	t        *testing.T
	dir      string
	world    string // path of a namespace
	services []compose.Service
	*bridge.Networks
}

func newStation(t *testing.T, services ...compose.Service) *station {
	namespace.Need(t)
	conn, err := nftables.New()
	if err == nil {
		_, err = conn.ListTables()
	}
	if err != nil {
		namespace.LeaveOut(t, "needs nf_tables in the kernel: %v", err)
	}
	s := &station{t: t, dir: t.TempDir(), services: services}
	s.world = filepath.Join(s.dir, "world")
	s.Networks = s.rosd()
	s.check(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
	lo, err := netlink.LinkByName("lo")
	s.check(err)
	s.check(netlink.LinkSetUp(lo))
	s.neighbour()
	t.Cleanup(func() {
		for _, svc := range s.services {
			s.check(s.Detach(svc.Name))
		}
	})
	return s
}

// rosd is one that has just started.
func (s *station) rosd() *bridge.Networks {
	return bridge.New(bridge.Options{
		Dir: filepath.Join(s.dir, "networks"), NetnsDir: filepath.Join(s.dir, "netns"), ResolvConf: filepath.Join(s.dir, "resolv.conf"),
		Services: func() []compose.Service { return s.services }, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
	})
}

func (s *station) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *station) write(name, text string) {
	s.check(os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644))
}

func (s *station) read(path string) string {
	text, err := os.ReadFile(path)
	s.check(err)
	return string(text)
}

// neighbour makes the world, which has no route but to the machine.
func (s *station) neighbour() {
	s.check(bridge.MakeNamespace(s.world))
	s.t.Cleanup(func() { s.check(syscall.Unmount(s.world, syscall.MNT_DETACH)) })
	ns, err := netns.GetFromPath(s.world)
	s.check(err)
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}
	s.check(netlink.LinkAdd(pair))
	s.t.Cleanup(func() { _ = netlink.LinkDel(pair) })
	inside, err := netlink.NewHandleAt(ns)
	s.check(err)
	defer inside.Close()
	for _, end := range []struct {
		add func(netlink.Link, *netlink.Addr) error
		up  func(netlink.Link) error
		by  func(string) (netlink.Link, error)
		a   string
	}{{netlink.AddrAdd, netlink.LinkSetUp, netlink.LinkByName, machineAddress}, {inside.AddrAdd, inside.LinkSetUp, inside.LinkByName, worldAddress}} {
		link, err := end.by("eth0")
		s.check(err)
		a, err := netlink.ParseAddr(end.a + "/24")
		s.check(err)
		s.check(end.add(link, a))
		s.check(end.up(link))
	}
	// A way to the containers, which the rules have to close.
	world, err := inside.LinkByName("eth0")
	s.check(err)
	s.check(inside.RouteAdd(&netlink.Route{LinkIndex: world.Attrs().Index, Gw: net.ParseIP(machineAddress)}))
}

func (s *station) attach(names ...string) {
	s.t.Helper()
	for _, svc := range s.services {
		if slices.Contains(names, svc.Name) {
			s.check(s.Attach(svc))
		}
	}
}

// in runs something in the namespace of a service; "" is the machine, "world" is
// the world.
func (s *station) in(where string, do func() error) error {
	if where == "" {
		return do()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := netns.Get()
		if err != nil {
			done <- err
			return
		}
		defer own.Close()
		ns, err := netns.GetFromPath(s.namespace(where))
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err == nil {
			err = do()
		}
		if back := netns.Set(own); back == nil {
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}
		done <- err
	}()
	return <-done
}

func (s *station) namespace(where string) string {
	if where == "world" {
		return s.world
	}
	return s.Files(where).Netns
}

// serve answers everybody who connects with the name of the service and the
// address that the question came from.
func (s *station) serve(where, network, address string) {
	s.t.Helper()
	s.check(s.in(where, func() error {
		if strings.HasPrefix(network, "udp") {
			c, err := net.ListenPacket(network, address)
			if err != nil {
				return err
			}
			s.t.Cleanup(func() { c.Close() })
			go func() {
				buf := make([]byte, 100)
				for {
					_, from, err := c.ReadFrom(buf)
					if err != nil {
						return
					}
					_, _ = c.WriteTo([]byte(where+" "+from.(*net.UDPAddr).IP.String()), from)
				}
			}()
			return nil
		}
		l, err := net.Listen(network, address)
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, where+" "+c.RemoteAddr().(*net.TCPAddr).IP.String())
				c.Close()
			}
		}()
		return nil
	}))
}

// ask connects and reads the answer.
func (s *station) ask(where, network, address string) (answer string, err error) {
	err = s.in(where, func() error {
		c, err := (&net.Dialer{Timeout: time.Second}).Dial(network, address)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		if strings.HasPrefix(network, "udp") {
			if _, err := c.Write([]byte("?")); err != nil {
				return err
			}
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			answer = string(buf[:n])
			return err
		}
		text, err := io.ReadAll(c)
		answer = string(text)
		return err
	})
	return answer, err
}

func (s *station) want(where, network, address, want string) {
	s.t.Helper()
	if got, err := s.ask(where, network, address); got != want {
		s.t.Errorf("%q asks %s %s: %q (%v), want %q", where, network, address, got, err, want)
	}
}

func (s *station) refused(where, network, address string) {
	s.t.Helper()
	if got, err := s.ask(where, network, address); err == nil {
		s.t.Errorf("%q asks %s %s: %q, want no answer", where, network, address, got)
	}
}

func (s *station) address(service, network string) string {
	s.t.Helper()
	a, ok := s.Addresses(service)[network]
	if !ok {
		s.t.Fatalf("%s is not in %s", service, network)
	}
	return a.String()
}

func service(name string, networks ...string) compose.Service {
	s := compose.Service{Name: name, NetworkMode: compose.NetworkBridge}
	for _, n := range networks {
		s.Networks = append(s.Networks, compose.Attachment{Network: compose.Network{Name: n, Internal: strings.HasSuffix(n, "inside")}})
	}
	return s
}

func publishing(s compose.Service, ports ...compose.Port) compose.Service {
	s.Ports = ports
	return s
}

// tcp is a port of the machine that leads to port 80.
func tcp(published uint16) compose.Port {
	return compose.Port{Published: published, Target: 80, Protocol: "tcp"}
}

func TestPublishedPorts(t *testing.T) {
	s := newStation(t,
		publishing(service("web", "shop"), tcp(8080), compose.Port{Published: 5514, Target: 514, Protocol: "udp"},
			compose.Port{HostIP: "127.0.0.1", Published: 8081, Target: 80, Protocol: "tcp"}),
		service("db", "shop"), service("other", "else"))
	// A flow that began before there was anything to answer it.
	stale, err := net.Dial("udp4", "127.0.0.1:5514")
	s.check(err)
	defer stale.Close()
	_, _ = stale.Write([]byte("?"))

	s.attach("web", "db", "other")
	s.serve("web", "tcp4", ":80")
	s.serve("web", "udp4", ":514")
	s.serve("world", "tcp4", ":7")
	web, db := s.address("web", "shop"), s.address("db", "shop")
	gateway := netip.MustParsePrefix(web + "/24").Masked().Addr().Next().String()

	s.want("db", "tcp4", web+":80", "web "+db)
	s.want("world", "tcp4", machineAddress+":8080", "web "+worldAddress)
	s.want("world", "udp4", machineAddress+":5514", "web "+worldAddress)
	s.want("", "tcp4", machineAddress+":8080", "web "+machineAddress)
	s.want("", "tcp4", "127.0.0.1:8080", "web "+gateway)
	s.want("", "udp4", "127.0.0.1:5514", "web "+gateway)
	s.want("", "tcp4", "127.0.0.1:8081", "web "+gateway)
	s.want("db", "tcp4", machineAddress+":8080", "web "+gateway)
	s.want("web", "tcp4", machineAddress+":8080", "web "+gateway)
	s.want("other", "tcp4", machineAddress+":8080", "web "+gateway)
	s.want("db", "tcp4", worldAddress+":7", "world "+machineAddress)

	s.refused("world", "tcp4", machineAddress+":8081")
	s.refused("world", "tcp4", web+":80")
	s.refused("other", "tcp4", web+":80")
	s.refused("db", "tcp4", "127.0.0.1:8080")

	s.check(stale.SetDeadline(time.Now().Add(time.Second)))
	_, _ = stale.Write([]byte("?")) // the first may bring the refusal of the one before
	_, _ = stale.Write([]byte("?"))
	buf := make([]byte, 100)
	n, err := stale.Read(buf)
	if errors.Is(err, syscall.ECONNREFUSED) {
		n, err = stale.Read(buf)
	}
	if string(buf[:n]) != "web "+gateway {
		t.Errorf("a flow that was there before gets %q (%v)", buf[:n], err)
	}
}

// A loopback address of the machine is nobody else's, though its way is open.
func TestLoopbackStaysClosed(t *testing.T) {
	s := newStation(t, publishing(service("web", "shop"), tcp(8080)))
	s.attach("web")
	s.serve("", "tcp4", "127.0.0.1:9")
	s.want("", "tcp4", "127.0.0.1:9", " 127.0.0.1")
	s.localnet("web", s.address("web", "shop"), gatewayOf(s, "web", "shop"))
	s.refused("web", "tcp4", "127.0.0.1:9")
}

// localnet makes a namespace with one link send to the machine what is for
// 127.0.0.1.
func (s *station) localnet(where, from, machine string) {
	ns, err := netns.GetFromPath(s.namespace(where))
	s.check(err)
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns)
	s.check(err)
	defer inside.Close()
	lo, err := inside.LinkByName("lo")
	s.check(err)
	s.check(inside.LinkSetDown(lo))
	s.check(s.in(where, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/eth0/route_localnet", []byte("1"), 0o644)
	}))
	eth, err := inside.LinkByName("eth0")
	s.check(err)
	s.check(inside.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: prefix("127.0.0.0/8"), Src: net.ParseIP(from), Gw: net.ParseIP(machine)}))
}

func gatewayOf(s *station, service, network string) string {
	return netip.MustParsePrefix(s.address(service, network) + "/24").Masked().Addr().Next().String()
}

func prefix(text string) *net.IPNet {
	_, p, _ := net.ParseCIDR(text)
	return p
}

func TestInternalNetworks(t *testing.T) {
	s := newStation(t, service("a", "inside"), service("b", "inside", "shop"))
	s.write("resolv.conf", "nameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver fe80::1\nsearch example.org\noptions edns0\n")
	s.attach("a", "b")
	s.serve("b", "tcp4", ":80")
	s.serve("world", "tcp4", ":7")
	s.serve("", "udp4", "127.0.0.53:53")
	s.want("a", "tcp4", s.address("b", "inside")+":80", "b "+s.address("a", "inside"))
	s.refused("a", "tcp4", worldAddress+":7")
	s.refused("a", "tcp4", s.address("b", "shop")+":80")
	s.want("b", "tcp4", worldAddress+":7", "world "+machineAddress)

	// The resolver that only the machine can ask.
	gateway := gatewayOf(s, "b", "shop")
	s.want("b", "udp4", gateway+":53", " "+s.address("b", "shop"))
	if got, want := s.read(s.Files("b").ResolvConf), "nameserver "+gateway+"\nnameserver 9.9.9.9\nsearch example.org\noptions edns0\n"; got != want {
		t.Errorf("resolv.conf of b: %q, want %q", got, want)
	}
	if got, want := s.read(s.Files("a").ResolvConf), "search example.org\noptions edns0\n"; got != want {
		t.Errorf("resolv.conf of a: %q, want %q", got, want)
	}
}

// What the file says of a link is what the service sees.
func TestInterfaces(t *testing.T) {
	web := service("web", "back", "front")
	web.Networks[0].MAC, web.Networks[1].Interface = "02:00:00:00:00:0a", "lan0"
	s := newStation(t, web, service("db", "back"))
	s.attach("web", "db")
	s.serve("web", "tcp4", ":80")
	s.want("db", "tcp4", s.address("web", "back")+":80", "web "+s.address("db", "back"))
	var got []string
	s.check(s.in("web", func() error {
		links, err := net.Interfaces()
		for _, l := range links {
			got = append(got, l.Name+" "+l.HardwareAddr.String())
		}
		return err
	}))
	four := netip.MustParseAddr(s.address("web", "front")).As4()
	want := []string{"lo ", "eth0 02:00:00:00:00:0a", "lan0 " + append(net.HardwareAddr{0x02, 0x72}, four[:]...).String()}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("interfaces %q, want %q", got, want)
	}
}

func TestNames(t *testing.T) {
	web := service("web", "back", "front")
	web.Hostname, web.Networks[0].Aliases = "www", []string{"shop", "store"}
	web.ExtraHosts = []compose.Host{{Name: "machine", Address: compose.HostGateway}, {Name: "x", Address: "9.9.9.9"}}
	web.DNS, web.DNSSearch, web.DNSOpt = []string{"1.1.1.1"}, []string{"a", "b"}, []string{"ndots:2"}
	web.Links = []compose.Link{{Service: "db", Alias: "store"}, {Service: "db", Alias: "db"}, {Service: "later", Alias: "after"}}
	s := newStation(t, web, service("db", "back"), service("later", "back"), service("far", "else"))
	s.attach("web", "db")
	// One that does not run yet is known.
	before := s.read(s.Files("db").Hosts)
	s.attach("later")
	line := func(network, service string, names string) string {
		return s.address(service, network) + " " + names + "\n"
	}
	want := "127.0.0.1 localhost\n" + line("back", "db", "db") + line("back", "later", "later") + line("back", "web", "web shop store")
	for _, got := range []string{before, s.read(s.Files("db").Hosts)} {
		if got != want {
			t.Errorf("hosts of db: %q, want %q", got, want)
		}
	}
	want = "127.0.0.1 localhost\n" + gatewayOf(s, "web", "back") + " machine\n9.9.9.9 x\n" + line("back", "db", "db store") +
		line("back", "later", "later after") + line("back", "web", "www shop store web") + line("front", "web", "www web")
	if got := s.read(s.Files("web").Hosts); got != want {
		t.Errorf("hosts of web: %q, want %q", got, want)
	}
	if got, want := s.read(s.Files("web").ResolvConf), "nameserver 1.1.1.1\nsearch a b\noptions ndots:2\n"; got != want {
		t.Errorf("resolv.conf of web: %q, want %q", got, want)
	}

	// The name servers of the machine arrive after the services.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(s.read(s.Files("db").ResolvConf), "9.9.9.9"); {
		s.write("new", "nameserver 9.9.9.9\n") // again and again: Run has to have begun
		s.check(os.Rename(filepath.Join(s.dir, "new"), filepath.Join(s.dir, "resolv.conf")))
		if time.Now().After(deadline) {
			t.Fatal("db does not see the name server of the machine")
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-done
}

// rosd dies and another one finds everything; what has no container goes.
func TestAnotherRosd(t *testing.T) {
	s := newStation(t, publishing(service("web", "shop"), tcp(8080)), service("db", "shop"), service("gone", "away"))
	s.attach("web", "db", "gone")
	s.serve("web", "tcp4", ":80")
	web := s.address("web", "shop")
	s.Close()
	s.Networks = s.rosd()
	s.Keep(func(service string) bool { return service != "gone" })
	if got := s.address("web", "shop"); got != web {
		t.Errorf("web has %s, had %s", got, web)
	}
	s.want("db", "tcp4", web+":80", "web "+s.address("db", "shop"))
	s.want("world", "tcp4", machineAddress+":8080", "web "+worldAddress)
	if _, err := net.Listen("tcp", ":8080"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the port of web is not taken: %v", err)
	}
	if n := len(bridges(t)); n != 1 {
		t.Errorf("%d bridges, want that of shop", n)
	}
	// A container that starts again is where it was, and the others are not touched.
	s.check(s.Detach("web"))
	s.attach("web")
	if got := s.address("web", "shop"); got != web {
		t.Errorf("started again web has %s, had %s", got, web)
	}
	s.check(s.Detach("web"))
	s.check(s.Detach("db"))
	s.check(s.Detach("db"))
	s.nothingLeft()
}

func (s *station) nothingLeft() {
	s.t.Helper()
	if left := bridges(s.t); len(left) > 0 {
		s.t.Errorf("bridges are left: %v", left)
	}
	for _, dir := range []string{"netns", "networks"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil || len(entries) > 0 {
			s.t.Errorf("left in %s: %v (%v)", dir, entries, err)
		}
	}
	conn, err := nftables.New()
	s.check(err)
	tables, err := conn.ListTables()
	s.check(err)
	if len(tables) > 0 {
		s.t.Errorf("%d tables of rules are left", len(tables))
	}
}

// A start that was cut off leaves nothing that the next one stumbles over.
func TestCutOff(t *testing.T) {
	s := newStation(t, service("a", "shop"))
	s.attach("a")
	s.check(os.WriteFile(filepath.Join(s.dir, "networks/a/state.json"), nil, 0o600))
	s.Networks = s.rosd()
	s.attach("a")
	s.want("a", "tcp4", "127.0.0.1:1", "") // the namespace can be entered
	if n := len(bridges(t)); n != 1 {
		t.Errorf("%d bridges, want one", n)
	}
}

func TestConflicts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := uint16(l.Addr().(*net.TCPAddr).Port)
	fixed := func(s compose.Service, subnet, address string) compose.Service {
		s.Networks[0].Network.Subnet, s.Networks[0].IPv4 = subnet, address
		return s
	}
	s := newStation(t,
		publishing(service("web", "shop"), tcp(8080)), publishing(service("two", "shop"), tcp(8080)), publishing(service("busy", "shop"), tcp(busy)),
		fixed(service("far", "far"), "192.0.2.128/25", ""), fixed(service("b", "own"), "10.9.0.0/24", "10.9.0.5"), fixed(service("c", "own"), "10.9.0.0/24", "10.9.0.5"),
		fixed(service("d", "own"), "10.9.1.0/24", ""))
	s.attach("web", "b")
	if got := s.address("b", "own"); got != "10.9.0.5" {
		t.Errorf("b has %s", got)
	}
	for name, want := range map[string]string{
		"two":  `cannot give service "two" a network: port 8080/tcp of the machine is that of service "web"`,
		"busy": fmt.Sprintf(`cannot give service "busy" a network: port %d/tcp of the machine is in use`, busy),
		"far":  `cannot give service "far" a network: network "far": the subnet 192.0.2.128/25 overlaps with 192.0.2.0/24, which the machine has a route to`,
		"c":    `cannot give service "c" a network: network "own": service "b" has the address 10.9.0.5`,
		"d":    `cannot give service "d" a network: network "own" is in use and was another one when it was made: stop the services that are in it`,
	} {
		i := slices.IndexFunc(s.services, func(s compose.Service) bool { return s.Name == name })
		if err := s.Attach(s.services[i]); err == nil || err.Error() != want {
			t.Errorf("Attach(%s) = %v, want %s", name, err, want)
		}
		if len(s.Addresses(name)) > 0 {
			t.Errorf("%s is attached", name)
		}
	}
	if n := len(bridges(t)); n != 2 {
		t.Errorf("%d bridges, want those of shop and own", n)
	}
}

func bridges(t *testing.T) []string {
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range links {
		if l.Type() == "bridge" {
			names = append(names, l.Attrs().Alias)
		}
	}
	return names
}

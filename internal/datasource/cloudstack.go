package datasource

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cloudStack is the metadata service of Apache CloudStack. It is on the virtual
// router of the machine's network, which is also its DHCP server.
type cloudStack struct {
	client Client // nothing in Base: look for the router
	root   string
}

func newCloudStack(m Machine, argument string) (Source, error) {
	c, err := service(argument, "")
	return cloudStack{client: c, root: m.Root}, err
}

func (cloudStack) Name() string { return "cloudstack" }

func (s cloudStack) Fetch(ctx context.Context) (*Data, error) {
	bases := []string{s.client.Base}
	if s.client.Base == "" {
		bases = nil
		for _, router := range routers(s.root) {
			bases = append(bases, "http://"+router.String())
		}
	}
	if len(bases) == 0 {
		return nil, errors.New("neither a DHCP lease nor a default route names the virtual router yet")
	}
	var last error // what is wrong with one of them, rather than that one is something else
	for _, base := range bases {
		c := s.client
		c.Base = base
		data, err := instanceTree{
			client:   c,
			meta:     "latest/meta-data/",
			user:     "latest/user-data",
			hostname: "local-hostname",
			keys:     "public-keys",
		}.data(ctx)
		if err == nil {
			return data, nil
		}
		if last == nil || !errors.Is(err, ErrAbsent) {
			last = err
		}
	}
	return nil, last
}

// routers are the addresses that may be the virtual router's: of the servers
// that have given leases, then of default routes. A machine with a static
// address has only those.
func routers(root string) []netip.Addr {
	var found []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && !a.IsUnspecified() && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	leases, _ := filepath.Glob(filepath.Join(root, "var/lib/rancher/network/*.lease")) // the pattern is a good one
	for _, name := range leases {
		lease, err := os.ReadFile(name)
		if err != nil {
			continue // the service network is just writing it; Fetch is called again
		}
		add(leaseServer(lease))
	}
	routes, err := os.ReadFile(filepath.Join(root, "proc/net/route"))
	if err != nil {
		return found
	}
	for _, gateway := range gateways(routes) {
		add(gateway)
	}
	return found
}

// What is where in a DHCP message (RFC 2131, RFC 2132).
const (
	dhcpOptions      = 236 // after the fixed part
	dhcpCookie       = "\x63\x82\x53\x63"
	dhcpOptionPad    = 0
	dhcpOptionServer = 54
	dhcpOptionEnd    = 255
)

// leaseServer is the server identifier in a lease as dhcpcd keeps it, which is
// the message that gave it. The zero Addr: there is none.
func leaseServer(lease []byte) netip.Addr {
	if len(lease) < dhcpOptions {
		return netip.Addr{}
	}
	options, ok := bytes.CutPrefix(lease[dhcpOptions:], []byte(dhcpCookie))
	if !ok {
		return netip.Addr{}
	}
	for len(options) > 0 && options[0] != dhcpOptionEnd {
		if options[0] == dhcpOptionPad {
			options = options[1:]
			continue
		}
		if len(options) < 2 || len(options) < 2+int(options[1]) {
			break
		}
		value := options[2 : 2+int(options[1])]
		if options[0] == dhcpOptionServer && len(value) == 4 {
			return netip.AddrFrom4([4]byte(value))
		}
		options = options[2+len(value):]
	}
	return netip.Addr{}
}

// gateways are the gateways of the default routes in /proc/net/route.
func gateways(routes []byte) []netip.Addr {
	var found []netip.Addr
	for lines := bufio.NewScanner(bytes.NewReader(routes)); lines.Scan(); {
		// Iface Destination Gateway Flags …; the kernel prints addresses as
		// numbers in its own byte order, which is little-endian on all our CPUs.
		words := strings.Fields(lines.Text())
		if len(words) < 3 || words[1] != "00000000" {
			continue
		}
		address, err := hex.DecodeString(words[2])
		if err != nil || len(address) != 4 {
			continue
		}
		var four [4]byte
		binary.LittleEndian.PutUint32(four[:], binary.BigEndian.Uint32(address))
		found = append(found, netip.AddrFrom4(four))
	}
	return found
}

package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"

	"github.com/rosteros/ros/internal/compose"
)

// pools are where subnets come from, in this order. Docker's are 172.17.0.0/12
// upwards and 192.168.0.0/16; home routers like the beginning of 10.0.0.0/8,
// Kubernetes 10.42 and 10.43, podman 10.88 and after. The second, of carriers, is
// for machines that reach all of 10.0.0.0/8 by some route.
var pools = []netip.Prefix{netip.MustParsePrefix("10.208.0.0/12"), netip.MustParsePrefix("100.96.0.0/11")}

// subnetBits is the size of a subnet that nobody has chosen.
const subnetBits = 24

// number follows from a name, on every machine and in every boot.
func number(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// spread is a number that follows from a name, less than n.
func spread(name string, n int) int { return int(number(name) % uint64(n)) }

// subnet settles where a network is: where it is now, where the file says, or
// where its name puts it, unless the machine reaches something else there.
func (n *Networks) subnet(network compose.Network) (compose.Network, error) {
	if now, there := n.networks()[network.Name]; there {
		changed := network.Internal != now.Internal || network.Subnet != "" && network.Subnet != now.Subnet ||
			network.Gateway != "" && network.Gateway != now.Gateway
		if changed {
			return network, fmt.Errorf("network %q is in use and was another one when it was made: stop the services that are in it", network.Name)
		}
		return now, nil
	}
	taken, err := n.taken()
	if err != nil {
		return network, err
	}
	if network.Subnet != "" {
		want, err := netip.ParsePrefix(network.Subnet)
		if err != nil {
			return network, err
		}
		for _, t := range taken {
			if t.prefix.Overlaps(want) {
				return network, fmt.Errorf("network %q: the subnet %s overlaps with %s, %s", network.Name, want, t.prefix, t.who)
			}
		}
		return withGateway(network, want), nil
	}
	for _, s := range n.o.Services() { // what files ask for stays free for them
		for _, a := range s.Networks {
			if p, err := netip.ParsePrefix(a.Network.Subnet); err == nil {
				taken = append(taken, use{p, "a network of service " + s.Name})
			}
		}
	}
	for _, pool := range pools {
		if p, ok := freeSubnet(pool, network.Name, taken); ok {
			return withGateway(network, p), nil
		}
	}
	return network, fmt.Errorf("network %q: no subnet of %v is free; give it one with ipam: {config: [{subnet: …}]}", network.Name, pools)
}

func withGateway(network compose.Network, subnet netip.Prefix) compose.Network {
	network.Subnet = subnet.String()
	if network.Gateway == "" {
		network.Gateway = subnet.Addr().Next().String()
	}
	return network
}

// use is a subnet that somebody has.
type use struct {
	prefix netip.Prefix
	who    string
}

// freeSubnet is the first one, from where the name begins to look, that overlaps
// with nothing.
func freeSubnet(pool netip.Prefix, name string, taken []use) (netip.Prefix, bool) {
	count := 1 << (subnetBits - pool.Bits())
	first := spread(name, count)
	for i := range count {
		p := netip.PrefixFrom(add(pool.Addr(), (first+i)%count<<(32-subnetBits)), subnetBits)
		if !slices.ContainsFunc(taken, func(t use) bool { return t.prefix.Overlaps(p) }) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// add is the address that comes n after a.
func add(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// addresses are those of all services of a network, also of those that do not
// run: each of them can be told beforehand where it will find the others. What
// an attached service has is its; what a file says comes next; of the rest each
// takes the first that is free from where its name begins to look.
func (n *Networks) addresses(network compose.Network, starting ...compose.Service) map[string]netip.Addr {
	got := map[string]netip.Addr{}
	used := map[netip.Addr]bool{}
	for name, m := range n.members {
		for _, l := range m.Links {
			if l.Network.Name == network.Name {
				got[name], used[l.Address] = l.Address, true
			}
		}
	}
	waiting := map[string]string{} // service: address that its file says
	for _, s := range slices.Concat(n.o.Services(), starting) {
		for _, a := range s.Networks {
			if _, have := got[s.Name]; a.Network.Name == network.Name && !have {
				waiting[s.Name] = a.IPv4
			}
		}
	}
	subnet, err := netip.ParsePrefix(network.Subnet)
	if err != nil {
		return got
	}
	if gateway, err := netip.ParseAddr(network.Gateway); err == nil {
		used[gateway] = true
	}
	names := slices.Sorted(maps.Keys(waiting))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(turn(waiting[a]), turn(waiting[b])) })
	for _, name := range names {
		address, err := netip.ParseAddr(waiting[name])
		if err != nil {
			if address, err = freeAddress(subnet, name, used); err != nil {
				continue
			}
		}
		got[name], used[address] = address, true
	}
	return got
}

// turn is 0 for a service whose file says its address, which goes first, and 1
// for any other.
func turn(address string) int {
	if address != "" {
		return 0
	}
	return 1
}

func freeAddress(subnet netip.Prefix, name string, used map[netip.Addr]bool) (netip.Addr, error) {
	count := 1<<(32-subnet.Bits()) - 2 // neither the first nor the last, which is for broadcasts
	first := spread(name, count)
	for i := range count {
		if a := add(subnet.Addr(), 1+(first+i)%count); !used[a] {
			return a, nil
		}
	}
	return netip.Addr{}, errors.New("no address is free")
}

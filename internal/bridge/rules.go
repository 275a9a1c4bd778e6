package bridge

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is that of our rules; nobody else writes into it.
const tableName = "ros-networks"

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// enforce writes the rules anew, all at once: what was decided about a flow stays
// with the flow.
//
// Docker and we do not cut each other off. A packet passes the chains of both and
// must be dropped by neither. With nft, Docker's forward chain accepts what does
// not concern a bridge of its own. With iptables it sets the policy of FORWARD to
// DROP, but only where it has switched forwarding on itself, and on this OS the
// machine has done that before (sysctl.conf; moby, setup_ip_forwarding.go). Our
// chains decide about packets from and to our bridges only. Forwarding through
// both, from a container of Docker to one of ours, works by published ports, as
// between two networks of Docker.
func (n *Networks) enforce() error {
	conn, err := nftables.New(nftables.WithSockOptions(roomy))
	if err != nil {
		return fmt.Errorf("cannot speak to the kernel about firewall rules: %w", err)
	}
	table := &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
	conn.AddTable(table) // one that is not there cannot be deleted
	conn.DelTable(table)
	if len(n.members) > 0 {
		n.ruleSet(&rules{conn: conn, table: conn.AddTable(table)})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("cannot set the firewall rules of services: %w", err)
	}
	return nil
}

// roomy has place in a socket for a batch as a whole: all of it is sent at once,
// and every rule comes back, with a receipt, before the first is read. A thousand
// rules take some 3 MB.
func roomy[S interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}](socket S) error {
	const most = 64 << 20
	return errors.Join(socket.SetReadBuffer(most), socket.SetWriteBuffer(most))
}

func (n *Networks) ruleSet(r *rules) {
	raw := r.base("raw", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	forward := r.base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	in := r.base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	own := r.base("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest)
	out := r.base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	published := r.conn.AddChain(&nftables.Chain{Name: "published", Table: r.table})

	server, local := n.loopbackServer()
	networks := n.networks()
	names := slices.Sorted(maps.Keys(networks))
	for _, name := range names { // no other network is let in or out by what follows
		bridge := bridgeName(name)
		r.add(forward, iif(bridge), oif(bridge), accept)
		if networks[name].Internal {
			r.add(forward, iif(bridge), drop)
			r.add(forward, oif(bridge), drop)
		}
	}
	for _, name := range names {
		network, bridge := networks[name], bridgeName(name)
		subnet, err := netip.ParsePrefix(network.Subnet)
		if err != nil {
			continue // written by us
		}
		// Replies to the machine's own 127.0.0.1 are still addressed to the gateway here.
		// The kernel itself would believe a packet that says it comes from 127.0.0.2.
		r.add(raw, iif(bridge), to(loopback), drop)
		r.add(raw, iif(bridge), from(loopback), drop)
		if network.Internal {
			continue
		}
		r.add(forward, oif(bridge), ct(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept)
		r.add(forward, oif(bridge), translated, accept)
		r.add(forward, oif(bridge), drop)

		r.add(out, from(subnet), notOif(bridge), masquerade)
		r.add(out, from(subnet), oif(bridge), translated, masquerade) // the answer has to come back this way
		r.add(out, from(loopback), oif(bridge), masquerade)
		if gateway, err := netip.ParseAddr(network.Gateway); err == nil && local {
			for _, protocol := range []string{"udp", "tcp"} {
				r.add(in, iif(bridge), to(netip.PrefixFrom(gateway, 32)), port(protocol, 53), translate(server, 53))
			}
		}
	}
	// A neighbour may send what is for 127.0.0.1 to us: it would be another address
	// before anybody finds it strange.
	r.add(in, notTo(loopback), isLocal, jump(published.Name))
	r.add(own, isLocal, jump(published.Name))
	for _, service := range slices.Sorted(maps.Keys(n.members)) {
		m := n.members[service]
		way := m.wayOut()
		if way == nil {
			continue
		}
		for _, p := range m.Service.Ports {
			var where []expr.Any
			if a, err := netip.ParseAddr(p.HostIP); err == nil {
				where = to(netip.PrefixFrom(a, 32))
			}
			r.add(published, where, port(p.Protocol, p.Published), translate(way.Address, p.Target))
		}
	}
}

// rules are being written.
type rules struct {
	conn  *nftables.Conn
	table *nftables.Table
}

func (r *rules) base(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	return r.conn.AddChain(&nftables.Chain{Name: name, Table: r.table, Type: kind, Hooknum: hook, Priority: priority})
}

func (r *rules) add(chain *nftables.Chain, parts ...[]expr.Any) {
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: chain, Exprs: slices.Concat(parts...)})
}

// The parts of rules, in the words of nft(8). Each uses register 1.

var (
	accept     = []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	drop       = []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
	masquerade = []expr.Any{&expr.Masq{}}
	// isLocal is: fib daddr type local
	isLocal = []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
	// translated is: ct status dnat
	translated = ct(expr.CtKeySTATUS, ipsDestinationNAT)
)

// ipsDestinationNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
const ipsDestinationNAT = 1 << 5

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

func iif(name string) []expr.Any    { return named(expr.MetaKeyIIFNAME, expr.CmpOpEq, name) }
func oif(name string) []expr.Any    { return named(expr.MetaKeyOIFNAME, expr.CmpOpEq, name) }
func notOif(name string) []expr.Any { return named(expr.MetaKeyOIFNAME, expr.CmpOpNeq, name) }

// named compares the name of a link, which the kernel fills up with zeros.
func named(key expr.MetaKey, op expr.CmpOp, name string) []expr.Any {
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: data}}
}

// Places in the headers of IPv4, TCP and UDP.
const (
	sourceOffset      = 12
	destinationOffset = 16
	portOffset        = 2
)

func from(p netip.Prefix) []expr.Any  { return within(sourceOffset, expr.CmpOpEq, p) }
func to(p netip.Prefix) []expr.Any    { return within(destinationOffset, expr.CmpOpEq, p) }
func notTo(p netip.Prefix) []expr.Any { return within(destinationOffset, expr.CmpOpNeq, p) }

func within(offset uint32, op expr.CmpOp, p netip.Prefix) []expr.Any {
	address := p.Masked().Addr().As4()
	mask := net.CIDRMask(p.Bits(), 32)
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: address[:]},
	}
}

// ct is: ct KEY & bits != 0
func ct(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// port is: PROTOCOL dport NUMBER
func port(protocol string, number uint16) []expr.Any {
	transport := byte(unix.IPPROTO_TCP)
	if protocol == "udp" {
		transport = unix.IPPROTO_UDP
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{transport}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(number)},
	}
}

// translate is: dnat to ADDRESS:PORT
func translate(a netip.Addr, number uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: a.AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(number)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}

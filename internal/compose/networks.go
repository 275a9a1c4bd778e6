package compose

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Network is one that the services of a file have for themselves.
type Network struct {
	Name     string `json:"name"`               // PROJECT_KEY, or what the file says
	Internal bool   `json:"internal,omitempty"` // no way out of it
	Subnet   string `json:"subnet,omitempty"`   // IPv4; "": any that is free
	Gateway  string `json:"gateway,omitempty"`  // "": the first address of the subnet
}

// Attachment is a network that a service is in.
type Attachment struct {
	Network Network  `json:"network"`
	Aliases []string `json:"aliases,omitempty"` // names beside that of the service
	IPv4    string   `json:"ipv4,omitempty"`    // "": any that is free

	MAC       string `json:"mac,omitempty"`       // "": follows from the address
	Interface string `json:"interface,omitempty"` // see LinkName
}

// Host is one line of extra_hosts.
type Host struct {
	Name    string `json:"name"`
	Address string `json:"address"` // HostGateway: the machine as the container sees it
}

// HostGateway is the word of Compose for the address of the machine.
const HostGateway = "host-gateway"

// NetworkBridge is the NetworkMode of a service that has networks of its own.
const NetworkBridge = "bridge"

// refusedOfNetwork are the keys of an entry of the service's networks that do
// nothing here, and why.
var refusedOfNetwork = map[string]string{
	"driver_opts":            "the networks of the OS have no drivers with options",
	"gw_priority":            "the way out is that of the first network, by the alphabet, that has one",
	"ipv6_address":           onlyIPv4,
	"link_local_ips":         `use "ipv4_address"`,
	"priority":               "networks are connected in the order of the alphabet",
	"use_service_name_alias": "a service always has its name",
}

// refusedOfNetworks are the keys of an entry of networks at the top of the file.
var refusedOfNetworks = map[string]string{
	"driver_opts": "the networks of the OS have no drivers with options",
}

const onlyIPv4 = "the networks of the OS have IPv4 only"

// hostWord is a name by which one container may find another.
var hostWord = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$`)

// projectName is the name of the file's project, which the names of its networks
// begin with.
func (r *reader) projectName(root yamldoc.Value) string {
	for _, p := range root.Pairs() {
		if p.Key != "name" {
			continue
		}
		if name, ok := r.text(p.Value); ok && name != "" {
			return name
		}
	}
	return nameByPath(r.path)
}

// nameByPath is the name of a project whose file says none.
func nameByPath(path string) string {
	base := filepath.Base(path)
	switch base {
	case "compose.yml", "compose.yaml", "docker-compose.yml", "docker-compose.yaml":
		return filepath.Base(filepath.Dir(path))
	}
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// topNetworks notes what is listed under networks at the top of the file. With services of
// the user in it an entry is read when one of ours is in it: the others are for
// their engine to judge.
func (r *reader) topNetworks(v yamldoc.Value, forUsers bool) {
	if v.Kind() != yamldoc.Mapping {
		r.wrong(v, "must be a mapping (name of a network:)")
		return
	}
	for _, p := range v.Pairs() {
		if !objectName.MatchString(p.Key) {
			r.wrongKey(p, "%q cannot be a name", p.Key)
		}
		r.networks[p.Key] = p.Value
		if !forUsers {
			r.network(p.Key)
		}
	}
}

// network is the one of a key at the top of the file. Every project has one
// called default. What is wrong with it is told once to each service, or once to
// the file.
func (r *reader) network(key string) (n Network, ok bool) {
	v, listed := r.networks[key]
	if !listed || v.Tag() == "!!null" {
		return Network{Name: r.project + "_" + key}, listed || key == "default"
	}
	for _, reader := range []string{"", r.service} {
		if known, done := r.known[place{reader, key}]; done {
			return known.Network, known.sound
		}
	}
	n, ok = r.readNetwork(key, v)
	r.known[place{r.service, key}] = knownNetwork{n, ok}
	return n, ok
}

// place is a network that was read for a service; "": for the file.
type place struct{ service, key string }

type knownNetwork struct {
	Network
	sound bool
}

func (r *reader) readNetwork(key string, v yamldoc.Value) (n Network, ok bool) {
	n = Network{Name: r.project + "_" + key}
	before := len(r.faults)
	must := func(want bool, why string) func(yamldoc.Value) {
		return func(v yamldoc.Value) {
			if is, ok := r.boolean(v); ok && is != want {
				r.wrong(v, "is not supported in scope %q: %s", ScopeSystem, why)
			}
		}
	}
	keys := map[string]func(yamldoc.Value){
		"name": func(v yamldoc.Value) {
			if text, ok := r.word(v); ok {
				n.Name = text
			}
		},
		"driver":      func(v yamldoc.Value) { r.oneOf(v, "bridge", "default") },
		"internal":    func(v yamldoc.Value) { n.Internal, _ = r.boolean(v) },
		"attachable":  func(v yamldoc.Value) { r.boolean(v) },
		"labels":      func(v yamldoc.Value) { r.entries(v, nil) },
		"enable_ipv4": must(true, onlyIPv4),
		"enable_ipv6": must(false, onlyIPv4),
		"external":    must(false, `give the network the same "name" in each of the files that share it`),
		"ipam":        func(v yamldoc.Value) { r.ipam(&n, v) },
	}
	r.refusing(v, keys, refusedOfNetworks)
	return n, len(r.faults) == before || r.full()
}

// refusing is mapping for keys of which Compose knows more.
func (r *reader) refusing(v yamldoc.Value, keys map[string]func(yamldoc.Value), refused map[string]string) {
	if v.Kind() == yamldoc.Mapping {
		for _, p := range v.Pairs() {
			if why, is := refused[p.Key]; is {
				keys[p.Key] = func(yamldoc.Value) { r.wrongKey(p, "is not supported in scope %q: %s", ScopeSystem, why) }
			}
		}
	}
	r.mapping(v, keys)
}

func (r *reader) ipam(n *Network, v yamldoc.Value) {
	r.refusing(v, map[string]func(yamldoc.Value){
		"driver": func(v yamldoc.Value) { r.oneOf(v, "default") },
		"config": func(v yamldoc.Value) {
			items := r.items(v)
			if len(items) > 1 {
				r.wrong(v, "a network of the OS has one subnet")
				return
			}
			for _, item := range items {
				r.pool(n, item)
			}
		},
	}, map[string]string{"options": "addresses are given by the OS itself"})
}

// smallest is the longest prefix of a subnet: one address for the machine and
// one for a container.
const smallest = 30

func (r *reader) pool(n *Network, v yamldoc.Value) {
	var subnet netip.Prefix
	r.refusing(v, map[string]func(yamldoc.Value){
		"subnet": func(v yamldoc.Value) {
			text, ok := r.word(v)
			if !ok {
				return
			}
			p, err := netip.ParsePrefix(text)
			switch {
			case err == nil && p.Addr().Is6():
				r.wrong(v, "is not supported in scope %q: %s", ScopeSystem, onlyIPv4)
			case err != nil || p != p.Masked() || p.Bits() < 8 || p.Bits() > smallest:
				r.wrong(v, "%q must be a subnet like 10.9.0.0/24, at most /%d", text, smallest)
			case !p.Addr().IsGlobalUnicast():
				r.wrong(v, "%q has no addresses that containers can have", text)
			default:
				subnet, n.Subnet = p, p.String()
			}
		},
		"gateway": func(v yamldoc.Value) {
			n.Gateway, _ = r.word(v)
		},
	}, map[string]string{
		"ip_range":      `give single services their "ipv4_address"`,
		"aux_addresses": `give single services their "ipv4_address"`,
	})
	switch {
	case n.Gateway == "" || r.broken[r.service]:
	case n.Subnet == "":
		r.wrong(v, "has a gateway and no subnet")
	case !within(subnet, n.Gateway):
		r.wrong(v, "gateway %q is no address of %s", n.Gateway, subnet)
	}
}

// within says whether text is an address of a subnet that somebody can have.
func within(subnet netip.Prefix, text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && subnet.Contains(a) && a != subnet.Addr() && subnet.Contains(a.Next())
}

// serviceNetworks are those that a service names.
func (r *reader) serviceNetworks(s *Service, v yamldoc.Value) {
	switch v.Kind() {
	case yamldoc.List:
		for _, item := range v.Items() {
			if key, ok := r.word(item); ok {
				r.attach(s, item, key, Attachment{})
			}
		}
	case yamldoc.Mapping:
		for _, p := range v.Pairs() {
			var a Attachment
			if p.Value.Tag() != "!!null" {
				r.refusing(p.Value, map[string]func(yamldoc.Value){
					"aliases":        func(v yamldoc.Value) { a.Aliases = r.aliases(v) },
					"ipv4_address":   func(v yamldoc.Value) { a.IPv4, _ = r.word(v) },
					"mac_address":    func(v yamldoc.Value) { a.MAC = r.hardware(v) },
					"interface_name": func(v yamldoc.Value) { a.Interface = r.interfaceName(v) },
				}, refusedOfNetwork)
			}
			r.attach(s, p.Value, p.Key, a)
		}
	default:
		r.wrong(v, "must be a mapping (name of a network: {aliases: …}) or a list (- name)")
	}
	slices.SortFunc(s.Networks, func(a, b Attachment) int { return strings.Compare(a.Network.Name, b.Network.Name) })
}

func (r *reader) attach(s *Service, v yamldoc.Value, key string, a Attachment) {
	n, ok := r.network(key)
	if _, listed := r.networks[key]; !ok && !listed {
		r.wrong(v, "network %q is not listed under \"networks\" at the top of the file", key)
	}
	if !ok {
		return
	}
	if slices.ContainsFunc(s.Networks, func(have Attachment) bool { return have.Network.Name == n.Name }) {
		r.wrong(v, "network %q is given twice", n.Name)
		return
	}
	a.Network = n
	if a.IPv4 != "" {
		subnet, err := netip.ParsePrefix(n.Subnet)
		switch {
		case err != nil:
			r.wrong(v, `ipv4_address: network %q has no subnet of its own (ipam: {config: [{subnet: …}]})`, key)
		case !within(subnet, a.IPv4):
			r.wrong(v, "ipv4_address: %q is no address of %s", a.IPv4, subnet)
		case a.IPv4 == n.Gateway, n.Gateway == "" && a.IPv4 == subnet.Addr().Next().String():
			r.wrong(v, "ipv4_address: %q is the address of the machine", a.IPv4)
		}
	}
	s.Networks = append(s.Networks, a)
}

func (r *reader) aliases(v yamldoc.Value) []string {
	list := r.texts(v, true)
	for i, item := range v.Items() {
		if i < len(list) && !hostWord.MatchString(list[i]) {
			r.wrong(item, "%q cannot be the name of a container", list[i])
		}
	}
	return list
}

// dnsList is a name or a list of them.
func (r *reader) dnsList(v yamldoc.Value) []string {
	if v.Kind() == yamldoc.List {
		return r.texts(v, true)
	}
	if text, ok := r.word(v); ok {
		return []string{text}
	}
	return nil
}

// lookups reads dns, dns_search or dns_opt; what it has become is a line of
// resolv.conf.
func (r *reader) lookups(v yamldoc.Value, list []string) []string {
	for _, word := range list {
		if word == "" || strings.ContainsAny(word, " \t\r\n#;") {
			r.wrong(v, "%q cannot stand in resolv.conf", word)
		}
	}
	return list
}

func (r *reader) nameServers(s *Service, v yamldoc.Value) {
	s.DNS = r.lookups(v, r.dnsList(v))
	for _, server := range s.DNS {
		if a, err := netip.ParseAddr(server); err == nil && !a.Is4() {
			r.wrong(v, "%q is not supported in scope %q: %s", server, ScopeSystem, onlyIPv4)
		} else if err != nil {
			r.wrong(v, "%q is no address of a name server", server)
		}
	}
}

// extraHosts are lines for /etc/hosts.
func (r *reader) extraHosts(s *Service, v yamldoc.Value) {
	add := func(v yamldoc.Value, name, address string) {
		if _, err := netip.ParseAddr(strings.Trim(address, "[]")); err != nil && address != HostGateway {
			r.wrong(v, "%q is no address: write NAME=ADDRESS or NAME=%s", address, HostGateway)
			return
		}
		if !hostWord.MatchString(name) {
			r.wrong(v, "%q cannot be the name of a host", name)
			return
		}
		s.ExtraHosts = append(s.ExtraHosts, Host{name, strings.Trim(address, "[]")})
	}
	switch v.Kind() {
	case yamldoc.List:
		for _, item := range v.Items() {
			text, ok := r.text(item)
			if !ok {
				continue
			}
			name, address, ok := strings.Cut(text, "=")
			if !ok {
				name, address, ok = strings.Cut(text, ":")
			}
			if !ok {
				r.wrong(item, "%q must be NAME=ADDRESS", text)
				continue
			}
			add(item, name, address)
		}
	case yamldoc.Mapping:
		for _, p := range v.Pairs() {
			values := []yamldoc.Value{p.Value}
			if p.Value.Kind() == yamldoc.List {
				values = p.Value.Items()
			}
			for _, value := range values {
				if text, ok := r.text(value); ok {
					add(value, p.Key, text)
				}
			}
		}
	default:
		r.wrong(v, "must be a mapping (NAME: address) or a list (- NAME=ADDRESS)")
	}
	slices.SortStableFunc(s.ExtraHosts, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
}

// networked settles what network a service is in, when all its keys are known.
func (r *reader) networked(s *Service, given map[string]yamldoc.Pair) {
	_, mode := given["network_mode"]
	for _, key := range []string{"networks", "ports"} {
		if p, ok := given[key]; ok && mode {
			r.wrongKey(p, `contradicts "network_mode": a service has either`)
			return
		}
	}
	if !mode && len(s.Networks) == 0 && len(s.Ports) > 0 {
		n, ok := r.network("default")
		if !ok {
			return
		}
		s.Networks = []Attachment{{Network: n}}
	}
	if len(s.Networks) > 0 {
		s.NetworkMode = NetworkBridge
	}
	if p, ok := given["uts"]; ok && s.UtsMode == "host" && s.NetworkOf() != "" {
		r.wrongKey(p, `a service with a network of its own has a name of its own`)
	}
	if p, ok := given["hostname"]; ok && s.NetworkOf() != "" && s.NetworkMode != NetworkBridge {
		r.wrongKey(p, `in the network of another service it has the name of that`)
	}
	if s.NetworkMode != NetworkBridge {
		for _, key := range []string{"extra_hosts", "links", "mac_address", "dns", "dns_search", "dns_opt"} {
			if p, ok := given[key]; ok {
				r.wrongKey(p, `is for services with a network of their own ("networks: [default]"); with that of the machine its files count`)
			}
		}
		return
	}
	r.interfaces(s, given["networks"], r.mac)
	if p, ok := given["ports"]; ok && !slices.ContainsFunc(s.Networks, func(a Attachment) bool { return !a.Network.Internal }) {
		r.wrongKey(p, `cannot be reached: all networks of the service are "internal"`)
	}
}

// share refuses a network of one name that two files describe differently: they
// would meet in it. So would projects that nobody has named, of files that happen
// to have one name.
func (c *collector) share(s Service) (Fault, bool) {
	for _, a := range s.Networks {
		have, ok := c.networks[a.Network.Name]
		project := nameByPath(s.File)
		namesakes := have.file != s.File && nameByPath(have.file) == project && strings.HasPrefix(a.Network.Name, project+"_")
		switch {
		case !ok:
			c.networks[a.Network.Name] = network{a.Network, s.File}
		case have.Network != a.Network || namesakes:
			return Fault{File: s.File, Line: s.Line, Key: "services." + s.Name, Service: s.Name,
				Message: fmt.Sprintf("network %q is another one in %s: give one of the two another name", a.Network.Name, have.file)}, true
		}
	}
	return Fault{}, false
}

// network is one, and the file that named it first.
type network struct {
	Network
	file string
}

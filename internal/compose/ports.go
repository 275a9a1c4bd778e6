package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/docker/go-connections/nat"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Port is one of the machine behind which a service answers.
type Port struct {
	HostIP    string `json:"host_ip,omitempty"` // IPv4; "": every address of the machine
	Published uint16 `json:"published"`
	Target    uint16 `json:"target"`   // port of the container
	Protocol  string `json:"protocol"` // "tcp" or "udp"
}

// ports reads both forms of ports.
func (r *reader) ports(s *Service, v yamldoc.Value) {
	for _, item := range r.items(v) {
		before := len(r.faults)
		var ports []Port
		if item.Kind() == yamldoc.Mapping {
			ports = r.longPort(item)
		} else {
			ports = r.shortPort(item)
		}
		if len(ports) == 0 && len(r.faults) == before && !r.full() {
			r.wrong(item, "names no port")
		}
		if len(s.Ports)+len(ports) > maxPorts {
			r.wrong(item, "a service of the OS has at most %d ports", maxPorts)
			return
		}
		for _, p := range ports {
			if i := slices.IndexFunc(s.Ports, p.Clashes); i >= 0 {
				r.wrong(item, "port %s is given twice", p)
				continue
			}
			s.Ports = append(s.Ports, p)
		}
	}
}

// String is the port of the machine, as people write it.
func (p Port) String() string {
	text := fmt.Sprintf("%d/%s", p.Published, p.Protocol)
	if p.HostIP != "" {
		text = p.HostIP + ":" + text
	}
	return text
}

// Clashes says whether two services cannot both have their port.
func (p Port) Clashes(o Port) bool {
	return p.Protocol == o.Protocol && p.Published == o.Published && (p.HostIP == "" || o.HostIP == "" || p.HostIP == o.HostIP)
}

// noPublished is why a port of the container alone is refused: Docker takes any
// that is free, another one each time.
const noPublished = "has no port of the machine: write PUBLISHED:TARGET"

// maxPorts is how many ports a service may have: each costs a rule and a socket.
const maxPorts = 1000

func (r *reader) shortPort(v yamldoc.Value) []Port {
	text, _, ok := r.scalar(v, `a port like "8080:80"`)
	if !ok {
		return nil
	}
	target, _, _ := strings.Cut(text[strings.LastIndexByte(text, ':')+1:], "/")
	if first, last, err := nat.ParsePortRange(target); err == nil && last-first >= maxPorts {
		r.wrong(v, "%q are more than %d ports", text, maxPorts)
		return nil
	}
	mappings, err := nat.ParsePortSpec(text)
	if err != nil {
		r.wrong(v, "%q must be a port like \"8080:80\", \"127.0.0.1:8080:80\" or \"8000-8010:8000-8010/udp\": %v", text, err)
		return nil
	}
	var ports []Port
	for _, m := range mappings {
		first, last, err := nat.ParsePortRange(m.Binding.HostPort)
		switch {
		case m.Binding.HostPort == "":
			r.wrong(v, "%q %s", text, noPublished)
			return nil
		case err != nil || first != last:
			r.wrong(v, "%q has several ports of the machine for one of the container", text)
			return nil
		}
		p, ok := r.port(v, m.Binding.HostIP, first, uint64(m.Port.Int()), m.Port.Proto())
		if !ok {
			return nil
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b Port) int { return int(a.Published) - int(b.Published) })
	return ports
}

func (r *reader) longPort(v yamldoc.Value) []Port {
	var target int64
	var published, hostIP string
	protocol, before := "tcp", len(r.faults)
	r.mapping(v, map[string]func(yamldoc.Value){
		"target": func(v yamldoc.Value) { target, _ = r.integer(v, 1, 65535) },
		"published": func(v yamldoc.Value) {
			published, _, _ = r.scalar(v, "a port")
		},
		"host_ip":      func(v yamldoc.Value) { hostIP, _ = r.word(v) },
		"protocol":     func(v yamldoc.Value) { protocol, _ = r.word(v) },
		"mode":         func(v yamldoc.Value) { r.oneOf(v, "host", "ingress") },
		"name":         func(v yamldoc.Value) { r.text(v) },
		"app_protocol": func(v yamldoc.Value) { r.text(v) },
	})
	switch {
	case len(r.faults) > before || r.full():
		return nil
	case target == 0:
		r.wrong(v, `has no "target"`)
		return nil
	case published == "":
		r.wrong(v, `has no "published": which port of the machine is it?`)
		return nil
	}
	first, last, err := nat.ParsePortRange(published)
	if err != nil || first != last {
		r.wrong(v, "published: %q must be one port", published)
		return nil
	}
	p, ok := r.port(v, hostIP, first, uint64(target), protocol)
	if !ok {
		return nil
	}
	return []Port{p}
}

func (r *reader) port(v yamldoc.Value, hostIP string, published, target uint64, protocol string) (Port, bool) {
	p := Port{HostIP: hostIP, Published: uint16(published), Target: uint16(target), Protocol: strings.ToLower(protocol)}
	a, err := netip.ParseAddr(hostIP)
	switch {
	case published < 1 || published > 65535 || target < 1 || target > 65535:
		r.wrong(v, "a port is between 1 and 65535")
	case p.Protocol != "tcp" && p.Protocol != "udp":
		r.wrong(v, "protocol %q is not supported: it must be %s", protocol, either([]string{"tcp", "udp"}))
	case hostIP != "" && err != nil:
		r.wrong(v, "%q is no address", hostIP)
	case hostIP != "" && !a.Is4():
		r.wrong(v, "%q is not supported in scope %q: %s", hostIP, ScopeSystem, onlyIPv4)
	default:
		if hostIP == "0.0.0.0" {
			p.HostIP = ""
		}
		return p, true
	}
	return Port{}, false
}

// expose has no effect, as in Docker: within a network every port can be reached.
func (r *reader) expose(v yamldoc.Value) {
	for _, item := range r.items(v) {
		text, _, ok := r.scalar(item, "a port")
		if !ok {
			continue
		}
		ports, protocol, given := strings.Cut(text, "/")
		if _, _, err := nat.ParsePortRange(ports); err != nil || given && protocol != "tcp" && protocol != "udp" {
			r.wrong(item, "%q must be a port like \"3000\", \"3000/udp\" or \"3000-3010\"", text)
		}
	}
}

package project

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/compose"
)

// port is one that the machine has for a service, or a run of them.
type port struct {
	address, published string // "": any address; whichever port is free
	target             int
	protocol           string
	more               int // how many follow, one up on both sides each
}

// Ports are what a service is reached by on the machine, as docker ps writes it:
// "8080->80/tcp", "127.0.0.1:8000-8009->8000-8009/tcp".
func Ports(s compose.Service) []string {
	var ports []port
	for _, p := range s.Ports {
		ports = append(ports, port{address: p.HostIP, published: strconv.Itoa(int(p.Published)), target: int(p.Target), protocol: p.Protocol})
	}
	if c, err := Of(s); err == nil {
		ports = c.bindings()
	}
	slices.SortFunc(ports, func(a, b port) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.address, b.address),
			cmp.Compare(a.target, b.target), cmp.Compare(a.published, b.published))
	})
	var words []string
	for _, p := range joined(ports) {
		words = append(words, p.String())
	}
	return words
}

// bindings are what POST /containers/create asks for.
func (c Container) bindings() []port {
	var body struct {
		HostConfig struct {
			PortBindings map[string][]struct{ HostIP, HostPort string }
		}
	}
	if json.Unmarshal(c.Create, &body) != nil {
		return nil
	}
	var ports []port
	for key, bindings := range body.HostConfig.PortBindings {
		number, protocol, _ := strings.Cut(key, "/")
		target, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		for _, b := range bindings {
			ports = append(ports, port{address: b.HostIP, published: b.HostPort, target: target, protocol: protocol})
		}
	}
	return ports
}

// joined makes runs of ports that follow each other.
func joined(ports []port) []port {
	var runs []port
	for _, p := range ports {
		if last := len(runs) - 1; last >= 0 && runs[last].goesOnWith(p) {
			runs[last].more++
			continue
		}
		runs = append(runs, p)
	}
	return runs
}

func (p port) goesOnWith(next port) bool {
	first, err := strconv.Atoi(p.published)
	step := p.more + 1
	return err == nil && next.published == strconv.Itoa(first+step) && next.target == p.target+step &&
		next.address == p.address && next.protocol == p.protocol
}

func (p port) String() string {
	published := cmp.Or(p.published, "any")
	if first, err := strconv.Atoi(p.published); err == nil {
		published = span(first, p.more)
	}
	if p.address != "" {
		published = net.JoinHostPort(p.address, published)
	}
	return fmt.Sprintf("%s->%s/%s", published, span(p.target, p.more), p.protocol)
}

func span(first, more int) string {
	if more == 0 {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d-%d", first, first+more)
}

package datasource

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// domainRE is what a search domain may be, as the config has it.
var domainRE = regexp.MustCompile(`^(\.|[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?)$`)

const (
	leastMTU, mostMTU = 68, 65535
	mostMetric        = 1_000_000
)

// sound takes out what no network can be like, and gives a note of each: it
// would cost a warning at every boot, far from where it came from.
func (n *netConfig) sound() (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	n.DNS.Search = slices.DeleteFunc(n.DNS.Search, func(domain string) bool {
		if !domainRE.MatchString(domain) {
			note("search domain %q is none", domain)
			return true
		}
		return false
	})
	for _, name := range slices.Sorted(maps.Keys(n.Interfaces)) {
		i := n.Interfaces[name]
		if !isLine(name) || i.Match != "" && !isLine(i.Match) {
			note("link %q is left out: that is no name", name)
			delete(n.Interfaces, name)
			continue
		}
		if i.MTU != 0 && (i.MTU < leastMTU || i.MTU > mostMTU) {
			note("%q: its mtu cannot be %d", name, i.MTU)
			i.MTU = 0
		}
		i.Routes = slices.DeleteFunc(i.Routes, func(r netRoute) bool {
			if r.Metric < 0 || r.Metric > mostMetric {
				note("%q: the route to %s is left out: its metric cannot be %d", name, r.To, r.Metric)
				return true
			}
			return false
		})
		n.Interfaces[name] = i
	}
	return notes
}

// isLine says whether a text can be a name: one line, and not empty.
func isLine(text string) bool {
	return strings.TrimSpace(text) != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' || r == '\ufffd'
	})
}

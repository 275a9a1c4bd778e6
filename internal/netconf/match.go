package netconf

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
)

// link is one of the kernel's.
type link struct {
	Index int
	Name  string
	MAC   string // as in 52:54:00:12:34:56
	Kind  string // "" for a card, else bridge, veth, vlan, …
	Loop  bool
	Up    bool
	MTU   int
}

// How well an entry matches a link.
const (
	not = iota
	byPattern
	byName
	byMAC
)

// pick finds the entry that a link is set up by.
func pick(interfaces map[string]config.Interface, l link) (key string, found bool) {
	best := not
	length := 0
	for _, k := range slices.Sorted(maps.Keys(interfaces)) {
		pattern := cmp.Or(interfaces[k].Match, k)
		how := matches(pattern, l)
		if how > best || how == best && how != not && len(pattern) > length {
			key, best, length = k, how, len(pattern)
		}
	}
	return key, best != not
}

func matches(pattern string, l link) int {
	if mac, is := macPattern(pattern); is {
		if l.Kind == "" && !l.Loop && glob(mac, strings.ToLower(l.MAC)) {
			return byMAC
		}
		return not
	}
	if pattern == l.Name {
		return byName
	}
	if l.Loop || l.Kind == "bridge" || l.Kind == "veth" || !glob(pattern, l.Name) {
		return not
	}
	return byPattern
}

// macPattern is what follows mac= in a match.
func macPattern(pattern string) (mac string, is bool) {
	if len(pattern) > 4 && strings.EqualFold(pattern[:3], "mac") && (pattern[3] == '=' || pattern[3] == ':') {
		return strings.ToLower(pattern[4:]), true
	}
	return "", false
}

// glob takes a pattern that makes no sense for one that matches nothing.
func glob(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

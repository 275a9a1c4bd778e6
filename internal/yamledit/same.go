package yamledit

import (
	"sort"

	"go.yaml.in/yaml/v4"
)

// What a result must be is said here without a thought to texts and lines, so
// that a mistake in the editing does not find its like in the check.

// changedAt says whether two documents differ in one key only, and whether
// what it has now is right; right is nil when the key must be gone.
func changedAt(old, now *yaml.Node, key []string, right func(now *yaml.Node) bool) bool {
	oldAt, oldRest := take(old, key[0])
	nowAt, nowRest := take(now, key[0])
	if len(oldAt) > 1 || len(nowAt) > 1 || !samePairs(oldRest, nowRest) {
		return false
	}
	if len(key) == 1 {
		if right == nil {
			return len(nowAt) == 0
		}
		return len(nowAt) == 1 && right(nowAt[0])
	}
	if len(nowAt) == 0 || nowAt[0].Kind != yaml.MappingNode {
		return false
	}
	var below *yaml.Node
	if len(oldAt) == 1 && oldAt[0].Kind == yaml.MappingNode {
		below = oldAt[0]
	}
	return changedAt(below, nowAt[0], key[1:], right)
}

// merged says whether now is old with what more says.
func merged(old, now, more *yaml.Node) bool {
	for i := 0; i+1 < len(more.Content); i += 2 {
		name, v := more.Content[i].Value, spoken(more.Content[i+1])
		if v.ShortTag() == "!!null" {
			continue
		}
		oldAt, oldRest := take(old, name)
		nowAt, nowRest := take(now, name)
		if len(nowAt) != 1 || len(oldAt) > 1 {
			return false
		}
		both := len(oldAt) == 1 && oldAt[0].Kind == yaml.MappingNode && v.Kind == yaml.MappingNode
		switch {
		case both && (nowAt[0].Kind != yaml.MappingNode || !merged(oldAt[0], nowAt[0], v)):
			return false
		case !both && !same(nowAt[0], v):
			return false
		}
		old, now = &yaml.Node{Kind: yaml.MappingNode, Content: oldRest}, &yaml.Node{Kind: yaml.MappingNode, Content: nowRest}
	}
	return samePairs(content(old), content(now))
}

func content(m *yaml.Node) []*yaml.Node {
	if m == nil {
		return nil
	}
	return m.Content
}

// take divides a mapping into the values of one key and the other pairs.
func take(m *yaml.Node, name string) (values, rest []*yaml.Node) {
	all := content(m)
	for i := 0; i+1 < len(all); i += 2 {
		if k := all[i]; k.Kind == yaml.ScalarNode && k.Value == name {
			values = append(values, all[i+1])
		} else {
			rest = append(rest, all[i], all[i+1])
		}
	}
	return values, rest
}

// same says whether two values mean the same, however they are written. The
// order of keys does not count. Either may be nil: an empty mapping.
func same(a, b *yaml.Node) bool {
	return comparison{}.same(a, b)
}

func samePairs(a, b []*yaml.Node) bool { return comparison{}.pairs(a, b) }

// comparison remembers what is being compared, so that aliases cost nothing
// and those in a circle end.
type comparison map[[2]*yaml.Node]bool

func (c comparison) same(a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return len(content(a)) == 0 && len(content(b)) == 0
	}
	a, b = follow(a), follow(b)
	if a.Kind != b.Kind {
		return false
	}
	if a.Kind == yaml.ScalarNode {
		return a.ShortTag() == b.ShortTag() && (a.Value == b.Value || a.ShortTag() == "!!null")
	}
	if a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	pair := [2]*yaml.Node{a, b}
	if c[pair] {
		return true // found out elsewhere
	}
	c[pair] = true
	if a.Kind == yaml.MappingNode {
		return c.pairs(a.Content, b.Content)
	}
	for i := range a.Content {
		if !c.same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

func (c comparison) pairs(a, b []*yaml.Node) bool {
	if len(a) != len(b) {
		return false
	}
	a, b = byKey(a), byKey(b)
	for i := range a {
		if !c.same(a[i], b[i]) {
			return false
		}
	}
	return true
}

// byKey sorts the pairs of a mapping; those whose key stands twice stay in
// their order.
func byKey(content []*yaml.Node) []*yaml.Node {
	pairs := make([][2]*yaml.Node, 0, len(content)/2)
	for i := 0; i+1 < len(content); i += 2 {
		pairs = append(pairs, [2]*yaml.Node{content[i], content[i+1]})
	}
	sort.SliceStable(pairs, func(i, j int) bool { return follow(pairs[i][0]).Value < follow(pairs[j][0]).Value })
	sorted := make([]*yaml.Node, 0, len(content))
	for _, p := range pairs {
		sorted = append(sorted, p[0], p[1])
	}
	return sorted
}

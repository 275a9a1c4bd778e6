package yamledit

import (
	"fmt"
	"sort"
	"strings"

	"go.yaml.in/yaml/v4"
)

// apply makes the planned changes. They must not overlap.
func (d *document) apply() ([]byte, bool) {
	changes := d.changes
	sort.SliceStable(changes, func(i, j int) bool {
		a, b := changes[i], changes[j]
		return a.from < b.from || a.from == b.from && a.to < b.to
	})
	out := append([]byte{}, d.bom...)
	at := 0
	for _, c := range changes {
		if c.from < at || c.to < c.from || c.to > len(d.text) {
			return nil, false
		}
		out = append(append(out, d.text[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, d.text[at:]...), true
}

func (d *document) replace(from, to int, text string) {
	d.changes = append(d.changes, change{from, to, text})
}

// insertLines puts whole lines where a line begins, or behind the last one.
func (d *document) insertLines(at int, lines []string) { d.replaceLines(at, at, lines) }

// replaceLines does the same with lines that are there.
func (d *document) replaceLines(from, to int, lines []string) {
	text := strings.Join(lines, d.eol)
	if from == len(d.text) && from > 0 && !isBreak(d.text[from-1]) {
		text = d.eol + text
	} else {
		text += d.eol
	}
	d.replace(from, to, text)
}

// set plans that key, which stands in mapping m from its part i on, has the
// value v.
func (d *document) set(m *yaml.Node, key []string, i int, v *yaml.Node) error {
	at, err := d.find(m, key, i)
	if err != nil {
		return err
	}
	name, rest := key[at.depth], key[at.depth+1:]
	if at.pair < 0 && len(rest) > 0 && mergedIn(at.in, name) {
		return fmt.Errorf("%s comes from another mapping (<<): change it there", dotted(key[:at.depth+1]))
	}
	for j := len(rest) - 1; j >= 0; j-- {
		v = mapping(rest[j], v)
	}
	return d.put(at.in, at.pair, name, v, key[:at.depth+1], at.flow)
}

// place is where a key is, or would be.
type place struct {
	in    *yaml.Node // the mapping; nil: there is none in the file
	flow  bool       // it stands within {} or []
	pair  int        // index of the key in it; -1: it is not there
	depth int        // which part of the key that is
}

// find goes down as far as there are mappings with entries.
func (d *document) find(m *yaml.Node, key []string, i int) (place, error) {
	flow := false
	for {
		if m == nil {
			return place{pair: -1, depth: i}, nil
		}
		flow = flow || m.Style&yaml.FlowStyle != 0
		pair, err := lookup(m, key[:i+1])
		if err != nil {
			return place{}, err
		}
		at := place{in: m, flow: flow, pair: pair, depth: i}
		if pair < 0 || i == len(key)-1 {
			return at, nil
		}
		switch v := m.Content[pair+1]; {
		case v.Kind == yaml.MappingNode && len(v.Content) > 0:
			m = v
		case v.Kind == yaml.MappingNode, v.ShortTag() == "!!null":
			return at, nil
		case v.Kind == yaml.AliasNode:
			return place{}, errAlias(key[:i+1], v)
		default:
			return place{}, fmt.Errorf("%s (line %d) is not a mapping, so it can have no key %q", dotted(key[:i+1]), v.Line, key[i+1])
		}
		i++
	}
}

// lookup is the index of the last part of key in m, or -1.
func lookup(m *yaml.Node, key []string) (int, error) {
	found := -1
	for i := 0; i+1 < len(m.Content); i += 2 {
		if k := m.Content[i]; k.Kind != yaml.ScalarNode || k.Value != key[len(key)-1] {
			continue
		}
		if found >= 0 {
			return -1, fmt.Errorf("%s is given twice, on line %d and on line %d: remove one of them first",
				dotted(key), m.Content[found].Line, m.Content[i].Line)
		}
		found = i
	}
	return found, nil
}

// mergedIn says whether a key that m does not have itself comes in by a merge
// key.
func mergedIn(m *yaml.Node, name string) bool {
	return m != nil && mergedBelow(m, name, 0)
}

func mergedBelow(m *yaml.Node, name string, depth int) bool {
	if depth > 8 {
		return true // mappings that merge themselves: hands off
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].ShortTag() != "!!merge" {
			continue
		}
		for _, from := range mergeSources(m.Content[i+1]) {
			if at, err := lookup(from, []string{name}); at >= 0 || err != nil || mergedBelow(from, name, depth+1) {
				return true
			}
		}
	}
	return false
}

func mergeSources(n *yaml.Node) []*yaml.Node {
	n = follow(n)
	if n.Kind != yaml.SequenceNode {
		return []*yaml.Node{n}
	}
	var all []*yaml.Node
	for _, item := range n.Content {
		all = append(all, follow(item))
	}
	return all
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// put plans one pair of one mapping.
func (d *document) put(m *yaml.Node, pair int, name string, v *yaml.Node, path []string, flow bool) error {
	if pair < 0 {
		d.add(m, name, v, flow)
		return nil
	}
	old := m.Content[pair+1]
	switch {
	case same(old, v):
		return nil
	case block(old, yaml.MappingNode) && !flow && v.Kind == yaml.MappingNode && len(v.Content) > 0 && plainKeys(old):
		return d.reshape(old, v, path)
	case block(old, yaml.SequenceNode) && !flow && v.Kind == yaml.SequenceNode && d.relist(old, v):
		return nil
	}
	return d.revalue(m, pair, v, flow)
}

// block says whether n is a mapping or list of the kind, with entries, each on
// lines of its own.
func block(n *yaml.Node, kind yaml.Kind) bool {
	return n.Kind == kind && n.Style&yaml.FlowStyle == 0 && len(n.Content) > 0 && n.Anchor == ""
}

// plainKeys says whether every key of a mapping is a text that stands once,
// and none merges another mapping.
func plainKeys(m *yaml.Node) bool {
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := m.Content[i]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" || seen[k.Value] {
			return false
		}
		seen[k.Value] = true
	}
	return true
}

// reshape turns one mapping into another key by key, so that comments of the
// keys that stay are kept.
func (d *document) reshape(old, v *yaml.Node, path []string) error {
	if kept(old, v) == 0 || !plainKeys(v) {
		return d.rewrite(old, v)
	}
	for i := 0; i+1 < len(old.Content); i += 2 {
		if at, _ := lookup(v, []string{old.Content[i].Value}); at < 0 {
			d.removeLines(old, i)
		}
	}
	return eachPair(v, func(name string, value *yaml.Node) error {
		here := append(path[:len(path):len(path)], name)
		at, err := lookup(old, here)
		if err != nil {
			return err
		}
		return d.put(old, at, name, value, here, false)
	})
}

// eachPair visits the pairs of a new mapping.
func eachPair(m *yaml.Node, do func(name string, v *yaml.Node) error) error {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if err := do(m.Content[i].Value, m.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func kept(old, v *yaml.Node) int {
	n := 0
	for i := 0; i+1 < len(old.Content); i += 2 {
		if at, _ := lookup(v, []string{old.Content[i].Value}); at >= 0 {
			n++
		}
	}
	return n
}

// rewrite puts a mapping in the place of another with no key in common.
func (d *document) rewrite(old, v *yaml.Node) error {
	col := d.column(old)
	lines := d.layout.pairs(v, col)
	from := d.lineStart(d.start(old.Content[0]))
	d.replaceLines(from, d.nextLine(d.end(old, col)), lines)
	return nil
}

// relist turns one list into another by replacing only the entries between
// those that are the same at the beginning and at the end. It does nothing
// when none is the same.
func (d *document) relist(old, v *yaml.Node) bool {
	n, m := len(old.Content), len(v.Content)
	head, tail := 0, 0
	for head < min(n, m) && same(old.Content[head], v.Content[head]) {
		head++
	}
	for tail < min(n, m)-head && same(old.Content[n-1-tail], v.Content[m-1-tail]) {
		tail++
	}
	if head+tail == 0 {
		return false
	}
	col := d.column(old)
	dashes, ok := d.dashes(old, col)
	if !ok {
		return false
	}
	lines := d.layout.items(v.Content[head:m-tail], col)
	from := d.nextLine(d.end(old.Content[n-1], col))
	if head < n {
		from = d.lineStart(dashes[head])
	} else {
		from = d.pastComments(from, col)
	}
	to := from
	if head+tail < n {
		to = d.nextLine(d.end(old.Content[n-1-tail], col))
	}
	if len(lines) == 0 {
		d.replace(from, to, "")
	} else {
		d.replaceLines(from, to, lines)
	}
	return true
}

// merge plans what a whole mapping adds to another.
func (d *document) merge(m, more *yaml.Node, path []string) error {
	if m != nil && len(m.Content) == 0 { // {} and nothing else
		at, _ := d.body(m)
		d.replace(at, d.end(m, 0), joined(d.layout.pairs(spoken(more), 0), d.eol))
		return nil
	}
	flow := m != nil && m.Style&yaml.FlowStyle != 0
	for i := 0; i+1 < len(more.Content); i += 2 {
		k, v := more.Content[i], more.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" {
			return fmt.Errorf("cannot merge %q: write it out", dotted(append(path, k.Value)))
		}
		here := append(path[:len(path):len(path)], k.Value)
		if v.ShortTag() == "!!null" {
			continue
		}
		at := -1
		if m != nil {
			var err error
			if at, err = lookup(m, here); err != nil {
				return err
			}
		}
		if at < 0 && mergedIn(m, k.Value) && v.Kind == yaml.MappingNode {
			return fmt.Errorf("%s comes from another mapping (<<): change it there", dotted(here))
		}
		if err := d.mergeValue(m, at, k.Value, v, here, flow); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) mergeValue(m *yaml.Node, at int, name string, v *yaml.Node, path []string, flow bool) error {
	v = spoken(v)
	if at < 0 {
		d.add(m, name, v, flow)
		return nil
	}
	old := m.Content[at+1]
	if v.Kind != yaml.MappingNode {
		return d.put(m, at, name, v, path, flow)
	}
	switch {
	case old.Kind == yaml.AliasNode && old.Alias.Kind == yaml.MappingNode:
		return errAlias(path, old)
	case old.Kind != yaml.MappingNode:
		return d.revalue(m, at, v, flow)
	case len(v.Content) == 0:
		return nil
	case len(old.Content) == 0:
		return d.revalue(m, at, v, flow)
	}
	return d.merge(old, v, path)
}

// spoken is a mapping without its keys that say nothing.
func spoken(v *yaml.Node) *yaml.Node {
	if v.Kind != yaml.MappingNode {
		return v
	}
	c := *v
	c.Content = nil
	for i := 0; i+1 < len(v.Content); i += 2 {
		if v.Content[i+1].ShortTag() != "!!null" {
			c.Content = append(c.Content, v.Content[i], spoken(v.Content[i+1]))
		}
	}
	return &c
}

// unset plans that a key is gone, and returns what goes: the key, or the
// mapping above it that would be left empty; nil when there is nothing to do.
func (d *document) unset(key []string) ([]string, error) {
	if d.root == nil {
		return nil, nil
	}
	var way []place
	for m := d.root; ; {
		at, err := d.find(m, key[:len(way)+1], len(way))
		if err != nil {
			return nil, err
		}
		if at.pair < 0 {
			if mergedIn(m, key[len(way)]) {
				return nil, fmt.Errorf("%s comes from another mapping (<<): remove it there", dotted(key[:len(way)+1]))
			}
			return nil, nil
		}
		way = append(way, at)
		if len(way) == len(key) {
			break
		}
		v := m.Content[at.pair+1]
		if v.Kind == yaml.AliasNode {
			return nil, errAlias(key[:len(way)], v)
		}
		if v.Kind != yaml.MappingNode {
			return nil, nil
		}
		m = v
	}
	last := len(way) - 1
	for last > 0 && len(way[last].in.Content) == 2 {
		last--
	}
	m, pair := way[last].in, way[last].pair
	for i := range last + 1 {
		way[last].flow = way[last].flow || way[i].flow
	}
	if way[last].flow {
		d.removeInline(m, pair)
	} else {
		d.removeLines(m, pair)
	}
	return key[:last+1], nil
}

func errAlias(key []string, v *yaml.Node) error {
	return fmt.Errorf("%s is an alias (*%s) of what stands on line %d: change it there", dotted(key), v.Value, v.Alias.Line)
}

func errExplicit(key *yaml.Node) error {
	return fmt.Errorf("line %d: the key is written in a way (\"? key\") that cannot be changed: edit it by hand", key.Line)
}

func dotted(key []string) string { return strings.Join(key, ".") }

func mapping(name string, v *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{text(name), v}}
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

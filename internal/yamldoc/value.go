package yamldoc

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Kind is the shape of a value.
type Kind int

// The shapes of YAML values, aliases followed.
const (
	Scalar Kind = iota
	List
	Mapping
)

// Value is one value of a document and where it stands.
type Value struct {
	Path         Path
	Line, Column int

	doc  *Document
	node *yaml.Node // aliases followed
}

// Pair is one entry of a mapping.
type Pair struct {
	Key          string
	Line, Column int // of the key
	Value        Value
}

// Root is the mapping the document consists of.
func (d *Document) Root() Value {
	return Value{doc: d, node: d.root, Line: d.root.Line, Column: d.root.Column}
}

// Exhausted says that so many values were asked for that aliases must be
// multiplying them. From then on every mapping and list looks empty.
func (d *Document) Exhausted() bool { return d.visits >= maxVisits }

// NewScalar makes a value that stands in no file, such as one from the kernel
// command line. It is parsed as YAML: [a, b] is a list.
func NewScalar(text string, path Path) Value {
	v := Value{Path: path, doc: &Document{}}
	var doc yaml.Node
	if len(text) > 0 && (text[0] == '[' || text[0] == '{') && len(text) <= MaxSize {
		if err := yaml.Unmarshal([]byte(text), &doc); err == nil && len(doc.Content) == 1 {
			v.node = doc.Content[0]
			return v
		}
	}
	v.node = &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	return v
}

// Fault makes a fault that stands where the value stands.
func (v Value) Fault(message string) Fault {
	return Fault{Line: v.Line, Column: v.Column, Path: v.Path, Message: message}
}

// Kind is the shape of the value.
func (v Value) Kind() Kind {
	switch v.node.Kind {
	case yaml.MappingNode:
		return Mapping
	case yaml.SequenceNode:
		return List
	}
	return Scalar
}

// Text is the text of a scalar, without its quotes; "" for other kinds.
func (v Value) Text() string { return v.node.Value }

// Tag is the type YAML gives the value: !!str, !!int, !!float, !!bool, !!null,
// !!timestamp, !!map, !!seq. A tag of somebody else, which is a fault already,
// counts as none.
func (v Value) Tag() string {
	if tag := v.node.ShortTag(); strings.HasPrefix(tag, "!!") {
		return tag
	}
	return "!!str"
}

// Int is the number of a scalar that is tagged !!int, however it is written
// (0644 and 0o644 are octal).
func (v Value) Int() (int64, error) {
	var n int64
	err := v.node.Decode(&n)
	return n, err
}

// Pairs are the entries of a mapping in file order, merge keys ("<<") applied:
// what a mapping says itself goes before what it merges in.
func (v Value) Pairs() []Pair {
	var pairs []Pair
	v.gather(v.node, map[string]bool{}, &pairs, 0)
	return pairs
}

// maxMerges is how deep merges may merge other mappings. A mapping that merges
// itself ends here.
const maxMerges = 8

func (v Value) gather(n *yaml.Node, seen map[string]bool, pairs *[]Pair, depth int) {
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v.doc.Exhausted() {
			return
		}
		v.doc.visits++
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if key.Kind != yaml.ScalarNode || seen[key.Value] {
			continue
		}
		seen[key.Value] = true
		*pairs = append(*pairs, Pair{key.Value, key.Line, key.Column,
			v.at(value, key, v.Path.with(key.Value))})
	}
	if depth == maxMerges {
		return
	}
	for _, m := range merged {
		m = follow(m)
		if m.Kind == yaml.MappingNode {
			v.gather(m, seen, pairs, depth+1)
			continue
		}
		for _, item := range m.Content { // "<<: [*a, *b]"
			if item = follow(item); item.Kind == yaml.MappingNode {
				v.gather(item, seen, pairs, depth+1)
			}
		}
	}
}

// Items are the entries of a list.
func (v Value) Items() []Value {
	if v.node.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]Value, 0, len(v.node.Content))
	for i, item := range v.node.Content {
		if v.doc.Exhausted() {
			return nil
		}
		v.doc.visits++
		items = append(items, v.at(item, item, v.Path.with("["+strconv.Itoa(i)+"]")))
	}
	return items
}

// at makes the value of a node. A mapping or list below its key begins a line
// later; what is wrong with it as a whole is said where its key stands.
func (v Value) at(n, key *yaml.Node, path Path) Value {
	place := n
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		place = key
	}
	return Value{Path: path, Line: place.Line, Column: place.Column, doc: v.doc, node: follow(n)}
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias // an alias never points to an alias
	}
	return n
}

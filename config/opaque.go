package config

import (
	"bytes"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/yamldoc"
)

// opaque merges a mapping that others will read: mappings merge, all else
// replaces. What stood in several layers is one YAML text afterwards.
func (l *loader) opaque(field reflect.Value, name string, at place, layer *yaml.Node) {
	if l.taken > maxText {
		return
	}
	own := reflect.New(field.Type()).Elem()
	own.FieldByName("YAML").SetBytes(encode(layer))
	text := field.FieldByName("YAML")
	text.SetBytes(encode(mergeTrees(parseTree(text.Bytes()), layer)))
	l.cfg.origins[name] = append(l.cfg.origins[name], said{l.layer.Name, at.line, own.Interface()})
}

// maxTree is how deep a tree may be. A mapping that has itself as a value would
// be as deep as we let it.
const maxTree = 100

// tree copies a value, aliases and merge keys followed. Everything in it is
// counted as it will be written, with its indentation.
func (l *loader) tree(v yamldoc.Value, depth int) *yaml.Node {
	l.taken += 2*depth + 4
	if depth > maxTree {
		l.taken = maxText + 1
	}
	if l.taken > maxText {
		return plainNode("!!null", "null")
	}
	switch v.Kind() {
	case yamldoc.Mapping:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, p := range v.Pairs() {
			l.taken += len(p.Key)
			n.Content = append(n.Content, textNode(p.Key), l.tree(p.Value, depth+1))
		}
		return n
	case yamldoc.List:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range v.Items() {
			n.Content = append(n.Content, l.tree(item, depth+1))
		}
		return n
	}
	text, err := l.scalar(v)
	switch tag := v.Tag(); {
	case err != nil:
		return plainNode("!!null", "null")
	case tag == "!!str":
		return textNode(text)
	default:
		return plainNode(tag, text)
	}
}

// mergeTrees puts above over below and changes below.
func mergeTrees(below, above *yaml.Node) *yaml.Node {
	if below == nil || below.Kind != yaml.MappingNode || above.Kind != yaml.MappingNode {
		return above
	}
	for i := 0; i+1 < len(above.Content); i += 2 {
		name, value := above.Content[i], above.Content[i+1]
		if value.Tag == "!!null" {
			continue
		}
		if j := indexOf(below, name.Value); j >= 0 {
			below.Content[j] = mergeTrees(below.Content[j], value)
		} else {
			below.Content = append(below.Content, name, value)
		}
	}
	return below
}

// indexOf is where the value of a key stands in a mapping; -1: nowhere.
func indexOf(mapping *yaml.Node, name string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return i + 1
		}
	}
	return -1
}

// parseTree reads what encode wrote.
func parseTree(text []byte) *yaml.Node {
	var doc yaml.Node
	if len(text) == 0 || yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// encode writes YAML as people write it.
func encode(n *yaml.Node) []byte {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if e.Encode(n) != nil || e.Close() != nil {
		return nil // cannot be: the nodes are ours, and a buffer takes everything
	}
	return b.Bytes()
}

func textNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

// typed gives a word of the kernel command line the type that it has in a file:
// true is no text.
func typed(n *yaml.Node) *yaml.Node {
	if n.Tag != "!!str" {
		return n
	}
	switch read := parseTree([]byte(n.Value)); {
	case read == nil || read.Kind != yaml.ScalarNode:
		return n
	case read.Tag == "!!bool" || read.Tag == "!!int" || read.Tag == "!!float":
		return plainNode(read.Tag, read.Value)
	}
	return n
}

// nest wraps a value into the keys that lead to it.
func nest(keys []string, n *yaml.Node) *yaml.Node {
	for _, key := range slices.Backward(keys) {
		n = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{textNode(key), n}}
	}
	return n
}

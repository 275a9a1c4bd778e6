package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// node is a value as it would be written in a cloud-config: reading it gives
// the value again. Unless private, secrets are hidden.
func node(k *key, v reflect.Value, private bool) *yaml.Node {
	switch value := v.Interface().(type) {
	case Password:
		return secretNode(string(value), private)
	case Secret:
		return secretNode(string(value), private)
	case bool:
		return plainNode("!!bool", strconv.FormatBool(value))
	case *bool:
		return plainNode("!!bool", strconv.FormatBool(value != nil && *value))
	case int:
		return plainNode("!!int", strconv.Itoa(value))
	case EtcHosts:
		if value == "true" || value == "false" {
			return plainNode("!!bool", string(value))
		}
		return textNode(string(value))
	case FileMode:
		n := textNode(fmt.Sprintf("%04o", value))
		n.Style = yaml.DoubleQuotedStyle
		return n
	case Size:
		return value.node()
	case Mount:
		return wordsNode([]string{value.Device, value.Path, value.Type, value.Options}, private)
	case Command:
		if value.Words != nil {
			return wordsNode(value.Words, private)
		}
		return openNode(value.Line, private)
	case Sudo:
		return value.node()
	case Group:
		return value.node()
	case Service:
		return treeNode(value.YAML, private)
	case Opaque:
		return treeNode(value.YAML, private)
	}
	switch v.Kind() {
	case reflect.String:
		return openNode(v.String(), private)
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range v.Len() {
			n.Content = append(n.Content, node(k.elem, v.Index(i), private))
		}
		if v.Len() == 0 {
			n.Style = yaml.FlowStyle
		}
		return n
	}
	return recordNode(k, v, private)
}

// recordNode is a struct, without the fields that say nothing.
func recordNode(k *key, v reflect.Value, private bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, child := range k.keys {
		field := v.Field(child.field)
		if field.IsZero() {
			continue
		}
		value := node(child, field, private)
		if file, ok := v.Interface().(File); ok && child.name == "content" && file.private() && !private {
			value = textNode(hidden)
		}
		n.Content = append(n.Content, textNode(child.name), value)
	}
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// private says whether the file is none of others' business on the machine; so
// it is none of theirs in the config.
func (f File) private() bool { return f.Permissions != 0 && f.Permissions&0o004 == 0 }

func plainNode(tag, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

func secretNode(text string, private bool) *yaml.Node {
	if text != "" && !private {
		text = hidden
	}
	return textNode(text)
}

// inAddress is the password in an address: http://user:password@proxy.
var inAddress = regexp.MustCompile(`(://[^\s/@:]*:)[^\s/@]*@`)

func openNode(text string, private bool) *yaml.Node {
	if !private {
		text = inAddress.ReplaceAllString(text, "${1}"+hidden+"@")
	}
	return textNode(text)
}

// wordsNode is a list in one line. A word that YAML would read as a number is
// text all the same, so it is quoted.
func wordsNode(words []string, private bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for _, word := range words {
		n.Content = append(n.Content, openNode(word, private))
	}
	return n
}

// treeNode is a text of ours, with its comments and places left behind.
func treeNode(text []byte, private bool) *yaml.Node {
	n := parseTree(text)
	if n == nil {
		return plainNode("!!null", "null")
	}
	if !private {
		hideInTree(n)
	}
	return n
}

func hideInTree(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.Value = inAddress.ReplaceAllString(n.Value, "${1}"+hidden+"@")
	}
	for _, child := range n.Content {
		hideInTree(child)
	}
}

func (s Size) node() *yaml.Node {
	if s < 0 {
		return textNode("auto")
	}
	for _, unit := range []string{"T", "G", "M", "K"} {
		if n := int64(s) / units[unit]; n > 0 && n*units[unit] == int64(s) {
			return textNode(strconv.FormatInt(n, 10) + unit)
		}
	}
	return plainNode("!!int", strconv.FormatInt(int64(s), 10))
}

func (s Sudo) node() *yaml.Node {
	switch len(s) {
	case 0:
		return plainNode("!!bool", "false")
	case 1:
		return textNode(s[0])
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, rule := range s {
		n.Content = append(n.Content, textNode(rule))
	}
	return n
}

func (g Group) node() *yaml.Node {
	if len(g.Members) == 0 {
		return textNode(g.Name)
	}
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{textNode(g.Name), wordsNode(g.Members, true)}}
}

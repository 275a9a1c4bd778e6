package config

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Entry is one key of a config that has a value: a single value, a list, or an
// entry of a table, as the merge treats it.
type Entry struct {
	Key      string   `json:"key"`               // "rancher.network.dns.search"
	Path     []string `json:"path"`              // the same in parts: a part may have dots, such as net.ipv4.ip_forward
	Value    string   `json:"value"`             // YAML; a line break at the end only if it has several lines
	Secret   bool     `json:"secret,omitempty"`  // all or a part of it is for root only
	Applier  string   `json:"applier,omitempty"` // "": it has no effect
	From     Origin   `json:"from"`
	Overrode []Origin `json:"overrode,omitempty"` // what lower layers say; the lowest is last
}

// Entries are all keys that have a value, in the order of the schema. Secrets
// are hidden unless private.
func (c *Config) Entries(private bool) []Entry {
	e := &entries{cfg: c, private: private}
	e.add(schema(), reflect.ValueOf(c).Elem(), nil)
	return e.list
}

type entries struct {
	cfg     *Config
	private bool
	list    []Entry
}

func (e *entries) add(k *key, v reflect.Value, path []string) {
	name := strings.Join(path, ".")
	switch k.shape {
	case section:
		before := len(e.list)
		for _, child := range k.keys {
			e.add(child, v.Field(child.field), append(path, child.name))
		}
		if k.name == "NAME" && len(e.list) == before {
			e.list = append(e.list, e.entry(k, v, path, e.cfg.origins[name]))
		}
	case table:
		for _, entry := range sortedKeys(v) {
			e.add(k.elem, v.MapIndex(reflect.ValueOf(entry)), append(path, entry))
		}
	default:
		if all := e.cfg.origins[name]; len(all) > 0 || !v.IsZero() {
			e.list = append(e.list, e.entry(k, v, path, all))
		}
	}
}

func (e *entries) entry(k *key, v reflect.Value, path []string, all []said) Entry {
	entry := Entry{Key: strings.Join(path, "."), Path: slices.Clone(path), Applier: k.when, From: Origin{Layer: defaultsLayer}}
	if k.none != "" {
		entry.Applier = ""
	}
	open, shut := render(k, v, true), render(k, v, false)
	entry.Secret = open != shut
	entry.Value = shut
	if e.private {
		entry.Value = open
	}
	if len(all) > 0 {
		last := all[len(all)-1]
		entry.From = Origin{Layer: last.layer, Line: last.line}
	}
	entry.From.Value = entry.Value
	for i := len(all) - 2; i >= 0; i-- {
		entry.Overrode = append(entry.Overrode, Origin{all[i].layer, all[i].line, render(k, reflect.ValueOf(all[i].value), e.private)})
	}
	if text := e.builtin(k, path); text != "" && len(all) > 0 {
		entry.Overrode = append(entry.Overrode, Origin{Layer: defaultsLayer, Value: text})
	}
	return entry
}

// builtin is the default of a key; "": none. Tables have none.
func (e *entries) builtin(k *key, path []string) string {
	v, s := reflect.ValueOf(defaults()).Elem(), schema()
	for _, name := range path {
		if s.shape != section {
			return ""
		}
		s = s.child(name)
		v = v.Field(s.field)
	}
	if v.IsZero() {
		return ""
	}
	return render(k, v, e.private)
}

// render is a value as YAML. The line break at the end belongs to a value of
// several lines: "|" without it would say another text.
func render(k *key, v reflect.Value, private bool) string {
	text := string(encode(node(k, v, private)))
	if line, rest, _ := strings.Cut(text, "\n"); rest == "" {
		return line
	}
	return text
}

func sortedKeys(m reflect.Value) []string {
	var keys []string
	for _, k := range m.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

// Document is a cloud-config that says what the entries say. Their values must
// be whole: a hidden secret would become a value.
func Document(entries []Entry) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, entry := range entries {
		value := parseTree([]byte(entry.Value))
		if value == nil {
			return nil, fmt.Errorf("the value of %s is no YAML", entry.Key)
		}
		mergeTrees(root, nest(entry.Path, value))
	}
	return append([]byte(Header+"\n"), bytes.TrimPrefix(encode(root), []byte("{}\n"))...), nil
}

// Change is a key whose value differs between two configs.
type Change struct {
	Key     string `json:"key"`
	Old     string `json:"old"` // YAML; "": it had none. Secrets are hidden
	New     string `json:"new"` // YAML; "": it has none now
	Applier string `json:"applier,omitempty"`
}

// Changes are the keys that differ, in the order of the schema.
func Changes(old, now *Config) []Change {
	c := &changes{old: old, now: now}
	c.add(schema(), reflect.ValueOf(old).Elem(), reflect.ValueOf(now).Elem(), "")
	return c.list
}

type changes struct {
	old, now *Config
	list     []Change
}

func (c *changes) add(k *key, old, now reflect.Value, name string) {
	switch k.shape {
	case section:
		for _, child := range k.keys {
			c.add(child, old.Field(child.field), now.Field(child.field), join(name, child.name))
		}
	case table:
		for _, entry := range slices.Compact(slices.Sorted(slices.Values(append(sortedKeys(old), sortedKeys(now)...)))) {
			c.addEntry(k, old, now, name, entry)
		}
	default:
		before, after := c.value(c.old, k, old, name, true), c.value(c.now, k, now, name, true)
		if before == after {
			return
		}
		change := Change{Key: name, Old: c.value(c.old, k, old, name, false), New: c.value(c.now, k, now, name, false)}
		if k.none == "" {
			change.Applier = k.when
		}
		c.list = append(c.list, change)
	}
}

// addEntry compares an entry of a table that may be missing in one of them.
func (c *changes) addEntry(k *key, old, now reflect.Value, name, entry string) {
	before, after := old.MapIndex(reflect.ValueOf(entry)), now.MapIndex(reflect.ValueOf(entry))
	change := Change{Key: join(name, entry), Applier: k.when}
	switch nothing := reflect.Zero(k.elem.typ); {
	case !before.IsValid():
		before, change.New = nothing, "{}"
	case !after.IsValid():
		after, change.Old = nothing, "{}"
	}
	said := len(c.list)
	c.add(k.elem, before, after, join(name, entry))
	if len(c.list) == said && change.Old != change.New {
		c.list = append(c.list, change)
	}
}

// value is what a config says about a key; "": nothing.
func (*changes) value(c *Config, k *key, v reflect.Value, name string, private bool) string {
	if v.IsZero() && len(c.origins[name]) == 0 {
		return ""
	}
	return render(k, v, private)
}

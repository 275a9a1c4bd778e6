package loader

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/schema"
)

// shape is what the Compose schema allows at one place: every schema that a
// value there may follow.
type shape struct {
	defs    map[string]any
	schemas []map[string]any
}

// top is the shape of a whole file.
func top() (shape, error) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &doc); err != nil {
		return shape{}, fmt.Errorf("internal error: the schema of Compose: %w", err)
	}
	defs, _ := doc["$defs"].(map[string]any)
	return shape{defs: defs}.of(doc), nil
}

// of is the shape that one schema describes, with what it refers to.
func (s shape) of(node any) shape {
	out := shape{defs: s.defs}
	out.gather(node)
	return out
}

func (s *shape) gather(node any) {
	m, ok := node.(map[string]any)
	if !ok {
		return
	}
	if ref, ok := m["$ref"].(string); ok {
		s.gather(s.defs[strings.TrimPrefix(ref, "#/$defs/")])
	}
	for _, word := range []string{"allOf", "oneOf", "anyOf"} {
		list, _ := m[word].([]any)
		for _, one := range list {
			s.gather(one)
		}
	}
	s.schemas = append(s.schemas, m)
}

// keys are the keys that a mapping may have here, with their shapes.
func (s shape) keys() map[string]shape {
	all := map[string]shape{}
	for _, m := range s.schemas {
		properties, _ := m["properties"].(map[string]any)
		for name, node := range properties {
			have := all[name]
			all[name] = shape{s.defs, append(have.schemas, s.of(node).schemas...)}
		}
	}
	return all
}

// named is the shape of the values of a mapping whose keys are names that
// people choose; ok is false where only the keys of keys may be.
func (s shape) named() (values shape, ok bool) {
	values.defs = s.defs
	for _, m := range s.schemas {
		patterns, _ := m["patternProperties"].(map[string]any)
		for pattern, node := range patterns {
			if pattern != "^x-" {
				ok = true
				values.schemas = append(values.schemas, s.of(node).schemas...)
			}
		}
		switch more := m["additionalProperties"].(type) {
		case bool:
			ok = ok || more
		case map[string]any:
			ok = true
			values.schemas = append(values.schemas, s.of(more).schemas...)
		}
		if m["type"] == "object" && m["properties"] == nil && m["patternProperties"] == nil && m["additionalProperties"] == nil {
			ok = true
		}
	}
	return values, ok
}

// items is the shape of the entries of a list.
func (s shape) items() shape {
	out := shape{defs: s.defs}
	for _, m := range s.schemas {
		out.schemas = append(out.schemas, s.of(m["items"]).schemas...)
	}
	return out
}

// Keys are all keys of the Compose specification as the schema of compose-go
// has them: "services.NAME.deploy.resources.limits.cpus". NAME stands for a
// name that people choose; lists are left out of the path. Below the keys of
// leaves nothing is listed.
func Keys(leaves ...string) ([]string, error) {
	s, err := top()
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	list(s, "", leaves, found)
	return slices.Sorted(maps.Keys(found)), nil
}

func list(s shape, path string, leaves []string, found map[string]bool) {
	if slices.Contains(leaves, path) {
		return
	}
	at := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	for name, below := range s.keys() {
		found[at(name)] = true
		list(below, at(name), leaves, found)
	}
	if values, ok := s.named(); ok {
		list(values, at("NAME"), leaves, found)
	}
	if items := s.items(); len(items.schemas) > 0 {
		list(items, path, leaves, found)
	}
}

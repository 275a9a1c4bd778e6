package yamledit_test

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/yamledit"
)

// A result is the old document with the one change, by another judge than the
// one in the package: the values that YAML decodes to.
func FuzzSet(f *testing.F) {
	for _, text := range []string{commented, "", "{a: {b: [1]}}\n", "a: &x |+\n  t\n\nb: *x\n", "a:\r\n  - x\r\n", "\ufeffa: 'x'"} {
		for _, value := range []string{"x", "[1, {a: b}]", "{c: |-\n  x}", "\"a\\nb\"", "~"} {
			f.Add(text, "rancher.docker.tls", value)
			f.Add(text, "a.b", value)
			f.Add(text, "hostname", value)
		}
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		path := strings.Split(key, ".")
		got, err := yamledit.Set([]byte(text), path, []byte(value))
		if err != nil {
			return
		}
		again, err := yamledit.Set(got, path, []byte(value))
		if err != nil {
			t.Fatalf("cannot set the same again in %q: %v", got, err)
		}
		if string(again) != string(got) {
			t.Fatalf("setting the same again makes %q of %q", again, got)
		}
		old, now, v := decode(text), decode(string(got)), decode(value)
		if old == nil && strings.TrimSpace(text) != "" {
			return // only comments, or beyond the judge
		}
		want, ok := with(old, path, v)
		if now != nil && ok && !reflect.DeepEqual(now, want) {
			t.Fatalf("setting %q to %q in %q makes %q", key, value, text, got)
		}
		if m, ok := old.(map[string]any); ok && len(m) > 0 {
			if _, there := m[path[0]]; !there && !grownFrom(string(got), text) {
				t.Fatalf("adding %q to %q changes more: %q", key, text, got)
			}
		}
		if out, err := yamledit.Unset(got, path); err == nil {
			if now := decode(string(out)); now != nil {
				if _, there := at(now, path); there {
					t.Fatalf("%q is still in %q", key, out)
				}
			}
		}
	})
}

// FuzzMerge holds a merge against one in memory.
func FuzzMerge(f *testing.F) {
	f.Add(commented, "rancher: {docker: {tls: true}}\nx: |\n  y\n")
	f.Add("a: {b: 1}\n", "a: {c: [1, 2]}\n")
	f.Add("a:\n- x\n", "a:\n- y\nb: ~\n")
	f.Add("", "# c\na: 1\n")
	f.Add("", "a {b: {c::  d}\ne:\tf")
	f.Fuzz(func(t *testing.T, text, other string) {
		got, err := yamledit.Merge([]byte(text), []byte(other))
		if err != nil {
			return
		}
		again, err := yamledit.Merge(got, []byte(other))
		if err != nil {
			t.Fatalf("cannot merge the same again into %q: %v", got, err)
		}
		if string(again) != string(got) {
			t.Fatalf("merging the same again makes %q of %q", again, got)
		}
		old, ok := decode(text).(map[string]any)
		more, also := decode(other).(map[string]any)
		now, still := decode(string(got)).(map[string]any)
		if !ok || !also || !still || strings.Contains(text+other, "<<") || !textKeys(old) || !textKeys(more) {
			return // beyond the judge
		}
		if want := sum(old, more); !reflect.DeepEqual(now, want) {
			t.Fatalf("merging %q into %q makes %q", other, text, got)
		}
	})
}

// decode is nil for what is not YAML, or nothing, or cannot be compared: .nan
// is not equal to itself.
func decode(text string) any {
	var v any
	if strings.Contains(strings.ToLower(text), ".nan") || yaml.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return v
}

// textKeys says whether all keys of the mappings in mappings are texts.
func textKeys(v any) bool {
	if _, other := v.(map[any]any); other {
		return false
	}
	m, _ := v.(map[string]any)
	for _, below := range m {
		if !textKeys(below) {
			return false
		}
	}
	return true
}

// with is a document with another value at a path; not ok: the judge does not
// know, as with merge keys.
func with(doc any, path []string, v any) (any, bool) {
	if len(path) == 0 {
		return v, true
	}
	m, ok := doc.(map[string]any)
	if doc != nil && !ok {
		return nil, false
	}
	c := map[string]any{}
	for k, old := range m {
		c[k] = old
	}
	below, ok := with(c[path[0]], path[1:], v)
	c[path[0]] = below
	return c, ok
}

func at(doc any, path []string) (any, bool) {
	for _, part := range path {
		m, ok := doc.(map[string]any)
		if !ok {
			return nil, false
		}
		if doc, ok = m[part]; !ok {
			return nil, false
		}
	}
	return doc, true
}

// sum merges as the config does: a null says nothing.
func sum(old, more map[string]any) map[string]any {
	c := map[string]any{}
	for k, v := range old {
		c[k] = v
	}
	for k, v := range more {
		below, isMap := v.(map[string]any)
		was, wasMap := c[k].(map[string]any)
		switch {
		case v == nil:
		case isMap && wasMap:
			c[k] = sum(was, below)
		case isMap:
			c[k] = sum(nil, below)
		default:
			c[k] = v
		}
	}
	return c
}

// grownFrom says whether now is old with something put in at one place.
func grownFrom(now, old string) bool {
	head := 0
	for head < len(old) && head < len(now) && old[head] == now[head] {
		head++
	}
	return strings.HasSuffix(now, old[head:]) && len(now) >= len(old)
}

package config

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// shape is how the merge treats a key.
type shape int

const (
	leaf    shape = iota // one value or one list: a layer replaces it as a whole
	section              // a mapping with keys of ours: merged key by key
	table                // a mapping with keys of the user's: merged entry by entry
	opaque               // a mapping that we do not know: merged key by key, to its leaves
)

// key is one key of the schema.
type key struct {
	name   string // "mtu"; "NAME" stands for the entries of a table
	path   string // "rancher.network.interfaces.NAME.mtu"
	field  int    // its place in the struct that it stands in
	typ    reflect.Type
	shape  shape
	check  string
	when   string
	doc    string
	none   string
	says   bool // when or none is its own, not that of a key above it
	also   []string
	needed bool
	keys   []*key // of a section, or of the entries of a list, in order
	elem   *key   // the entries of a table or a list
}

// schema is the config as its types describe it.
var schema = sync.OnceValue(func() *key {
	return describe(key{typ: reflect.TypeFor[Config](), shape: section})
})

// describe fills in what the type of a key says.
func describe(k key) *key {
	switch {
	case k.typ == reflect.TypeFor[Service]() || k.typ == reflect.TypeFor[Opaque]():
		k.shape = opaque
	case isRecord(k.typ):
		k.keys = k.fields()
	case k.typ.Kind() == reflect.Map:
		k.shape = table
		elem := key{name: "NAME", path: k.path + ".NAME", typ: k.typ.Elem(), check: "text"}
		if k.check != "" {
			elem.check = "line" // the check is that of the names
		}
		k.elem = k.below(elem)
	case k.typ.Kind() == reflect.Slice && k.typ != reflect.TypeFor[Sudo]():
		k.elem = k.below(key{path: k.path + "[]", typ: k.typ.Elem(), check: k.check})
	}
	return &k
}

// below describes a key that inherits from k. A struct in a list is a leaf of
// it; any other struct is a section.
func (k *key) below(child key) *key {
	child.says = first(child.when, child.none) != "" && k.none == ""
	child.when = first(child.when, k.when)
	child.none = first(child.none, k.none)
	if isRecord(child.typ) && k.typ.Kind() != reflect.Slice {
		child.shape = section
	}
	return describe(child)
}

// isRecord says whether the fields of a type are keys: a struct with tags.
func isRecord(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Tag.Get("yaml") != ""
}

func (k *key) fields() []*key {
	var keys []*key
	for i := range k.typ.NumField() {
		f := k.typ.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" {
			continue
		}
		child := key{
			name: name, path: join(k.path, name), field: i, typ: f.Type, check: f.Tag.Get("is"), when: f.Tag.Get("when"),
			doc: f.Tag.Get("doc"), none: f.Tag.Get("none"), needed: f.Tag.Get("needed") != "",
		}
		if also := f.Tag.Get("also"); also != "" {
			child.also = strings.Split(also, ",")
		}
		keys = append(keys, k.below(child))
	}
	return keys
}

// child is the key of that name, or one that is also called so.
func (k *key) child(name string) *key {
	for _, c := range k.keys {
		if c.name == name || slices.Contains(c.also, name) {
			return c
		}
	}
	return nil
}

// names are all that child knows, for "did you mean".
func (k *key) names() []string {
	var names []string
	for _, c := range k.keys {
		names = append(append(names, c.name), c.also...)
	}
	return names
}

// secret says whether values of the key are for root only.
func (k *key) secret() bool {
	return k.typ == reflect.TypeFor[Password]() || k.typ == reflect.TypeFor[Secret]()
}

// walk calls visit for k and all keys below it, in order.
func (k *key) walk(visit func(*key)) {
	visit(k)
	for _, c := range k.keys {
		c.walk(visit)
	}
	if k.elem != nil {
		k.elem.walk(visit)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Key is one key of the schema, for those who describe it to people and
// editors.
type Key struct {
	Name    string   `json:"name"`              // "rancher.network.interfaces.NAME.mtu", "users[].shell"
	Type    string   `json:"type"`              // in words: "text", "list of texts"
	Section bool     `json:"section,omitempty"` // other keys stand below it
	Must    string   `json:"must,omitempty"`    // what a value must be, in words
	Words   []string `json:"words,omitempty"`   // the only values, if they are few
	Default string   `json:"default,omitempty"` // YAML
	Doc     string   `json:"doc,omitempty"`
	Applier string   `json:"applier,omitempty"`
	None    string   `json:"none,omitempty"` // why it has no effect
	Also    []string `json:"also,omitempty"`
	Secret  bool     `json:"secret,omitempty"`
}

// Keys are all keys, in the order of the schema.
func Keys() []Key {
	var keys []Key
	builtin := map[string]string{}
	for _, entry := range defaults().Entries(true) {
		builtin[entry.Key] = entry.Value
	}
	schema().walk(func(k *key) {
		if k.path == "" || strings.HasSuffix(k.path, "[]") || k.name == "NAME" && k.doc == "" && k.shape != section {
			return
		}
		keys = append(keys, k.public(builtin[k.path]))
	})
	return keys
}

func (k *key) public(builtin string) Key {
	c := checks[k.check]
	key := Key{
		Name: k.path, Type: k.inWords(), Section: len(k.keys) > 0 || k.elem != nil && len(k.elem.keys) > 0,
		Words: c.words, Default: builtin, Doc: k.doc, Applier: k.when, None: k.none, Also: k.also, Secret: k.secret(),
	}
	if k.check != "" {
		key.Must = c.must
	}
	if k.none != "" {
		key.Applier = ""
	}
	return key
}

// forms are the types that have a form of their own, in words.
var forms = map[reflect.Type]string{
	reflect.TypeFor[bool]():     "true or false",
	reflect.TypeFor[*bool]():    "true or false",
	reflect.TypeFor[int]():      "number",
	reflect.TypeFor[EtcHosts](): "true, false or localhost",
	reflect.TypeFor[Sudo]():     "text, list of texts or false",
	reflect.TypeFor[FileMode](): "octal number",
	reflect.TypeFor[Size]():     "size",
	reflect.TypeFor[Command]():  "text or list of texts",
	reflect.TypeFor[Mount]():    "list of four texts",
	reflect.TypeFor[Group]():    "text or mapping",
	reflect.TypeFor[Service]():  "mapping, as in Compose",
	reflect.TypeFor[Opaque]():   "anything",
}

// inWords is the type of a key for people.
func (k *key) inWords() string {
	c := checks[k.check]
	if k.typ == reflect.TypeFor[int]() && c.most > 0 {
		return fmt.Sprintf("number from %d to %d", c.least, c.most)
	}
	if form := forms[k.typ]; form != "" {
		return form
	}
	switch k.typ.Kind() {
	case reflect.Map:
		return "mapping of " + plural(k.elem.inWords())
	case reflect.Slice:
		form := "list of " + plural(k.elem.inWords())
		if k.typ == reflect.TypeFor[Words]() {
			form += ", or text with commas"
		}
		return form
	case reflect.Struct:
		return "mapping"
	}
	return first(c.noun, "text")
}

// plural makes "mappings" of "mapping".
func plural(form string) string {
	noun, rest, more := strings.Cut(form, ", ")
	switch noun {
	case "true or false", "anything":
	case "text or list of texts":
		noun = "texts or lists of texts"
	case "text or mapping":
		noun = "texts or mappings"
	case "list of four texts":
		noun = "lists of four texts"
	case "IP address", "address":
		noun += "es"
	default:
		noun += "s"
	}
	if more {
		return noun + ", " + rest
	}
	return noun
}

// Split takes a dotted key apart: rancher.network.dns.search has four parts.
// What stands below a table may have dots in its name, so
// rancher.sysctl.net.ipv4.ip_forward has three, and
// rancher.network.interfaces.eth0.100.mtu five. Such a name may also stand in
// quotes. Keys that do not exist are split at their dots.
func Split(name string) []string {
	var parts []string
	k := schema()
	for name != "" {
		var part string
		part, name = cutKey(k, name)
		parts = append(parts, part)
		if k != nil {
			k = k.next(part)
		}
	}
	return parts
}

// next is the key that a part of a dotted name leads to; nil: none that is
// known.
func (k *key) next(part string) *key {
	if k.shape == table {
		return k.elem
	}
	return k.child(part)
}

// cutKey cuts the first part off a dotted name that stands below k.
func cutKey(k *key, name string) (part, rest string) {
	if quoted, ok := strings.CutPrefix(name, `"`); ok {
		if part, rest, ok := strings.Cut(quoted, `"`); ok && (rest == "" || rest[0] == '.') {
			return part, strings.TrimPrefix(rest, ".")
		}
	}
	if k == nil || k.shape != table || k.elem.shape == opaque {
		part, rest, _ = strings.Cut(name, ".")
		return part, rest
	}
	for i, letter := range name {
		if letter != '.' {
			continue
		}
		if next, _, _ := strings.Cut(name[i+1:], "."); k.elem.child(next) != nil {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

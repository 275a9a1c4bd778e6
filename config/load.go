package config

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Load puts the layers together, lowest first: mappings merge, a list or a
// single value replaces that of the layers below. The warnings are what does
// not count.
func Load(layers ...Layer) (*Config, []Warning) {
	l := &loader{cfg: defaults()}
	for _, layer := range layers {
		l.load(layer)
	}
	l.addKeys()
	l.trialTimes()
	return l.cfg, l.warnings
}

// loader folds layers into a config.
type loader struct {
	cfg      *Config
	layer    Layer
	order    []string // names of the layers that were read
	strict   bool     // also say what is unwise and what has no effect
	taken    int      // bytes of text read from the layer
	warnings []Warning
	keys     []said // ssh_authorized_keys of layers that add theirs
}

func (l *loader) load(layer Layer) {
	l.layer, l.taken = layer, 0
	l.order = append(l.order, layer.Name)
	if layer.Settings != nil {
		l.settings(layer.Settings)
	} else {
		l.document(layer.Data)
	}
	if l.taken > maxText {
		l.warn(place{}, "", Wrong, "has aliases or mappings within mappings that come to more than a config can hold; the rest is skipped")
	}
}

// place is where something stands in the file of the layer.
type place struct{ line, column int }

func at(p yamldoc.Pair) place { return place{p.Line, p.Column} }

// maxWarnings is how much is said about one layer.
const maxWarnings = 50

func (l *loader) warn(at place, key string, s Severity, format string, args ...any) {
	if l.layer.Settings != nil {
		at = place{} // lines of the value, not of a file
	}
	said := 0
	for _, w := range l.warnings {
		if w.Layer == l.layer.Name {
			said++
		}
	}
	switch {
	case said < maxWarnings:
		l.warnings = append(l.warnings, Warning{l.layer.Name, at.line, at.column, key, fmt.Sprintf(format, args...), s})
	case said == maxWarnings:
		l.warnings = append(l.warnings, Warning{Layer: l.layer.Name, Severity: s,
			Message: fmt.Sprintf("has more than %d keys that do not count; the rest is not shown", maxWarnings)})
	}
}

// fault says that a value does not count. When aliases have used up what a
// layer may hold, that is all there is to say.
func (l *loader) fault(v yamldoc.Value, format string, args ...any) {
	if l.taken > maxText {
		return
	}
	l.warn(place{v.Line, v.Column}, v.Path.String(), Wrong, format, args...)
}

// document reads a file.
func (l *loader) document(data []byte) {
	if bytes.HasPrefix(data, []byte("#!")) {
		l.warn(place{line: 1}, "", Wrong, "is a script, not a cloud-config")
		return
	}
	doc, faults := yamldoc.Parse(data)
	for _, f := range faults {
		if doc == nil && f.Message == "is empty" {
			return // nothing is said, and that is fine
		}
		l.warn(place{f.Line, f.Column}, f.Path.String(), Wrong, "%s", f.Message)
	}
	if doc == nil {
		return
	}
	l.mapping(schema(), reflect.ValueOf(l.cfg).Elem(), "", doc.Root())
	if doc.Exhausted() {
		l.taken = maxText + 1
	}
}

// value reads the value of a key into its field. name is the key with the names
// of table entries filled in.
func (l *loader) value(k *key, field reflect.Value, name string, at place, v yamldoc.Value) {
	if v.Tag() == "!!null" && l.layer.Settings == nil {
		return // "key:" says nothing, so the layers below count
	}
	l.notes(k, at, v.Path.String())
	switch k.shape {
	case section, table:
		if v.Kind() != yamldoc.Mapping {
			l.fault(v, "must be a mapping (key: value)")
			return
		}
		l.mapping(k, field, name, v)
		if k.name == "NAME" && len(v.Pairs()) == 0 { // "eth0: {}" means something
			l.cfg.origins[name] = append(l.cfg.origins[name], said{l.layer.Name, at.line, field.Interface()})
		}
	case opaque:
		if k.typ == reflect.TypeFor[Service]() && v.Kind() != yamldoc.Mapping {
			l.fault(v, "must be a mapping (image: …)")
			return
		}
		l.opaque(field, name, at, l.tree(v, 1))
	default:
		if value, ok := l.decode(k, v); ok {
			l.set(field, value, name, at)
		}
	}
}

func (l *loader) set(field, value reflect.Value, name string, at place) {
	said := said{l.layer.Name, at.line, value.Interface()}
	if l.layer.Append && name == "ssh_authorized_keys" {
		l.keys = append(l.keys, said)
		return
	}
	field.Set(value)
	l.cfg.origins[name] = append(l.cfg.origins[name], said)
}

// mapping reads the keys of a section or the entries of a table.
func (l *loader) mapping(k *key, field reflect.Value, name string, v yamldoc.Value) {
	for _, p := range v.Pairs() {
		if k.shape == table {
			if err := k.entryName(p.Key); err != nil {
				l.warn(at(p), p.Value.Path.String(), Wrong, "%v", err)
			} else if p.Value.Tag() != "!!null" {
				l.entry(k, field, p.Key, func(entry reflect.Value) {
					l.value(k.elem, entry, join(name, p.Key), at(p), p.Value)
				})
			}
			continue
		}
		child := k.child(p.Key)
		if child == nil {
			l.foreign(k, p.Key, p.Value.Path.String(), at(p))
			continue
		}
		l.value(child, field.Field(child.field), join(name, child.name), at(p), p.Value)
	}
}

// entryName says what is wrong with the name of an entry of a table.
func (k *key) entryName(name string) error {
	if _, err := checks[k.check].apply(name); err != nil || name == "" {
		return fmt.Errorf("the key %w", checks[k.check].fault())
	}
	return nil
}

// entry changes one entry of a table. One that got no value is not made.
func (l *loader) entry(k *key, field reflect.Value, name string, change func(reflect.Value)) {
	entry := reflect.New(k.elem.typ).Elem()
	if have := field.MapIndex(reflect.ValueOf(name)); have.IsValid() {
		entry.Set(have)
	}
	faults := len(l.warnings)
	change(entry)
	if entry.IsZero() && (len(l.warnings) > faults || l.taken > maxText) {
		return
	}
	if field.IsNil() {
		field.Set(reflect.MakeMap(field.Type()))
	}
	field.SetMapIndex(reflect.ValueOf(name), entry)
}

// settings reads the kernel command line, where the last of several words for
// one key wins. Only autologin may be given once for each terminal.
func (l *loader) settings(settings []Setting) {
	var terminals []string
	for _, s := range settings {
		if !utf8.ValidString(s.Key + s.Value) {
			l.warn(place{}, strings.ToValidUTF8(s.Key, "?"), Wrong, "is not text in UTF-8")
			continue
		}
		value := s.Value
		if s.Key == "rancher.autologin" && !strings.HasPrefix(value, "[") {
			terminals = append(terminals, value)
			value = "[" + strings.Join(terminals, ", ") + "]"
		}
		l.setting(schema(), reflect.ValueOf(l.cfg).Elem(), "", Split(s.Key), yamldoc.NewScalar(value, yamldoc.Path{s.Key}))
	}
	l.lastWins()
}

// setting goes down the steps of a dotted key and reads the value there.
func (l *loader) setting(k *key, field reflect.Value, name string, steps []string, v yamldoc.Value) {
	if len(steps) == 0 {
		l.value(k, field, name, place{}, v)
		return
	}
	step, rest := steps[0], steps[1:]
	switch k.shape {
	case table:
		if err := k.entryName(step); err != nil {
			l.fault(v, "%v", err)
			return
		}
		if dot := strings.LastIndexByte(step, '.'); dot >= 0 && len(rest) == 0 && k.elem.shape == section && v.Kind() != yamldoc.Mapping {
			l.foreign(k.elem, step[dot+1:], v.Path.String(), place{})
			return
		}
		l.entry(k, field, step, func(entry reflect.Value) {
			l.setting(k.elem, entry, join(name, step), rest, v)
		})
	case opaque:
		l.opaque(field, name, place{}, nest(steps, typed(l.tree(v, len(steps)))))
	case section:
		child := k.child(step)
		if child == nil {
			l.foreign(k, step, v.Path.String(), place{})
			return
		}
		l.setting(child, field.Field(child.field), join(name, child.name), rest, v)
	default:
		l.fault(v, "%s has no keys below it", name)
	}
}

// lastWins forgets what earlier words of the command line said about a key that
// a later one said again: the layer says it once.
func (l *loader) lastWins() {
	for name, all := range l.cfg.origins {
		last := len(all) - 1
		if all[last].layer == l.layer.Name {
			l.cfg.origins[name] = append(slices.DeleteFunc(slices.Clone(all[:last]), func(s said) bool { return s.layer == l.layer.Name }), all[last])
		}
	}
}

// addKeys adds the keys of a cloud's metadata to those that the config names.
// Whoever started the machine wants to get in, and did not see the config.
func (l *loader) addKeys() {
	for _, more := range l.keys {
		all := l.cfg.origins["ssh_authorized_keys"]
		if len(all) > 0 {
			more.layer, more.line = all[len(all)-1].layer+" and "+more.layer, 0
		}
		keys := slices.Clone(l.cfg.SSHAuthorizedKeys)
		for _, key := range more.value.([]string) {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
		l.cfg.SSHAuthorizedKeys = keys
		more.value = keys
		if len(all) > 0 {
			all = all[:len(all)-1]
		}
		l.cfg.origins["ssh_authorized_keys"] = append(all, more)
	}
}

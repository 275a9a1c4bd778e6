package config

import (
	"encoding/json"
	"reflect"
)

// object is a JSON object; its keys are written in order of their names.
type object = map[string]any

// Schema is the JSON Schema (2020-12) of a cloud-config, for editors. It takes
// what Validate takes; what only a program can tell, such as whether a text is
// an address, is left to Validate.
func Schema() []byte {
	root := schema().schema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "cloud-config of Roster"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil // cannot be: nothing but texts, numbers, lists and objects
	}
	return append(text, '\n')
}

// schema describes a key. "key:" with nothing behind it is fine everywhere.
func (k *key) schema() object {
	s := k.form()
	about := k.doc
	if k.none != "" && k.says {
		about += " Has no effect: " + k.none + "."
	}
	if about != "" {
		s["description"] = about
	}
	return s
}

func (k *key) form() object {
	switch {
	case k.shape == opaque && k.typ == reflect.TypeFor[Service]():
		return object{"type": list("object", "null")}
	case k.shape == opaque:
		return object{}
	case k.shape == table:
		return object{"type": list("object", "null"), "additionalProperties": k.elem.schema()}
	case k.shape == section:
		return object{"type": list("object", "null"), "properties": k.properties(), "additionalProperties": false}
	case k.keys != nil:
		s := object{"type": "object", "properties": k.properties(), "additionalProperties": false}
		if needed := k.needs(); needed != nil {
			s["required"] = needed
		}
		return s
	case k.typ == reflect.TypeFor[[]User]():
		return object{"type": list("array", "null"), "items": object{"anyOf": list(object{"const": "default"}, k.elem.schema())}}
	case k.typ == reflect.TypeFor[[]Group]():
		return object{"type": list("array", "object", "string", "null"), "items": object{"type": list("string", "object")}}
	case k.typ.Kind() == reflect.Slice && k.typ != reflect.TypeFor[Sudo]():
		return k.listForm()
	}
	return k.scalarForm()
}

func list(items ...any) []any { return items }

func (k *key) properties() object {
	properties := object{}
	for _, child := range k.keys {
		s := child.schema()
		properties[child.name] = s
		for _, name := range child.also {
			properties[name] = s
		}
	}
	return properties
}

// needs are the keys that an entry of a list must have. One that has other
// names is not asked for: JSON Schema would want them all.
func (k *key) needs() []any {
	var needed []any
	for _, child := range k.keys {
		if child.needed && child.also == nil {
			needed = append(needed, child.name)
		}
	}
	return needed
}

// listForm is a list; one entry of texts need not be in brackets.
func (k *key) listForm() object {
	array := object{"type": list("array", "null"), "items": k.elem.schema()}
	if k.elem.keys != nil {
		return array
	}
	if k.typ == reflect.TypeFor[Words]() || k.elem.typ == reflect.TypeFor[Mount]() {
		return object{"anyOf": list(array, object{"type": "string"})}
	}
	return object{"anyOf": list(array, k.elem.schema())}
}

func (k *key) scalarForm() object {
	switch k.typ {
	case reflect.TypeFor[bool](), reflect.TypeFor[*bool]():
		return switchForm("")
	case reflect.TypeFor[EtcHosts]():
		return switchForm("|localhost")
	case reflect.TypeFor[int]():
		c := checks[k.check]
		return object{"type": list("integer", "null"), "minimum": c.least, "maximum": c.most}
	case reflect.TypeFor[FileMode]():
		return object{"type": list("string", "integer", "null"), "pattern": "^(0o)?[0-7]{1,5}$"}
	case reflect.TypeFor[Size]():
		return object{"type": list("string", "integer", "null"), "pattern": "^(auto|[0-9]+ ?([KMGTkmgt]?)([iI]?[bB])?)$"}
	case reflect.TypeFor[Command]():
		return object{"type": list("string", "boolean", "array"), "items": object{"type": scalars}}
	case reflect.TypeFor[Mount]():
		return object{"type": "array", "items": object{"type": scalars}, "minItems": 2, "maxItems": 6}
	case reflect.TypeFor[Sudo]():
		return object{"type": list("string", "array", "boolean", "null"), "items": object{"type": "string"}}
	}
	return k.textForm()
}

// switchForm is true or false in all their spellings.
func switchForm(more string) object {
	const words = "[Tt]rue|TRUE|[Yy]es|YES|[Oo]n|ON|1|[Ff]alse|FALSE|[Nn]o|NO|[Oo]ff|OFF|0"
	return object{"type": list("boolean", "string", "integer", "null"), "pattern": "^(" + words + more + ")$", "minimum": 0, "maximum": 1}
}

// scalars are what is fine where text is wanted.
var scalars = list("string", "number", "boolean", "null")

func (k *key) textForm() object {
	c := checks[k.check]
	switch {
	case c.words != nil:
		words := list()
		for _, word := range c.words {
			words = append(words, word)
			if word == "false" {
				words = append(words, false)
			}
		}
		return object{"enum": append(words, "", nil)}
	case c.pattern != "" && c.needed:
		return object{"type": scalars, "pattern": c.pattern}
	case c.pattern != "":
		return object{"type": scalars, "pattern": "^$|" + c.pattern}
	}
	return object{"type": scalars}
}

// Package live is the table of what "ros config set" does to a machine at once.
//
// It owns the table (live.yml) and knows which keys of the schema a change
// touches. The VM tests make the changes; the test beside it holds the table
// complete, without a machine: a key that takes effect at once and has no case
// fails there.
package live

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/config"
)

//go:embed live.yml
var table []byte

// Case is a change and what shows it.
type Case struct {
	Set   Settings `yaml:"set"`
	Looks []Look   `yaml:"looks"`
	Alone bool     `yaml:"alone"` // taken back before the next one
	Cuts  bool     `yaml:"cuts"`  // cuts off who looks
	Drops bool     `yaml:"drops"` // the connection may not survive it
}

// Look is a command and what it prints.
type Look struct {
	Run    string  `yaml:"run"`
	Prints string  `yaml:"prints"`
	After  *string `yaml:"after"` // when it was taken back; nil: what it printed before
}

// Setting is one "ros config set".
type Setting struct {
	Key   string
	Value any
}

// Settings are made in their order.
type Settings []Setting

// UnmarshalYAML keeps the order of a mapping.
func (s *Settings) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: set is no mapping", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		setting := Setting{Key: n.Content[i].Value}
		if err := n.Content[i+1].Decode(&setting.Value); err != nil {
			return err
		}
		*s = append(*s, setting)
	}
	return nil
}

// Cases is the table, with {{NAME}} filled in.
func Cases(fill map[string]string) ([]Case, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(table))
	decoder.KnownFields(true)
	var cases []Case
	if err := decoder.Decode(&cases); err != nil {
		return nil, fmt.Errorf("cannot read the table of live keys: %w", err)
	}
	var pairs []string
	for name, text := range fill {
		pairs = append(pairs, "{{"+name+"}}", text)
	}
	filler := strings.NewReplacer(pairs...)
	for i := range cases {
		for j := range cases[i].Set {
			s := &cases[i].Set[j]
			s.Value = filled(filler, s.Value)
		}
		for j := range cases[i].Looks {
			l := &cases[i].Looks[j]
			l.Run, l.Prints = filler.Replace(l.Run), filler.Replace(l.Prints)
			if l.After != nil {
				after := filler.Replace(*l.After)
				l.After = &after
			}
		}
	}
	return cases, nil
}

func filled(filler *strings.Replacer, value any) any {
	switch v := value.(type) {
	case string:
		return filler.Replace(v)
	case []any:
		for i := range v {
			v[i] = filled(filler, v[i])
		}
	case map[string]any:
		for name, entry := range v {
			delete(v, name)
			v[filler.Replace(name)] = filled(filler, entry)
		}
	}
	return value
}

// Text is the value as it is typed: JSON, which YAML can read.
func (s Setting) Text() (string, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(s.Value)
	return strings.TrimSpace(b.String()), err
}

// Keys are the keys of the schema that the setting gives a value.
func (s Setting) Keys() []string {
	k := keys{known: map[string]bool{}}
	for _, key := range config.Keys() {
		k.known[key.Name] = true
	}
	path := ""
	for _, part := range config.Split(s.Key) {
		path = k.below(path, part)
	}
	k.add(path, s.Value)
	return k.found
}

// keys walks through a value beside the schema.
type keys struct {
	known map[string]bool
	found []string
}

// below is the key of that name below another, or what stands for all names.
func (k *keys) below(path, name string) string {
	if path != "" {
		path += "."
	}
	if k.known[path+name] {
		return path + name
	}
	return path + "NAME"
}

func (k *keys) add(path string, value any) {
	if k.known[path] {
		k.found = append(k.found, path)
	} else if table, ok := strings.CutSuffix(path, ".NAME"); ok && k.known[table] {
		k.found = append(k.found, table)
	}
	switch v := value.(type) {
	case map[string]any:
		for name, entry := range v {
			k.add(k.below(path, name), entry)
		}
	case []any:
		for _, entry := range v {
			if entry, ok := entry.(map[string]any); ok {
				k.add(path+"[]", entry)
			}
		}
	}
}

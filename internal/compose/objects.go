package compose

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

// File is a config or a secret: a file that is made for the container and
// mounted into it, read-only.
type File struct {
	Source string `json:"source"` // "configs.NAME" or "secrets.NAME"
	Target string `json:"target"`
	UID    uint32 `json:"uid,omitempty"`
	GID    uint32 `json:"gid,omitempty"`
	Mode   uint32 `json:"mode"`

	// Text is left out wherever a service is written down or shown. It counts
	// for DefinitionHash.
	Text []byte `json:"-"`
}

// object is a config or a secret at the top of a file: exactly one of the three
// is given.
type object struct {
	file, environment, content *yamldoc.Value
	used                       bool
	text                       []byte // of the file, once it has been read; nil: not yet
}

// objectName is what Compose lets a network, a config or a secret be called.
var objectName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// objects notes the configs or secrets that services may name.
func (r *reader) objects(kind string, v yamldoc.Value) {
	if v.Kind() != yamldoc.Mapping {
		r.wrong(v, "must be a mapping (name: {file: …})")
		return
	}
	for _, p := range v.Pairs() {
		if strings.HasPrefix(p.Key, "x-") {
			continue
		}
		if !objectName.MatchString(p.Key) {
			r.wrongKey(p, "%q cannot be a name", p.Key)
			continue
		}
		r.defined[kind+"."+p.Key] = r.object(kind, p)
	}
}

// foreign are the keys of configs and secrets that only a swarm knows.
var foreign = []string{"driver", "driver_opts", "template_driver"}

func (r *reader) object(kind string, p yamldoc.Pair) *object {
	o := &object{}
	before := len(r.faults)
	given := 0
	text := func(field **yamldoc.Value) func(yamldoc.Value) {
		return func(v yamldoc.Value) {
			given++
			if v.Kind() != yamldoc.Scalar || v.Tag() != "!!str" {
				r.text(v) // says why not
				return
			}
			*field = &v
		}
	}
	keys := map[string]func(yamldoc.Value){
		"file":        text(&o.file),
		"environment": text(&o.environment),
		"name":        func(v yamldoc.Value) { r.text(v) },
		"labels":      func(v yamldoc.Value) { r.entries(v, nil) },
		"external": func(v yamldoc.Value) {
			if v.Kind() == yamldoc.Mapping || v.Text() != "false" {
				r.wrong(v, `is not supported: it is for a swarm; give "file" or "environment"`)
			}
		},
	}
	ways := []string{"file", "environment"}
	if kind == "configs" {
		keys["content"] = text(&o.content)
		ways = append(ways, "content")
	}
	for _, key := range foreign {
		if kind == "configs" && key != "template_driver" {
			continue
		}
		keys[key] = func(v yamldoc.Value) { r.wrong(v, "is not supported: it is for a swarm") }
	}
	r.mapping(p.Value, keys)
	if given != 1 && len(r.faults) == before {
		r.wrong(p.Value, "must have one of %s, and only one", either(ways))
	}
	return o
}

// references reads the configs or secrets of a service.
func (r *reader) references(s *Service, kind string, v yamldoc.Value) {
	for _, item := range r.items(v) {
		before := len(r.faults)
		f := File{Mode: 0o444}
		name := ""
		if item.Kind() == yamldoc.Mapping {
			r.mapping(item, map[string]func(yamldoc.Value){
				"source": func(v yamldoc.Value) { name, _ = r.word(v) },
				"target": func(v yamldoc.Value) { f.Target, _ = r.word(v) },
				"uid":    func(v yamldoc.Value) { f.UID = r.id(v) },
				"gid":    func(v yamldoc.Value) { f.GID = r.id(v) },
				"mode":   func(v yamldoc.Value) { f.Mode = r.mode(v, "!!str") },
			})
			if name == "" && len(r.faults) == before {
				r.wrong(item, `has no "source"`)
			}
		} else {
			name, _ = r.word(item)
		}
		if len(r.faults) > before {
			continue
		}
		f.Source = kind + "." + name
		f.Target = objectTarget(kind, name, f.Target)
		o, ok := r.defined[f.Source]
		if !ok {
			r.wrong(item, "%q is not listed under %q at the top of the file", name, kind)
			continue
		}
		r.target(item, &f.Target)
		f.Text = r.content(o)
		if len(r.faults) == before {
			s.Files = append(s.Files, f)
		}
	}
}

// objectTarget is where a config or a secret is mounted.
func objectTarget(kind, name, given string) string {
	switch {
	case kind == "secrets" && given == "":
		return "/run/secrets/" + name
	case kind == "secrets" && !path.IsAbs(given):
		return "/run/secrets/" + given
	case given == "":
		return "/" + name
	}
	return given
}

// unused checks the configs and secrets that no service has asked for.
func (r *reader) unused() {
	for _, name := range slices.Sorted(maps.Keys(r.defined)) {
		for _, v := range []*yamldoc.Value{r.defined[name].file, r.defined[name].environment, r.defined[name].content} {
			if v != nil && !r.defined[name].used {
				r.text(*v)
			}
		}
	}
}

// content is what a config or a secret says.
func (r *reader) content(o *object) []byte {
	o.used = true
	switch {
	case o.file != nil:
		if name, ok := r.word(*o.file); ok && o.text == nil {
			o.text, _ = r.beside(*o.file, name, true)
		}
		return o.text
	case o.content != nil:
		text, _ := r.text(*o.content)
		return []byte(text)
	case o.environment != nil:
		name, _ := r.text(*o.environment)
		value, set := r.env[name]
		if !set && !r.resting {
			r.wrong(*o.environment, "variable %s is not set", name)
		}
		return []byte(value)
	}
	return nil
}

// id is the number of a user or group, in quotes as Compose wants it.
func (r *reader) id(v yamldoc.Value) uint32 {
	text, ok := r.word(v)
	n, err := strconv.ParseUint(text, 10, 31)
	if ok && err != nil {
		r.wrong(v, "%q must be a number", text)
	}
	return uint32(n)
}

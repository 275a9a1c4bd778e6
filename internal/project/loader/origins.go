package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/yamldoc"
)

// origins are the files that a service file takes something from. They merge
// nothing, which is compose-go's work: they know where things stand, and which
// files and services are not there.
type origins struct {
	path   string // of the service file
	env    map[string]string
	remote bool

	files    map[string]*source  // by path; nil: it cannot be used
	all      []*source           // the service file, then those that it includes
	services map[string][]origin // by name: the service, then those that it extends
	faults   []compose.Fault
}

// source is one file.
type source struct {
	path     string // "": the service file
	dir      string // where relative paths in it begin
	root     yamldoc.Value
	services map[string]yamldoc.Value
}

func newSource(path, dir string, doc *yamldoc.Document) *source {
	s := &source{path: path, dir: dir, root: doc.Root(), services: map[string]yamldoc.Value{}}
	for _, top := range s.root.Pairs() {
		if top.Key != "services" {
			continue
		}
		for _, p := range top.Value.Pairs() {
			if p.Value.Kind() == yamldoc.Mapping {
				s.services[p.Key] = p.Value
			}
		}
	}
	return s
}

// origin is a value of a file.
type origin struct {
	in *source
	at yamldoc.Value
}

// findOrigins reads what a file names, as far as it can be read.
func findOrigins(req project.Request, env map[string]string) (*origins, []compose.Fault) {
	o := &origins{path: req.Path, env: env, remote: req.Remote, files: map[string]*source{}, services: map[string][]origin{}}
	doc, wrong := yamldoc.Parse(req.Text)
	if doc == nil || len(wrong) > 0 {
		return o, []compose.Fault{{File: req.Path, Message: "is not valid YAML"}} // whoever asks has told which
	}
	o.include(newSource("", req.Dir, doc), nil)
	for _, s := range o.all {
		for _, name := range slices.Sorted(maps.Keys(s.services)) {
			o.services[name] = append(o.services[name], o.chain(s, name, nil)...)
		}
	}
	return o, o.faults
}

// wrong notes a fault that stands in a file.
func (o *origins) wrong(s *source, v yamldoc.Value, format string, args ...any) {
	f := compose.Fault{File: o.path, Origin: s.path, Line: v.Line, Column: v.Column, Key: v.Path.String(), Message: fmt.Sprintf(format, args...)}
	if slices.Contains(o.all, s) && len(v.Path) > 1 && v.Path[0] == "services" {
		f.Service = v.Path[1]
	}
	o.faults = append(o.faults, f)
}

// fault is one at a path of what compose-go has made of the files.
func (o *origins) fault(path yamldoc.Path, message string) compose.Fault {
	f := compose.Fault{File: o.path, Key: path.String(), Message: message}
	var from []origin
	switch {
	case len(path) > 1 && path[0] == "services":
		if from = o.services[path[1]]; from != nil {
			f.Service = path[1]
		} else {
			from = o.extendedOnly(path[1])
		}
		path = path[2:]
	case len(path) > 0:
		from, path = o.top(path[0]), path[1:]
	}
	for len(from) > 0 {
		f.Origin, f.Line, f.Column = from[0].in.path, from[0].at.Line, from[0].at.Column
		if len(path) == 0 {
			break
		}
		from, path = keyOf(partsOf(from), path[0]), path[1:]
	}
	return f
}

// extendedOnly are the services of a name in files that are not included.
func (o *origins) extendedOnly(name string) (from []origin) {
	for _, path := range slices.Sorted(maps.Keys(o.files)) {
		if s := o.files[path]; s != nil {
			if v, ok := s.services[name]; ok {
				from = append(from, origin{s, v})
			}
		}
	}
	return from
}

// top are the places of a key at the top of files.
func (o *origins) top(key string) []origin {
	var from []origin
	for _, s := range o.all {
		if found, ok := (origin{s, s.root}).key(key); ok {
			from = append(from, found)
		}
	}
	return from
}

// include takes a file in, and those that it includes.
func (o *origins) include(s *source, way []*source) {
	way = append(way[:len(way):len(way)], s)
	o.all = append(o.all, s)
	if s.path != "" {
		o.known(s)
	}
	list, ok := origin{s, s.root}.key("include")
	if !ok {
		return
	}
	if o.remote {
		o.wrong(s, list.at, "is not supported in scope %q: %s", compose.ScopeSystem, compose.Alone)
		return
	}
	for _, item := range list.at.Items() {
		paths, home := texts(item), ""
		for _, p := range item.Pairs() {
			switch p.Key {
			case "path":
				paths = texts(p.Value)
			case "project_directory":
				home = o.resolved(s, p.Value.Text())
			case "env_file":
				for _, file := range texts(p.Value) {
					o.variables(s, file)
				}
			}
		}
		for _, path := range paths {
			next := o.open(s, path)
			switch {
			case next == nil:
			case slices.Contains(way, next):
				o.wrong(s, path, "leads back to %s", path.Text())
			case slices.Contains(o.all, next): // by another way
			default:
				if home != "" {
					next.dir = home
				}
				o.dotEnv(s, path, next.dir)
				o.include(next, way)
			}
		}
	}
}

// known finds keys at the top of an included file that nobody would look at.
func (o *origins) known(s *source) {
	all, err := top()
	if err != nil {
		return // told by whoever checks the file itself
	}
	keys := slices.Sorted(maps.Keys(all.keys()))
	for _, p := range s.root.Pairs() {
		if !strings.HasPrefix(p.Key, "x-") && !slices.Contains(keys, p.Key) {
			o.wrong(s, p.Value, "%s", unknownKey(p.Key, keys))
		}
	}
}

// texts are the scalars of a value that may be one or a list of them.
func texts(v yamldoc.Value) []yamldoc.Value {
	switch v.Kind() {
	case yamldoc.List:
		return slices.DeleteFunc(v.Items(), func(item yamldoc.Value) bool { return item.Kind() != yamldoc.Scalar })
	case yamldoc.Scalar:
		return []yamldoc.Value{v}
	}
	return nil
}

// chain is a service and what it extends.
func (o *origins) chain(s *source, name string, way []origin) []origin {
	here := origin{s, s.services[name]}
	way = append(way, here)
	extends, ok := here.key("extends")
	if !ok {
		return way
	}
	ref, base := extends, s
	if extends.at.Kind() == yamldoc.Mapping {
		if ref, ok = extends.key("service"); !ok {
			o.wrong(s, extends.at, `has no "service"`)
			return way
		}
		if file, given := extends.key("file"); given {
			if o.remote {
				o.wrong(s, file.at, "is not supported in scope %q: %s", compose.ScopeSystem, compose.Alone)
				return way
			}
			if base = o.open(s, file.at); base == nil {
				return way
			}
		}
	}
	return o.extended(ref, base, way)
}

// extended goes on with the service that ref names in a file.
func (o *origins) extended(ref origin, base *source, way []origin) []origin {
	name := ref.at.Text()
	if filled, err := compose.Fill(name, o.env); err == nil {
		name = filled
	}
	has := func(s *source) bool { _, ok := s.services[name]; return ok }
	if !has(base) && base == ref.in { // it may be of a file that this one includes
		if i := slices.IndexFunc(o.all, has); i >= 0 {
			base = o.all[i]
		}
	}
	switch {
	case !has(base):
		where := base.path
		if where == "" {
			where = o.path
		}
		o.wrong(ref.in, ref.at, "there is no service %q in %s", name, where)
		return way
	case slices.ContainsFunc(way, func(done origin) bool { return done.in == base && done.at.Path[1] == name }):
		o.wrong(ref.in, ref.at, "leads back to service %q", name)
		return way
	}
	return o.chain(base, name, way)
}

// resolved is the path that a word of a file stands for; "": a variable in it is
// not set, which compose-go will say.
func (o *origins) resolved(s *source, word string) string {
	path, err := compose.Fill(word, o.env)
	if err != nil {
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir, path)
	}
	return path
}

// open reads a file that another one names; nil: it cannot be used.
func (o *origins) open(s *source, name yamldoc.Value) *source {
	path := o.resolved(s, name.Text())
	if path == "" {
		return nil
	}
	if done, known := o.files[path]; known {
		return done
	}
	o.files[path] = nil
	text, ok := o.text(s, name, path)
	if !ok {
		return nil
	}
	doc, wrong := yamldoc.Parse(text)
	for _, w := range wrong {
		o.faults = append(o.faults, compose.Fault{File: o.path, Origin: path, Line: w.Line, Column: w.Column, Key: w.Path.String(), Message: w.Message})
	}
	if doc == nil || len(wrong) > 0 {
		return nil
	}
	o.files[path] = newSource(path, filepath.Dir(path), doc)
	return o.files[path]
}

// text is what a file says that another one names.
func (o *origins) text(s *source, name yamldoc.Value, path string) ([]byte, bool) {
	text, err := yamldoc.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		o.wrong(s, name, "there is no file %s", path)
	case err != nil:
		o.wrong(s, name, "%s %v", path, err)
	}
	return text, err == nil
}

// variables looks at an env_file of include. compose-go would wait for ever for a
// pipe to say something.
func (o *origins) variables(s *source, name yamldoc.Value) {
	if path := o.resolved(s, name.Text()); path != "" && path != os.DevNull { // that: none, also no .env
		o.text(s, name, path)
	}
}

// dotEnv is variables of the one that need not be there.
func (o *origins) dotEnv(s *source, name yamldoc.Value, dir string) {
	path := filepath.Join(dir, ".env")
	if info, err := os.Stat(path); err == nil && !info.IsDir() { // a folder counts as none
		o.text(s, name, path)
	}
}

// place is where a value of the model at path stands.
func (o origin) place(path yamldoc.Path) compose.Place {
	p := compose.Place{File: o.in.path, Line: o.at.Line, Column: o.at.Column}
	if key := o.at.Path.String(); key != path.String() {
		p.Key = key
	}
	return p
}

// parts are what is in a value: by name, as people may write it, in a mapping, in
// a list of NAME=VALUE or all of it in one word; and one after the other.
type parts struct {
	named   map[string]origin
	items   []origin
	word    bool // it is its only item, and whatever is asked for
	mapping bool
}

func (o origin) parts() parts {
	p := parts{named: map[string]origin{}}
	switch o.at.Kind() {
	case yamldoc.Mapping:
		p.mapping = true
		for _, pair := range o.at.Pairs() {
			p.named[pair.Key] = origin{o.in, pair.Value}
		}
	case yamldoc.List:
		for _, item := range o.at.Items() {
			next := origin{o.in, item}
			p.items = append(p.items, next)
			if word, _, _ := strings.Cut(item.Text(), "="); item.Kind() == yamldoc.Scalar {
				p.named[word] = next
			}
		}
	case yamldoc.Scalar:
		if o.at.Tag() != "!!null" {
			p.word, p.items = true, []origin{o}
		}
	}
	return p
}

func (p parts) key(name string) (origin, bool) {
	if p.word {
		return p.items[0], true
	}
	found, ok := p.named[name]
	return found, ok
}

// key is one part of a value.
func (o origin) key(name string) (origin, bool) { return o.parts().key(name) }

// partsOf are the parts of several values.
func partsOf(from []origin) []parts {
	var all []parts
	for _, o := range from {
		all = append(all, o.parts())
	}
	return all
}

// keyOf are the places of a key, in those that have it.
func keyOf(from []parts, name string) []origin {
	var found []origin
	for _, p := range from {
		if o, ok := p.key(name); ok {
			found = append(found, o)
		}
	}
	return found
}

// entry is where the entry of a list is from, which compose-go has put together
// out of the lists of several places.
func entry(from []parts, list *yaml.Node, i int) []origin {
	total, mappings := 0, false
	for _, p := range from {
		total += len(p.items)
		mappings = mappings || p.mapping
	}
	switch {
	case mappings: // of NAMEs that are entries NAME=VALUE now
	case len(from) > 0 && len(from[0].items) == len(list.Content): // it counts alone
		return from[0].items[i : i+1]
	case total == len(list.Content): // what is extended comes first
		for _, p := range slices.Backward(from) {
			if i < len(p.items) {
				return p.items[i : i+1]
			}
			i -= len(p.items)
		}
	}
	if list.Content[i].Kind != yaml.ScalarNode {
		return nil
	}
	name, _, _ := strings.Cut(list.Content[i].Value, "=")
	return keyOf(from, name)
}

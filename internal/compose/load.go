package compose

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Fault is something wrong in a service file, at one place.
type Fault struct {
	File   string `json:"file"`
	Origin string `json:"origin,omitempty"` // file that the place is in, when it is another one that File names
	Line   int    `json:"line,omitempty"`   // from 1; 0: the whole file
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"` // "services.ntp.restart"

	// Service is the service that cannot be used because of the fault. It is
	// empty when the fault is that of the file, and when the name belongs to
	// a service of another file, which goes on undisturbed.
	Service string `json:"service,omitempty"`
	Message string `json:"message"`
}

// Error is one line: "ntp.yml:7: services.ntp.restart: …".
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.place())
	if f.Key != "" {
		b.WriteString(": " + f.Key)
	}
	b.WriteString(": " + f.Message)
	return b.String()
}

// place is "ntp.yml:7", or the file when that is all there is to say.
func (f Fault) place() string {
	file := cmp.Or(f.Origin, f.File)
	if f.Line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, f.Line)
}

// Load reads one service file. No variables are set for ${NAME} in it.
//
// All faults come at once. A fault inside a service costs only that service; a
// fault of the whole file costs the file, and then each service whose name
// could be read has a fault of its own that says so.
func Load(path string) ([]Service, []Fault) { return load(path, Setting{Files: FromDisk}) }

func load(path string, in Setting) ([]Service, []Fault) {
	data, err := yamldoc.Read(path)
	if err != nil {
		return nil, []Fault{{File: path, Message: err.Error()}}
	}
	return ParseIn(path, data, in)
}

// Sources are the places services come from.
type Sources struct {
	Dirs   []string          // every *.yml and *.yaml file of them, each in the order of the names
	Files  []string          // more files
	Config []ConfigService   // services of the cloud-config
	Env    map[string]string // values for ${NAME}
	Homes  map[string]string // of Files: where relative paths begin, if not beside the file
	Kept   map[string]Kept   // of Files: what the files that it names said; others are asked now

	Resolve Resolver // of Dirs and Files; nil: each stands alone
}

// LoadDir is LoadAll of nothing but directories.
func LoadDir(dirs ...string) ([]Service, []Fault) { return LoadAll(Sources{Dirs: dirs}) }

// LoadAll reads directories, then files, then what the config has. A directory
// that does not exist has no services. The name of a service can be given once:
// what is said about it later is a fault that names both places, and the first
// stays. So the operator's directory, given after the built-in one, cannot
// replace a built-in service.
func LoadAll(src Sources) ([]Service, []Fault) {
	c := collector{first: map[string]string{}, networks: map[string]network{}}
	for _, dir := range src.Dirs {
		entries, err := os.ReadDir(dir) // sorted by name
		if err != nil && !os.IsNotExist(err) {
			c.faults = append(c.faults, Fault{File: dir, Message: fmt.Sprintf("cannot read the directory: %v", err)})
		}
		for _, entry := range entries {
			name := entry.Name()
			ext := filepath.Ext(name)
			if (ext != ".yml" && ext != ".yaml") || strings.HasPrefix(name, ".") || entry.IsDir() {
				continue
			}
			c.add(load(filepath.Join(dir, name), Setting{Env: src.Env, Files: FromDisk, Resolve: src.Resolve}))
		}
	}
	for _, path := range src.Files {
		in := Setting{Home: src.Homes[path], Env: src.Env, Files: FromDisk, Resolve: src.Resolve}
		if kept, ok := src.Kept[path]; ok {
			in.Files = kept.Read
		}
		c.add(load(path, in))
	}
	c.add(ParseConfig(src.Config, Setting{Env: src.Env, Files: FromDisk}))
	return c.services, c.faults
}

// collector takes services from one place after the other.
type collector struct {
	services []Service
	faults   []Fault
	first    map[string]string // service name: "file:line" that has it
	networks map[string]network
}

// add takes what one place has.
func (c *collector) add(found []Service, wrong []Fault) {
	taken := map[string]bool{}
	for _, s := range found {
		if place, ok := c.first[s.Name]; ok {
			taken[s.Name] = true
			c.faults = append(c.faults, redefined(s.File, s.Line, s.Name, place))
			continue
		}
		if f, other := c.share(s); other {
			c.faults = append(c.faults, f)
			continue
		}
		c.services = append(c.services, s)
	}
	for _, f := range wrong {
		if place, ok := c.first[f.Service]; ok && f.Service != "" {
			if !taken[f.Service] {
				taken[f.Service] = true
				c.faults = append(c.faults, redefined(f.File, f.Line, f.Service, place))
			}
			f.Service = ""
		}
		c.faults = append(c.faults, f)
	}
	for _, s := range found {
		if _, ok := c.first[s.Name]; !ok {
			c.first[s.Name] = fmt.Sprintf("%s:%d", s.File, s.Line)
		}
	}
	for _, f := range wrong {
		if _, ok := c.first[f.Service]; !ok && f.Service != "" {
			c.first[f.Service] = f.place()
		}
	}
}

func redefined(file string, line int, name, place string) Fault {
	return Fault{File: file, Line: line, Key: "services." + name,
		Message: fmt.Sprintf("there is a service %q already, from %s", name, place)}
}

// Parse is Load for content that has been read already and stands alone; path is
// what faults call it and where relative paths start. env has the values for
// ${NAME}.
func Parse(path string, data []byte, env map[string]string) ([]Service, []Fault) {
	return ParseIn(path, data, Setting{Env: env})
}

// Setting is what a service file is read with.
type Setting struct {
	Home    string            // where relative paths begin; "": the folder of the file
	Env     map[string]string // values for ${NAME}
	Files   Files             // those that it may name; nil: none
	Resolve Resolver          // of what it takes from others; nil: it stands alone
}

// ParseIn is Parse of a file that may have others beside it.
func ParseIn(path string, data []byte, in Setting) ([]Service, []Fault) {
	if in.Home == "" {
		in.Home = filepath.Dir(path)
	}
	r := &reader{path: path, home: in.Home, env: in.Env, files: in.Files,
		volumes: map[string]volume{}, defined: map[string]*object{}, networks: map[string]yamldoc.Value{}, known: map[place]knownNetwork{}, broken: map[string]bool{}}
	doc, wrong := yamldoc.Parse(data)
	if doc == nil {
		for _, w := range wrong {
			r.add("", w)
		}
		return nil, r.faults
	}
	if in.Resolve != nil && len(wrong) == 0 && takesFromOthers(doc.Root()) {
		doc = r.resolve(doc, in.Resolve(path, data))
	}
	root := doc.Root()
	r.dotEnv()
	r.project = r.projectName(root)

	// Which services are there, and which of them are ours to run?
	services, ok := r.services(root)
	names := make([]string, 0, len(services))
	for _, s := range services {
		names = append(names, s.Name)
	}
	for _, w := range wrong {
		r.add(owner(w.Path, names), w)
	}
	r.lose(root, services)
	if ok {
		r.topLevel(root, services)
	}

	for i := range services {
		s := &services[i]
		r.about(s.Name)
		switch {
		case !ok || s.lost:
		case s.Scope == ScopeSystem:
			r.resting = r.rests(s.pairs)
			r.system(&s.Service, s.pairs)
			s.resting, s.from, s.links, s.shares = r.resting, r.from, r.linked, r.shares
		default:
			r.user(&s.Service, s.pairs)
		}
	}
	r.about("")
	r.unused()
	r.borrow(services)
	r.link(services)
	r.share(services)
	r.missed(services)
	if doc.Exhausted() {
		r.fileFault("has aliases that expand to more than a service file can hold")
	}
	if r.broken[""] {
		r.dropAll(services)
	}

	var loaded []Service
	for _, s := range services {
		if !r.broken[s.Name] && !s.resting {
			r.relocate(&s.Service)
			loaded = append(loaded, s.Service)
		}
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int { return a.Line - b.Line })
	return loaded, r.faults
}

// dropAll gives each service of a file that cannot be used a fault of its own.
func (r *reader) dropAll(services []found) {
	var cause Fault
	for _, f := range r.faults {
		if f.Service == "" {
			cause = f
			break
		}
	}
	reason := cause.Message
	if cause.Key != "" {
		reason = cause.Key + ": " + reason
	}
	if cause.Line > 0 {
		reason = fmt.Sprintf("line %d: %s", cause.Line, reason)
	}
	for _, s := range services {
		if !r.broken[s.Name] {
			r.add(s.Name, yamldoc.Fault{Line: s.Line, Path: yamldoc.Path{"services", s.Name},
				Message: "the file cannot be used: " + reason})
		}
	}
}

// owner is the service whose loss a fault at path costs.
func owner(path yamldoc.Path, names []string) string {
	if len(path) >= 2 && path[0] == "services" && slices.Contains(names, path[1]) {
		return path[1]
	}
	return ""
}

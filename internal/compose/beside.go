package compose

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Files reads the files that a service file names. One that is not there gives
// fs.ErrNotExist.
type Files func(path string) ([]byte, error)

// FromDisk reads them where they are: regular files of at most 1 MiB.
func FromDisk(path string) ([]byte, error) { return yamldoc.Read(path) }

// Kept is what files said when the service file that names them was taken in.
type Kept map[string][]byte

// Read is Files of what was kept.
func (k Kept) Read(path string) ([]byte, error) {
	if text, ok := k[path]; ok {
		return text, nil
	}
	return nil, fs.ErrNotExist
}

// Noting reads files and keeps what they say.
func (k Kept) Noting(files Files) Files {
	return func(path string) ([]byte, error) {
		text, err := files(path)
		if err == nil {
			k[path] = text
		}
		return text, err
	}
}

// Alone is why a file that came from an address cannot name others.
const Alone = "the file came from an address, alone: there are no files beside it"

// beside reads a file that the service file names with v. One that nobody
// needs may be missing.
func (r *reader) beside(v yamldoc.Value, path string, needed bool) (text []byte, found bool) {
	switch {
	case r.resting:
		return nil, false
	case r.files == nil:
		r.wrong(v, "is not supported in scope %q: %s", ScopeSystem, Alone)
		return nil, false
	case strings.HasPrefix(path, "~"):
		r.wrong(v, "%q: services of the OS have no home directory; write the path out", path)
		return nil, false
	case !filepath.IsAbs(path):
		path = filepath.Join(r.home, path)
	}
	text, err := r.files(path)
	switch {
	case err == nil:
		return text, true
	case !errors.Is(err, fs.ErrNotExist):
		r.wrong(v, "%s %v", path, err)
	case needed:
		r.wrong(v, "there is no file %s", path)
	}
	return nil, false
}

// dotEnv adds the variables of the file .env beside the service file, as docker
// compose does. What the config has set stays.
func (r *reader) dotEnv() {
	path := filepath.Join(r.home, ".env")
	if r.files == nil || !filepath.IsAbs(path) {
		return
	}
	text, err := r.files(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	found := map[string]string{}
	if err == nil {
		err = variables(text, "", found, r.variable)
	}
	if err != nil {
		r.fileFault(fmt.Sprintf("%s %v", path, err))
		return
	}
	maps.Copy(found, r.env)
	r.env = found
}

func (r *reader) variable(name string) (string, bool) {
	value, ok := r.env[name]
	return value, ok
}

// RawFormat is the env_file format whose values are taken as they are.
const RawFormat = "raw"

// RawValues reads that format: lines of NAME=value.
func RawValues(r io.Reader, _ string, vars map[string]string, lookup func(string) (string, bool)) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if name == "" || strings.ContainsAny(name, " \t") {
			return fmt.Errorf("line %d: is not NAME=value", n)
		}
		if !ok {
			if value, ok = lookup(name); !ok {
				continue
			}
		}
		vars[name] = value
	}
	return lines.Err()
}

var lineOfError = regexp.MustCompile(`\bline (\d+)`)

// variables adds those of a file to vars. What is wrong with it is said without
// its text, which may be nobody's business.
func variables(text []byte, format string, vars map[string]string, lookup func(string) (string, bool)) error {
	if bytes.IndexByte(text, 0) >= 0 {
		return errors.New("is not text")
	}
	var err error
	if format == RawFormat {
		err = RawValues(bytes.NewReader(text), "", vars, lookup)
	} else {
		// Without the end of its line the parser takes a name alone for a value.
		err = dotenv.ParseWithFormat(io.MultiReader(bytes.NewReader(text), strings.NewReader("\n")), "", vars, lookup, "")
	}
	if err == nil {
		return nil
	}
	if m := lineOfError.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("is not a list of NAME=value: see line %s", m[1])
	}
	return errors.New("is not a list of NAME=value, or has a variable written wrongly ($$ is a dollar sign)")
}

// envFile is one entry of env_file.
type envFile struct {
	at       yamldoc.Value
	path     string
	format   string
	required bool
}

// envFiles notes the files; they are read when the environment is known, which
// counts more.
func (r *reader) envFiles(_ *Service, v yamldoc.Value) {
	for _, item := range oneOrMore(v) {
		f := envFile{at: item, required: true}
		before := len(r.faults)
		if item.Kind() == yamldoc.Mapping {
			r.mapping(item, map[string]func(yamldoc.Value){
				"path":     func(v yamldoc.Value) { f.at, f.path = v, r.file(v) },
				"required": func(v yamldoc.Value) { f.required, _ = r.boolean(v) },
				"format":   func(v yamldoc.Value) { f.format, _ = r.oneOf(v, RawFormat) },
			})
			if f.path == "" && len(r.faults) == before {
				r.wrong(item, `has no "path"`)
			}
		} else {
			f.path = r.file(item)
		}
		if len(r.faults) == before {
			r.envs = append(r.envs, f)
		}
	}
}

// file is the path of a file.
func (r *reader) file(v yamldoc.Value) string {
	path, _ := r.word(v)
	return path
}

// oneOrMore are the entries of a list, or what stands in the place of one.
func oneOrMore(v yamldoc.Value) []yamldoc.Value {
	if v.Kind() == yamldoc.List {
		return v.Items()
	}
	return []yamldoc.Value{v}
}

// readEnvFiles adds what the files of env_file say to the environment.
func (r *reader) readEnvFiles(s *Service) {
	if len(r.envs) == 0 {
		return
	}
	own := map[string]string{}
	for _, kv := range s.Env {
		name, value, _ := strings.Cut(kv, "=")
		own[name] = value
	}
	lookup := func(name string) (string, bool) {
		if value, ok := r.env[name]; ok {
			return value, true
		}
		value, ok := own[name]
		return value, ok
	}
	all := maps.Clone(own)
	for _, f := range r.envs {
		text, found := r.beside(f.at, f.path, f.required)
		if !found {
			continue
		}
		if err := variables(text, f.format, all, lookup); err != nil {
			r.wrong(f.at, "%s %v", f.path, err)
		}
	}
	maps.Copy(all, own)
	s.Env = nil
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s.Env = append(s.Env, name+"="+all[name])
	}
}

// labelFiles notes the files; they are read when the labels are known.
func (r *reader) labelFiles(_ *Service, v yamldoc.Value) {
	for _, item := range oneOrMore(v) {
		if path, ok := r.word(item); ok {
			r.labelled = append(r.labelled, envFile{at: item, path: path})
		}
	}
}

// readLabelFiles adds what the files of label_file say to the labels.
func (r *reader) readLabelFiles(s *Service) {
	if len(r.labelled) == 0 {
		return
	}
	all := map[string]string{}
	for _, f := range r.labelled {
		text, found := r.beside(f.at, f.path, true)
		if !found {
			continue
		}
		more := map[string]string{}
		lookup := func(name string) (string, bool) { value, ok := all[name]; return value, ok }
		if err := variables(text, "", more, lookup); err != nil {
			r.wrong(f.at, "%s %v", f.path, err)
		}
		for _, name := range slices.Sorted(maps.Keys(more)) {
			r.rancherLabel(f.at, name)
		}
		maps.Copy(all, more)
	}
	maps.Copy(all, s.Labels)
	s.Labels = all
}

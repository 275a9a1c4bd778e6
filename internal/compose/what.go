package compose

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mattn/go-shellwords"

	"github.com/rosteros/ros/internal/yamldoc"
)

// imageName is deliberately loose: whether the image exists is found out when
// it is looked up, and then by its name.
var imageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)

func (r *reader) image(s *Service, v yamldoc.Value) {
	name, ok := r.word(v)
	if ok && !imageName.MatchString(name) {
		r.wrong(v, "%q cannot be the name of an image", name)
		return
	}
	s.Image = name
}

// command is an argv, or one line that is split into words as a shell would.
func (r *reader) command(v yamldoc.Value) []string {
	if v.Kind() == yamldoc.List {
		return r.texts(v, false)
	}
	line, ok := r.text(v)
	if !ok {
		return nil
	}
	parser := shellwords.NewParser()
	words, err := parser.Parse(line)
	if err != nil {
		r.wrong(v, "%q cannot be split into words: a quote or bracket is not closed", line)
		return nil
	}
	// The parser stops at what only a shell understands, and so does Compose,
	// without a word about the rest of the line.
	if parser.Position >= 0 {
		r.wrong(v, "%q needs a shell: write [/bin/sh, -c, …]", line)
		return nil
	}
	return words
}

func (r *reader) environment(s *Service, v yamldoc.Value) {
	for _, e := range r.entries(v, r.variable) {
		s.Env = append(s.Env, e.name+"="+e.text)
	}
	slices.SortFunc(s.Env, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
}

func (r *reader) workingDir(s *Service, v yamldoc.Value) {
	if dir, ok := r.absolute(v); ok {
		s.WorkingDir = dir
	}
}

// absolute is a path from the root, cleaned.
func (r *reader) absolute(v yamldoc.Value) (string, bool) {
	p, ok := r.word(v)
	if ok && !path.IsAbs(p) {
		r.wrong(v, "%q must be an absolute path", p)
		return "", false
	}
	return path.Clean(p), ok
}

func (r *reader) groupAdd(s *Service, v yamldoc.Value) {
	seen := map[string]bool{}
	for _, item := range r.items(v) {
		text, tag, ok := r.scalar(item, "the name or number of a group")
		switch {
		case !ok:
		case tag != "!!str" && tag != "!!int" || text == "":
			r.wrong(item, "%q must be the name or number of a group", text)
		case seen[text]:
			r.wrong(item, "%q is given twice", text)
		default:
			seen[text] = true
			s.GroupAdd = append(s.GroupAdd, text)
		}
	}
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func (r *reader) hostname(s *Service, v yamldoc.Value) {
	name, ok := r.word(v)
	if ok && (len(name) > 64 || !hostName.MatchString(name)) {
		r.wrong(v, "%q cannot be a host name", name)
		return
	}
	s.Hostname = name
}

func (r *reader) labels(s *Service, v yamldoc.Value) {
	s.Labels = map[string]string{}
	for _, e := range r.entries(v, nil) {
		s.Labels[e.name] = e.text
	}
	r.rancherLabels(v)
}

// rancherLabels finds the labels that steered services in RancherOS. Here they
// would do nothing, and nobody would say so.
func (r *reader) rancherLabels(v yamldoc.Value) {
	for _, item := range v.Items() {
		name, _, _ := strings.Cut(item.Text(), "=")
		r.rancherLabel(item, name)
	}
	if v.Kind() == yamldoc.Mapping {
		for _, p := range v.Pairs() {
			r.rancherLabel(p.Value, p.Key)
		}
	}
}

func (r *reader) rancherLabel(v yamldoc.Value, label string) {
	if strings.HasPrefix(label, rancherLabel) {
		r.wrong(v, "label %q has no effect: use x-ros, depends_on and restart", label)
	}
}

func (r *reader) sysctls(s *Service, v yamldoc.Value) {
	s.Sysctls = map[string]string{}
	for _, e := range r.entries(v, nil) {
		s.Sysctls[e.name] = e.text
	}
}

// limitNames are the resource limits of setrlimit(2).
var limitNames = []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}

func (r *reader) ulimits(s *Service, v yamldoc.Value) {
	if v.Kind() != yamldoc.Mapping {
		r.wrong(v, "must be a mapping (nofile: 1024)")
		return
	}
	for _, p := range v.Pairs() {
		if !slices.Contains(limitNames, p.Key) {
			r.unknown(p, limitNames)
			continue
		}
		limit := Ulimit{Name: p.Key}
		before := len(r.faults)
		if p.Value.Kind() == yamldoc.Mapping {
			given := map[string]bool{}
			r.mapping(p.Value, map[string]func(yamldoc.Value){
				"soft": func(v yamldoc.Value) { limit.Soft, given["soft"] = r.limit(v), true },
				"hard": func(v yamldoc.Value) { limit.Hard, given["hard"] = r.limit(v), true },
			})
			if len(given) < 2 && len(r.faults) == before {
				r.wrong(p.Value, `needs both "soft" and "hard"`)
			}
		} else {
			limit.Soft = r.limit(p.Value)
			limit.Hard = limit.Soft
		}
		if limit.Hard != -1 && (limit.Soft > limit.Hard || limit.Soft == -1) && len(r.faults) == before {
			r.wrong(p.Value, "soft is more than hard")
		}
		s.Ulimits = append(s.Ulimits, limit)
	}
	slices.SortFunc(s.Ulimits, func(a, b Ulimit) int { return strings.Compare(a.Name, b.Name) })
}

func (r *reader) limit(v yamldoc.Value) int64 {
	n, _ := r.integer(v, -1, math.MaxInt64)
	return n
}

// leastMemory is less than what any container needs to start.
const leastMemory = 6 << 20

func (r *reader) memLimit(s *Service, v yamldoc.Value) {
	if n, ok := r.size(v, leastMemory); ok {
		same(r, v, &s.MemoryBytes, n)
	}
}

func (r *reader) pidsLimit(s *Service, v yamldoc.Value) {
	if n, ok := r.integer(v, -1, math.MaxInt32); ok {
		same(r, v, &s.PidsLimit, max(n, 0)) // -1 and 0: none
	}
}

func (r *reader) cpus(s *Service, v yamldoc.Value) {
	text, tag, ok := r.scalar(v, "a number of CPUs")
	if !ok {
		return
	}
	n, err := strconv.ParseFloat(text, 64)
	if tag == "!!int" { // 010 is eight
		var whole int64
		whole, err = v.Int()
		n = float64(whole)
	}
	if err != nil || !(n >= 0.01 && n <= 4096) {
		r.wrong(v, "%q must be a number of CPUs, at least 0.01", text)
		return
	}
	same(r, v, &s.CPUs, n)
}

func (r *reader) oomScoreAdj(s *Service, v yamldoc.Value) {
	n, _ := r.integer(v, -1000, 1000)
	s.OOMScoreAdj = int(n)
}

// same sets a limit that has two names in Compose.
func same[N int64 | float64](r *reader, v yamldoc.Value, field *N, n N) {
	if *field != 0 && *field != n {
		r.wrong(v, "%v contradicts the %v that stands above under another key", fmt.Sprint(n), fmt.Sprint(*field))
		return
	}
	*field = n
}

func (r *reader) pullPolicy(s *Service, v yamldoc.Value) {
	switch word, _ := r.oneOf(v, "always", "missing", "if_not_present", "never"); word {
	case "always", "never":
		s.PullPolicy = PullPolicy(word)
	}
}

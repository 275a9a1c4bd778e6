package compose

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/docker/go-units"
	"github.com/xhit/go-str2duration/v2"

	"github.com/rosteros/ros/internal/yamldoc"
)

// maxFaults is how many faults of one file are told.
const maxFaults = 100

// reader collects what is wrong with one file while it is read.
type reader struct {
	path     string
	home     string // where relative paths begin
	env      map[string]string
	files    Files              // those that the file may name; nil: none
	volumes  map[string]volume  // those at the top of the file
	defined  map[string]*object // "configs.NAME" and "secrets.NAME" at the top of the file
	project  string
	networks map[string]yamldoc.Value // listed under networks at the top of the file
	known    map[place]knownNetwork
	faults   []Fault
	broken   map[string]bool // services that have a fault; "": the file has

	// What the file takes from others.
	places     map[string]Place // nil: it is read as it stands there
	included   int              // line of include
	unresolved []Fault          // why it cannot be had

	// What is known of the service that is being read.
	service  string         // its name; faults found now are its
	resting  bool           // none of its profiles is switched on
	targets  map[string]int // its mount points and their lines
	envs     []envFile      // env_file
	labelled []envFile      // label_file
	from     []entry        // volumes_from
	linked   []entry        // links: service and alias
	mac      string         // mac_address
	shares   yamldoc.Value  // network_mode, when it names a service
	policy   *Restart       // deploy.restart_policy
}

// about says which service is read next; "": none.
func (r *reader) about(service string) {
	r.service, r.resting, r.targets = service, false, map[string]int{}
	r.envs, r.labelled, r.from, r.linked, r.mac, r.policy = nil, nil, nil, nil, "", nil
}

// add notes a fault that costs a service, or the whole file when it is "".
func (r *reader) add(service string, f yamldoc.Fault) {
	r.broken[service] = true
	switch {
	case r.full():
		return
	case len(r.faults) == maxFaults-1:
		f = yamldoc.Fault{Message: fmt.Sprintf("has %d faults or more; the rest is not shown", maxFaults)}
	}
	fault := Fault{File: r.path, Line: f.Line, Column: f.Column, Key: f.Path.String(), Service: service, Message: f.Message}
	r.locate(&fault, f.Path)
	r.faults = append(r.faults, fault)
}

func (r *reader) full() bool { return len(r.faults) >= maxFaults }

func (r *reader) fileFault(message string) { r.add("", yamldoc.Fault{Message: message}) }

// meant is the known word that is closest. It is not looked for once nobody
// would see it.
func (r *reader) meant(word string, known []string) string {
	if r.full() {
		return ""
	}
	return yamldoc.Nearest(word, known)
}

func (r *reader) wrong(v yamldoc.Value, format string, args ...any) {
	r.add(r.service, v.Fault(fmt.Sprintf(format, args...)))
}

// wrongKey is a fault about the key itself.
func (r *reader) wrongKey(p yamldoc.Pair, format string, args ...any) {
	f := p.Value.Fault(fmt.Sprintf(format, args...))
	f.Line, f.Column = p.Line, p.Column
	r.add(r.service, f)
}

// unknown is the fault of a key that does not exist.
func (r *reader) unknown(p yamldoc.Pair, known []string) {
	message := "unknown key"
	if meant := r.meant(p.Key, known); meant != "" {
		message += fmt.Sprintf(" (did you mean %q?)", meant)
	}
	r.wrongKey(p, "%s", message)
}

// mapping reads the entries of a mapping one by one with the functions given
// for them; a key without a function is a fault.
func (r *reader) mapping(v yamldoc.Value, keys map[string]func(yamldoc.Value)) {
	if v.Kind() != yamldoc.Mapping {
		r.wrong(v, "must be a mapping (key: value)")
		return
	}
	for _, p := range v.Pairs() {
		if strings.HasPrefix(p.Key, "x-") {
			continue // Compose: extensions are for whoever knows them
		}
		set, ok := keys[p.Key]
		if !ok {
			r.unknown(p, names(keys))
			continue
		}
		set(p.Value)
	}
}

func names[V any](table map[string]V) []string {
	list := make([]string, 0, len(table))
	for name := range table {
		list = append(list, name)
	}
	return list
}

// items are the entries of a list.
func (r *reader) items(v yamldoc.Value) []yamldoc.Value {
	if v.Kind() != yamldoc.List {
		r.wrong(v, "must be a list")
		return nil
	}
	return v.Items()
}

// scalar is a single value with its variables filled in and the tag it has
// then. A value with a variable is text, as in Compose.
func (r *reader) scalar(v yamldoc.Value, want string) (text, tag string, ok bool) {
	if v.Kind() != yamldoc.Scalar {
		r.wrong(v, "must be %s", want)
		return "", "", false
	}
	text, tag = v.Text(), v.Tag()
	if tag == "!!null" {
		r.wrong(v, "has no value: it must be %s", want)
		return "", "", false
	}
	if tag == "!!str" && strings.Contains(text, "$") {
		if text, ok = r.substitute(v, text); !ok {
			return "", "", false
		}
	}
	if strings.ContainsRune(text, 0) {
		r.wrong(v, "has a NUL character in it")
		return "", "", false
	}
	return text, tag, true
}

// substitute fills in variables.
func (r *reader) substitute(v yamldoc.Value, text string) (string, bool) {
	result, err := Fill(text, r.env)
	if err != nil {
		r.wrong(v, "%s", err)
		return "", false
	}
	return result, true
}

// Fill fills in variables as Compose writes them. Compose takes a variable that
// is not set for an empty string and says so in a warning; on a machine that
// nobody watches the service would start with half a command line, so here it
// is a fault.
func Fill(text string, env map[string]string) (string, error) {
	lookup := func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
	replace := func(part string, lookup template.Mapping, cfg *template.Config) (string, error) {
		value, set, err := template.DefaultReplacementAppliedFunc(part, lookup, cfg)
		if err == nil && !set {
			err = fmt.Errorf("variable %s is not set: write ${NAME:-value} for a default, or $$ for a dollar sign", part)
		}
		return value, err
	}
	result, err := template.SubstituteWithOptions(text, lookup, template.WithoutLogging, template.WithReplacementFunction(replace))
	if err != nil && strings.HasPrefix(err.Error(), "Invalid template") {
		err = fmt.Errorf("%q is no variable: write $$ for a dollar sign", text)
	}
	return result, err
}

// text is a value that must be text, as Compose wants it: 1000 without quotes
// is a number.
func (r *reader) text(v yamldoc.Value) (string, bool) {
	text, tag, ok := r.scalar(v, "text")
	if ok && tag != "!!str" {
		r.wrong(v, "must be text: write %q in quotes", text)
		return "", false
	}
	return text, ok
}

// word is text that cannot be empty.
func (r *reader) word(v yamldoc.Value) (string, bool) {
	text, ok := r.text(v)
	if ok && text == "" {
		r.wrong(v, "is empty")
		return "", false
	}
	return text, ok
}

// oneOf is a word out of a few.
func (r *reader) oneOf(v yamldoc.Value, allowed ...string) (string, bool) {
	text, ok := r.text(v)
	if !ok {
		return "", false
	}
	for _, word := range allowed {
		if text == word {
			return text, true
		}
	}
	r.wrong(v, "%q is not supported: it must be %s", text, either(allowed))
	return "", false
}

// either lists words for people: "a", "b" or "c".
func either(words []string) string {
	var b strings.Builder
	for i, word := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(word))
	}
	return b.String()
}

func (r *reader) boolean(v yamldoc.Value) (value, ok bool) {
	text, tag, ok := r.scalar(v, "true or false")
	if !ok {
		return false, false
	}
	switch word := strings.ToLower(text); {
	case tag != "!!bool" && tag != "!!str":
	case word == "true":
		return true, true
	case word == "false":
		return false, true
	}
	r.wrong(v, "%q must be true or false", text)
	return false, false
}

// integer is a whole number between two bounds, quotes allowed.
func (r *reader) integer(v yamldoc.Value, least, most int64) (int64, bool) {
	text, tag, ok := r.scalar(v, "a whole number")
	if !ok {
		return 0, false
	}
	var n int64
	err := strconv.ErrSyntax
	switch tag {
	case "!!int":
		n, err = v.Int()
	case "!!str":
		n, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		r.wrong(v, "%q must be a whole number", text)
		return 0, false
	}
	if n < least || n > most {
		if most == math.MaxInt64 {
			r.wrong(v, "%d is too small: it must be at least %d", n, least)
		} else {
			r.wrong(v, "%d must be between %d and %d", n, least, most)
		}
		return 0, false
	}
	return n, true
}

// size is a number of bytes: 1048576, "512k", "64m", "1gb".
func (r *reader) size(v yamldoc.Value, least int64) (int64, bool) {
	text, tag, ok := r.scalar(v, `a size like "64m"`)
	if !ok {
		return 0, false
	}
	var n int64
	err := strconv.ErrSyntax
	switch tag {
	case "!!int":
		n, err = v.Int()
	case "!!str":
		n, err = parseSize(text)
	}
	if err != nil || n < 0 {
		r.wrong(v, "%q must be a size like \"64m\"", text)
		return 0, false
	}
	if n < least {
		r.wrong(v, "%q is too small: it must be at least %s", text, units.BytesSize(float64(least)))
		return 0, false
	}
	return n, true
}

func parseSize(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	// RAMInBytes takes 1e30g for a size and lets the conversion overflow.
	n, err := units.RAMInBytes(text)
	if err == nil && n < 0 {
		err = strconv.ErrRange
	}
	return n, err
}

// duration is a time like "1m30s". Compose wants text here, so that 90 is not
// taken for seconds by one program and for nanoseconds by the next.
func (r *reader) duration(v yamldoc.Value, least time.Duration) (time.Duration, bool) {
	text, tag, ok := r.scalar(v, `a time like "30s"`)
	if !ok {
		return 0, false
	}
	var d time.Duration
	err := strconv.ErrSyntax
	if tag == "!!str" {
		d, err = str2duration.ParseDuration(text)
	}
	if err != nil {
		r.wrong(v, "%q must be a time like \"30s\"", text)
		return 0, false
	}
	if d < least {
		r.wrong(v, "%q is too short: it must be at least %v", text, least)
		return 0, false
	}
	return d, true
}

// entry is a name with its text, of environment, labels or sysctls.
type entry struct {
	name, text string
	value      yamldoc.Value
}

// entries reads what Compose lets you write as a mapping or as a list of
// NAME=VALUE. lookup, if not nil, knows the values of names that have none here.
func (r *reader) entries(v yamldoc.Value, lookup func(string) (string, bool)) []entry {
	var list []entry
	known := func(name string) (text string, ok bool) {
		if lookup != nil {
			text, ok = lookup(name)
		}
		return text, ok
	}
	switch v.Kind() {
	case yamldoc.Mapping:
		for _, p := range v.Pairs() {
			if strings.HasPrefix(p.Key, "x-") {
				r.wrongKey(p, "Compose takes this for an extension: write all of them as a list (- NAME=value)")
				continue
			}
			if text, ok := known(p.Key); ok && p.Value.Tag() == "!!null" {
				list = append(list, entry{p.Key, text, p.Value})
				continue
			}
			if text, ok := r.anyText(p.Value); ok {
				list = append(list, entry{p.Key, text, p.Value})
			}
		}
	case yamldoc.List:
		seen := map[string]bool{}
		for _, item := range v.Items() {
			text, ok := r.text(item)
			if !ok {
				continue
			}
			name, value, ok := strings.Cut(text, "=")
			if !ok {
				value, ok = known(name)
			}
			switch {
			case !ok:
				r.wrong(item, "%q has no value: write %s=VALUE", text, name)
			case seen[name]:
				r.wrong(item, "%q is given twice", name)
			default:
				seen[name] = true
				list = append(list, entry{name, value, item})
			}
		}
	default:
		r.wrong(v, "must be a mapping (NAME: value) or a list (- NAME=value)")
	}
	for _, e := range list {
		if e.name == "" || strings.ContainsAny(e.name, "= \t\r\n") || strings.ContainsRune(e.name, 0) {
			r.wrong(e.value, "%q cannot be a name", e.name)
		}
	}
	return list
}

// anyText is text that may be written as a number or a bool, as long as YAML
// does not read anything else out of it than what is there.
func (r *reader) anyText(v yamldoc.Value) (string, bool) {
	text, tag, ok := r.scalar(v, `text ("" for empty text)`)
	if !ok {
		return "", false
	}
	same := true
	switch tag {
	case "!!str":
	case "!!bool":
		same = text == "true" || text == "false"
	case "!!int":
		n, err := v.Int()
		same = err == nil && strconv.FormatInt(n, 10) == text
	case "!!float":
		f, err := strconv.ParseFloat(text, 64)
		same = err == nil && fmt.Sprint(f) == text
	default:
		same = false
	}
	if !same {
		r.wrong(v, "YAML reads %s as something else: write %q in quotes", text, text)
		return "", false
	}
	return text, true
}

// texts is a list of texts, each of them once.
func (r *reader) texts(v yamldoc.Value, unique bool) []string {
	list := []string{}
	seen := map[string]bool{}
	for _, item := range r.items(v) {
		text, ok := r.text(item)
		if !ok {
			continue
		}
		if unique && seen[text] {
			r.wrong(item, "%q is given twice", text)
			continue
		}
		seen[text] = true
		list = append(list, text)
	}
	return list
}

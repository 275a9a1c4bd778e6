package loader

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/yamldoc"
)

// checker collects what is wrong with one file.
type checker struct {
	path   string
	remote bool
	root   yamldoc.Value
	faults []compose.Fault
	ours   []string // services of scope user
}

func (c *checker) add(f yamldoc.Fault) {
	service := ""
	if len(f.Path) >= 2 && f.Path[0] == "services" && slices.Contains(c.ours, f.Path[1]) {
		service = f.Path[1]
	}
	c.faults = append(c.faults, compose.Fault{
		File: c.path, Line: f.Line, Column: f.Column, Key: f.Path.String(), Service: service, Message: f.Message,
	})
}

// check finds keys that do not exist and keys that have no meaning here.
func (c *checker) check(stubs []compose.Service) {
	for _, s := range stubs {
		c.ours = append(c.ours, s.Name)
	}
	s, err := top()
	if err != nil {
		c.add(yamldoc.Fault{Message: err.Error()})
		return
	}
	c.walk(s, c.root, "")
	slices.SortStableFunc(c.faults, func(a, b compose.Fault) int { return a.Line - b.Line })
}

// walk compares a value with its shape. path is that of refused.
func (c *checker) walk(s shape, v yamldoc.Value, path string) {
	at := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch v.Kind() {
	case yamldoc.List:
		for _, item := range v.Items() {
			c.walk(s.items(), item, path)
		}
	case yamldoc.Mapping:
		keys := s.keys()
		values, named := s.named()
		for _, p := range v.Pairs() {
			if strings.HasPrefix(p.Key, "x-") || path == "services" && !slices.Contains(c.ours, p.Key) {
				continue
			}
			below, known := keys[p.Key]
			switch {
			case known:
				if !c.unfit(p, at(p.Key)) {
					c.walk(below, p.Value, at(p.Key))
				}
			case named:
				c.walk(values, p.Value, at("NAME"))
			case len(keys) > 0:
				c.unknown(p, keys)
			}
		}
	}
}

// unfit says whether a key has no meaning here.
func (c *checker) unfit(p yamldoc.Pair, path string) bool {
	why, no := refused[path]
	if !no && c.remote && beside[path] {
		why, no = compose.Alone, true
	}
	// "external: false" says nothing.
	if !no || strings.HasSuffix(path, ".external") && p.Value.Text() == "false" {
		return false
	}
	f := p.Value.Fault(fmt.Sprintf("is not supported in scope %q: %s", compose.ScopeUser, why))
	f.Line, f.Column = p.Line, p.Column
	c.add(f)
	return true
}

func (c *checker) unknown(p yamldoc.Pair, keys map[string]shape) {
	var known []string
	for name := range keys {
		known = append(known, name)
	}
	slices.Sort(known)
	f := p.Value.Fault(unknownKey(p.Key, known))
	f.Line, f.Column = p.Line, p.Column
	c.add(f)
}

// unknownKey is what is wrong with a key that does not exist.
func unknownKey(key string, known []string) string {
	if meant := yamldoc.Nearest(key, known); meant != "" {
		return fmt.Sprintf("unknown key (did you mean %q?)", meant)
	}
	return "unknown key"
}

// wrong is a fault at the place that a path leads to, or as near to it as the
// file goes.
func (c *checker) wrong(path yamldoc.Path, format string, args ...any) {
	line, column, _ := c.find(path)
	c.add(yamldoc.Fault{Line: line, Column: column, Path: path, Message: fmt.Sprintf(format, args...)})
}

// find is where a path leads, or as near to it as the file goes; a part of it
// that is a number may be the place in a list.
func (c *checker) find(path yamldoc.Path) (line, column int, whole bool) {
	v := c.root
	for _, part := range path {
		next, found := yamldoc.Value{}, false
		switch v.Kind() {
		case yamldoc.Mapping:
			for _, p := range v.Pairs() {
				if p.Key == part {
					line, column, next, found = p.Line, p.Column, p.Value, true
				}
			}
		case yamldoc.List:
			items := v.Items()
			if n, err := strconv.Atoi(part); err == nil && n < len(items) {
				next, found = items[n], true
				f := next.Fault("")
				line, column = f.Line, f.Column
			}
		}
		if !found {
			return line, column, false
		}
		v = next
	}
	return line, column, true
}

var (
	pathInText    = regexp.MustCompile(`\b(services|networks|volumes|configs|secrets)\.([A-Za-z0-9_.-]*[A-Za-z0-9_-])`)
	serviceInText = regexp.MustCompile(`service "?([A-Za-z0-9_.-]+)"?`)
	noise         = regexp.MustCompile(`^(validating [^ ]+: |invalid compose project: |invalid interpolation format for [^ ]+\.?\s*|error while interpolating [^ ]+: )+`)
)

// explain makes an error of compose-go, which names no line, a fault.
func (c *checker) explain(err error) {
	path, message := explained(err)
	c.wrong(path, "%s", message)
}

// explained is what an error of compose-go says, and of what.
func explained(err error) (path yamldoc.Path, message string) {
	message = err.Error()
	if m := pathInText.FindStringSubmatch(message); m != nil {
		path = append(yamldoc.Path{m[1]}, strings.Split(m[2], ".")...)
		message = strings.TrimPrefix(strings.TrimPrefix(noise.ReplaceAllString(message, ""), m[0]), " ")
	} else if m := serviceInText.FindStringSubmatch(message); m != nil {
		path = yamldoc.Path{"services", m[1]}
		message = noise.ReplaceAllString(message, "")
	}
	message = strings.TrimLeft(strings.TrimPrefix(message, ":"), " ")
	return path, strings.Join(strings.Fields(message), " ")
}

// Package yamldoc reads a file that holds one YAML document written by a
// person, and knows where everything in it stands.
//
// It owns what is the same for every such file: its size, its encoding, syntax
// errors with their line, keys given twice, keys that are not text, aliases
// that expand without end. What the keys mean is for the packages that call
// it, compose and config; they also decide what a fault costs.
//
// Reading never panics and takes time in proportion to the size of the file,
// whatever is in it.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// MaxSize is the largest file that is read.
const MaxSize = 1 << 20

// maxVisits bounds how many values of one document are looked at. A file of
// MaxSize without aliases stays far below it.
const maxVisits = 500_000

// Fault is something wrong at one place of a document.
type Fault struct {
	Line, Column int // from 1; 0: the whole file
	Path         Path
	Message      string
}

// Path leads from the root of a document to a value: keys, and "[0]" for the
// entries of lists.
type Path []string

// String is the path as people write it: services.ntp.volumes[0].
func (p Path) String() string {
	var b strings.Builder
	for i, part := range p {
		if i > 0 && !strings.HasPrefix(part, "[") {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}

func (p Path) with(part string) Path {
	return append(p[:len(p):len(p)], part)
}

// Read returns the content of a regular file of at most MaxSize bytes.
func Read(path string) ([]byte, error) {
	// A FIFO or a device with the right name must not hold up a boot, so look
	// before opening.
	info, err := os.Stat(path)
	if err != nil {
		return nil, plain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, plain(err)
	}
	if len(data) > MaxSize {
		return nil, errTooLarge
	}
	return data, nil
}

var errTooLarge = errors.New("is larger than 1 MiB")

// plain leaves out the path of a file error: whoever reports it says which
// file it was.
func plain(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return fmt.Errorf("cannot %s it: %w", pathErr.Op, pathErr.Err)
	}
	return err
}

// Document is one parsed YAML document whose root is a mapping.
type Document struct {
	root   *yaml.Node
	visits int
}

// Parse reads a document. A nil document comes with one fault, that of the
// file; else the faults are keys that stand twice or are not text and tags we
// do not know, wherever in the document they are.
func Parse(data []byte) (*Document, []Fault) {
	if fault, bad := unreadable(data); bad {
		return nil, []Fault{fault}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, []Fault{{Message: "is empty"}}
	case err != nil:
		return nil, []Fault{syntaxFault(data, err)}
	case len(doc.Content) == 0:
		return nil, []Fault{{Message: "is empty"}}
	}
	switch err := decoder.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, []Fault{syntaxFault(data, err)}
	default:
		return nil, []Fault{{Line: next.Line, Column: next.Column,
			Message: `has more than one YAML document ("---"): write one file for each`}}
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		if root.ShortTag() == "!!null" {
			return nil, []Fault{{Message: "is empty"}}
		}
		return nil, []Fault{{Line: root.Line, Column: root.Column, Message: `must be a mapping ("key: value" on its first line)`}}
	}
	return &Document{root: root}, check(root, nil, nil)
}

// unreadable finds what would only confuse the YAML parser, or a reader of
// its message.
func unreadable(data []byte) (Fault, bool) {
	if len(data) > MaxSize {
		return Fault{Message: errTooLarge.Error()}, true
	}
	if i := bytes.IndexByte(data, 0); i >= 0 || !utf8.Valid(data) {
		return Fault{Message: "is not text (YAML in UTF-8)"}, true
	}
	return Fault{}, false
}

// The YAML package keeps the types of its syntax errors to itself, so the
// place has to come out of the text: "yaml: while scanning a plain scalar at
// line 1, column 4: line 2: found a tab character …".
var (
	syntaxPlace = regexp.MustCompile(`^(?:.*: |while .* at )?line (\d+)(?:, column (\d+))?: (.*)$`)
	readerPlace = regexp.MustCompile(`^offset (\d+): (.*)$`)
)

func syntaxFault(data []byte, err error) Fault {
	text := strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "yaml: ")
	if m := syntaxPlace.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		column, _ := strconv.Atoi(m[2])
		message := m[3]
		if indentedWithTab(data, line) {
			message = "a tab in the indentation, where only spaces may be"
		}
		return Fault{Line: line, Column: column, Message: "is not valid YAML: " + message}
	}
	if m := readerPlace.FindStringSubmatch(text); m != nil {
		return Fault{Message: "is not valid YAML: " + m[2] + " (at byte " + m[1] + ")"}
	}
	return Fault{Message: "is not valid YAML: " + text}
}

func indentedWithTab(data []byte, line int) bool {
	lines := bytes.SplitN(data, []byte("\n"), line+1)
	if line < 1 || line > len(lines) {
		return false
	}
	text := lines[line-1]
	return bytes.IndexByte(text[:len(text)-len(bytes.TrimLeft(text, " \t"))], '\t') >= 0
}

// maxDepth is how deep a document may be nested. Nothing we read comes close.
const maxDepth = 50

// check walks the document as written, without following aliases. path is
// shared between the calls, so a fault takes a copy.
func check(n *yaml.Node, path Path, faults []Fault) []Fault {
	wrong := func(n *yaml.Node, path Path, format string, args ...any) {
		faults = append(faults, Fault{n.Line, n.Column, slices.Clone(path), fmt.Sprintf(format, args...)})
	}
	if len(faults) >= 100 {
		return faults // enough to mend in one sitting
	}
	if len(path) > maxDepth {
		wrong(n, path, "is nested deeper than %d levels", maxDepth)
		return faults
	}
	if tag := n.Tag; strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") {
		wrong(n, path, "tag %q has no meaning here", tag)
	}
	switch n.Kind {
	case yaml.MappingNode:
		first := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Kind != yaml.ScalarNode {
				wrong(key, path, "a key must be text")
				continue
			}
			name, tag := key.Value, key.ShortTag()
			here := append(path, name)
			if tag != "!!str" && tag != "!!merge" {
				wrong(key, here, "a key must be text: write %q in quotes", name)
			}
			if tag == "!!merge" && !mergeable(value) {
				wrong(key, here, "must be an alias of a mapping, or a list of them")
			}
			if line, twice := first[name]; twice {
				wrong(key, here, "is given twice, first on line %d", line)
			} else {
				first[name] = key.Line
			}
			faults = check(value, here, faults)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			faults = check(item, append(path, "["+strconv.Itoa(i)+"]"), faults)
		}
	}
	return faults
}

// mergeable says whether a value may stand behind a merge key.
func mergeable(n *yaml.Node) bool {
	n = follow(n)
	if n.Kind != yaml.SequenceNode {
		return n.Kind == yaml.MappingNode
	}
	return !slices.ContainsFunc(n.Content, func(item *yaml.Node) bool { return follow(item).Kind != yaml.MappingNode })
}

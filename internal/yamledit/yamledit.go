// Package yamledit changes single values of a YAML file that a person wrote and
// leaves the rest of it as it is, byte for byte: comments, blank lines, the
// order of the keys, indentation, quotes, line ends.
//
// It owns where a value begins and ends in the text and how a new one is
// written there. What the keys mean, and whether a value is right, is not its
// business. Every result is read again before it is returned: when it is not
// the old document with just that change, there is an error instead of a
// damaged file.
package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Set gives a key a value, which is YAML. Mappings on the way to the key are
// made when they are missing. A key that is there keeps its place and, if both
// are texts, its quotes; a new one goes to the end of its mapping. A text that
// says so already is returned as it is.
func Set(text []byte, key []string, value []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, errors.New("no key is given")
	}
	v, err := parseValue(value)
	if err != nil {
		return nil, err
	}
	unflow(v, false)
	return edit(text, func(d *document) error {
		return d.set(d.root, key, 0, v)
	}, func(old, now *yaml.Node) bool {
		return changedAt(old, now, key, func(now *yaml.Node) bool { return same(v, now) })
	})
}

// Unset removes a key, and the mappings above it that would be left empty. A
// text without the key is returned as it is. Comments above the key stay.
func Unset(text []byte, key []string) ([]byte, error) {
	if len(key) == 0 {
		return nil, errors.New("no key is given")
	}
	var gone []string // the key, or the mapping above it that goes with it
	return edit(text, func(d *document) (err error) {
		gone, err = d.unset(key)
		return err
	}, func(old, now *yaml.Node) bool {
		return gone == nil && same(old, now) || gone != nil && changedAt(old, now, gone, nil)
	})
}

// Merge adds what the document other says: mappings merge, a list or a single
// value replaces what is there, a null says nothing. A text that is empty
// becomes other, comments and all; else the comments of other do not come
// along.
func Merge(text, other []byte) ([]byte, error) {
	more, err := parse(other)
	if err != nil {
		return nil, fmt.Errorf("cannot read what is to be merged: %w", err)
	}
	if more.root == nil {
		return text, nil
	}
	if len(more.faults) > 0 {
		return nil, fmt.Errorf("cannot merge: %w", placed(more.faults[0]))
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return other, nil
	}
	budget := maxValues
	tree, err := resolve(more.root, &budget)
	if err != nil {
		return nil, err
	}
	return edit(text, func(d *document) error {
		return d.merge(d.root, tree, nil)
	}, func(old, now *yaml.Node) bool { return merged(old, now, tree) })
}

// edit plans changes of a text, makes them and holds the result against what
// is wanted.
func edit(text []byte, plan func(*document) error, right func(old, now *yaml.Node) bool) ([]byte, error) {
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	// A new key goes to the end of its mapping. Where that cannot be (behind a
	// block of text whose last line lacks its line end) it goes to the beginning.
	for _, d.front = range []bool{false, true} {
		d.changes = nil
		if err := plan(d); err != nil {
			return nil, err
		}
		out, ok := d.apply()
		if !ok {
			continue
		}
		if now, err := parse(out); err == nil && right(d.root, now.root) {
			return out, nil
		}
	}
	return nil, errors.New("the file is written in a way that cannot be changed safely: edit it by hand")
}

// document is a text and what stands where in it.
type document struct {
	bom    []byte
	text   []byte
	lines  []int      // where each line begins
	root   *yaml.Node // a mapping; nil: nothing but comments
	faults []yamldoc.Fault
	eol    string
	layout layout

	front   bool // new keys go to the beginning of their mapping
	changes []change
}

// change puts text where from to to was.
type change struct {
	from, to int
	text     string
}

var byteOrderMark = []byte("\ufeff")

func parse(text []byte) (*document, error) {
	d := &document{text: text, eol: "\n"}
	if rest, ok := bytes.CutPrefix(text, byteOrderMark); ok {
		d.bom, d.text = byteOrderMark, rest
	}
	d.lines = lineStarts(d.text)
	if i := bytes.IndexByte(d.text, '\n'); i > 0 && d.text[i-1] == '\r' {
		d.eol = "\r\n"
	}
	doc, faults := yamldoc.Parse(text)
	if doc == nil {
		if faults[0].Message == "is empty" {
			d.layout = layout{step: 2, dash: 2}
			return d, nil
		}
		return nil, placed(faults[0])
	}
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	d.root, d.faults = file.Content[0], faults
	d.layout = layoutOf(d.root)
	return d, nil
}

func placed(f yamldoc.Fault) error {
	text := f.Message
	if len(f.Path) > 0 {
		text = f.Path.String() + ": " + text
	}
	if f.Line == 0 {
		return errors.New(text)
	}
	return fmt.Errorf("line %d: %s", f.Line, text)
}

// maxValues is how many values one change may consist of, aliases followed.
const maxValues = 100_000

// parseValue reads a value as it is given on a command line.
func parseValue(text []byte) (*yaml.Node, error) {
	if len(text) > yamldoc.MaxSize {
		return nil, errors.New("the value is larger than 1 MiB")
	}
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("the value is not valid YAML (put it in quotes?): %s", reason(err))
	}
	if len(file.Content) == 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
	budget := maxValues
	return resolve(file.Content[0], &budget)
}

// reason is what a syntax error says behind its places: there is but one line.
func reason(err error) string {
	text := strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "yaml: ")
	if i := strings.LastIndex(text, "line "); i >= 0 {
		if _, why, ok := strings.Cut(text[i:], ": "); ok {
			return why
		}
	}
	return text
}

// resolve copies a value with its aliases written out.
func resolve(n *yaml.Node, budget *int) (*yaml.Node, error) {
	if *budget--; *budget < 0 {
		return nil, errors.New("the value has aliases that expand to more than a file can hold")
	}
	if n.Kind == yaml.AliasNode {
		return resolve(n.Alias, budget)
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value}
	for _, child := range n.Content {
		copied, err := resolve(child, budget)
		if err != nil {
			return nil, err
		}
		c.Content = append(c.Content, copied)
	}
	return c, nil
}

// unflow lays out a value from a command line, where lists can only be written
// as [a, b], as people write it in files: a line for each entry. Lists in
// lists, such as mounts, stay on one line.
func unflow(n *yaml.Node, inList bool) {
	list := n.Kind == yaml.SequenceNode
	if !list || !inList {
		n.Style &^= yaml.FlowStyle
	}
	for _, child := range n.Content {
		unflow(child, list)
	}
}

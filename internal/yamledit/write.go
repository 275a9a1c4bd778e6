package yamledit

import (
	"bytes"

	"go.yaml.in/yaml/v4"
)

// add plans a new pair.
func (d *document) add(m *yaml.Node, name string, v *yaml.Node, flow bool) {
	switch {
	case m == nil:
		d.insertLines(len(d.text), d.layout.pair(text(name), v, 0))
	case flow || m.Style&yaml.FlowStyle != 0:
		d.addInline(m, name, v)
	default:
		d.addLines(m, name, v)
	}
}

func (d *document) addLines(m *yaml.Node, name string, v *yaml.Node) {
	col := d.column(m)
	lines := d.layout.pair(text(name), v, col)
	if d.front {
		d.insertLines(d.lineStart(d.start(m.Content[0])), lines)
		return
	}
	last := m.Content[len(m.Content)-1]
	d.insertLines(d.pastComments(d.nextLine(d.end(last, col)), col), lines)
}

func (d *document) addInline(m *yaml.Node, name string, v *yaml.Node) {
	pair := inline(text(name), true) + ": " + inline(v, true)
	if len(m.Content) == 0 {
		at, _ := d.body(m)
		end := d.end(m, 0)
		if m == d.root { // {} and nothing else
			d.replace(at, end, joined(d.layout.pair(text(name), v, 0), d.eol))
			return
		}
		d.replace(at, end, "{"+pair+"}")
		return
	}
	if d.front {
		d.replace(d.start(m.Content[0]), d.start(m.Content[0]), pair+", ")
		return
	}
	gap := " "
	first := m.Content[len(m.Content)-2]
	if line := d.text[d.lineStart(d.start(first)):d.start(first)]; len(bytes.TrimLeft(line, " \t")) == 0 {
		gap = d.eol + string(line)
	}
	at := d.end(m.Content[len(m.Content)-1], 0)
	if comma := d.skip(at); comma < len(d.text) && d.text[comma] == ',' {
		d.replace(comma+1, comma+1, gap+pair)
		return
	}
	d.replace(at, at, ","+gap+pair)
}

// revalue plans another value for a pair.
func (d *document) revalue(m *yaml.Node, pair int, v *yaml.Node, flow bool) error {
	key, old := m.Content[pair], m.Content[pair+1]
	col := d.column(m)
	colon := d.skipBlanks(d.end(key, col))
	has := colon < len(d.text) && d.text[colon] == ':'
	switch {
	case has:
		colon++
	case flow && empty(old): // {key}
		d.replace(colon, colon, ": "+inline(v, true))
		return nil
	default:
		return errExplicit(key)
	}
	v = d.styled(old, v)
	start, end := d.start(old), d.end(old, col)
	if _, some := d.body(old); !some && end <= start {
		start, end = colon, colon
	}
	later := d.line(start) != d.line(colon)
	if flow || inlined(v) {
		d.revalueInline(colon, start, end, inline(v, flow), later)
		return nil
	}
	head, lines := d.layout.below(v, col)
	switch {
	case later:
		d.replace(colon, colon, head)
		d.replaceLines(d.nextLine(colon), d.nextLine(end), lines)
	case d.line(end) == d.line(colon):
		d.replace(colon, end, head)
		d.insertLines(d.nextLine(end), lines)
	default:
		d.replace(colon, d.lineEnd(end), head+d.eol+joined(lines, d.eol))
	}
	return nil
}

func (d *document) revalueInline(colon, start, end int, value string, later bool) {
	if value != "" && (later || start == colon) {
		value = " " + value
	}
	if !later {
		d.replace(start, end, value)
		return
	}
	d.replace(colon, colon, value)
	if rest := d.skipBlanks(end); rest < len(d.text) && breakAt(d.text, rest) == 0 && d.text[rest] != '#' {
		d.replace(d.lineEnd(colon), rest, "") // within {}: what follows stays
		return
	}
	d.replace(d.nextLine(colon), d.nextLine(end), "")
}

// styled gives a new value the looks of the old one.
func (d *document) styled(old, v *yaml.Node) *yaml.Node {
	c := *v
	const quotes = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle
	switch {
	case old.Kind == yaml.ScalarNode && v.Kind == yaml.ScalarNode && v.ShortTag() == "!!str" && v.Style&quotes == 0:
		c.Style |= old.Style & quotes
	case old.Kind == v.Kind && len(old.Content) > 0:
		c.Style = c.Style&^yaml.FlowStyle | old.Style&yaml.FlowStyle
	}
	return &c
}

// removeLines plans that a pair which has lines of its own is gone, with the
// comments below it that are indented further than its key.
func (d *document) removeLines(m *yaml.Node, pair int) {
	col := d.column(m)
	from := d.lineStart(d.start(m.Content[pair]))
	to := d.pastComments(d.nextLine(d.end(m.Content[pair+1], col)), col+1)
	d.replace(from, to, "")
}

// removeInline does the same within {}.
func (d *document) removeInline(m *yaml.Node, pair int) {
	switch end := d.end(m.Content[pair+1], 0); {
	case len(m.Content) == 2:
		d.replace(d.start(m.Content[0]), end, "")
	case pair == 0:
		d.replace(d.start(m.Content[0]), d.start(m.Content[2]), "")
	default:
		before := d.end(m.Content[pair-1], 0)
		d.replace(before, end, "")
	}
}

func (d *document) skipBlanks(at int) int {
	for at < len(d.text) && isBlank(d.text[at]) {
		at++
	}
	return at
}

package yamledit

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// layout is how a file is indented.
type layout struct {
	step int // of a mapping in a mapping
	dash int // of a list in a mapping
}

// layoutOf takes the layout from the first examples in a file.
func layoutOf(root *yaml.Node) layout {
	l := layout{}
	l.learn(root)
	if l.step < 1 || l.step > 8 {
		l.step = 2
	}
	if l.dash < 1 || l.dash > 9 {
		l.dash = l.step + 1
	}
	l.dash--
	return l
}

// learn looks for the first mapping and the first list in a mapping. Until it
// is done dash is one more than it is, so that 0 means not known.
func (l *layout) learn(m *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		v := m.Content[i+1]
		if v.Style&yaml.FlowStyle != 0 || v.Line <= m.Content[i].Line || len(v.Content) == 0 {
			continue
		}
		indent := v.Column - m.Content[i].Column
		switch {
		case v.Kind == yaml.MappingNode:
			if l.step == 0 {
				l.step = indent
			}
			l.learn(v)
		case v.Kind == yaml.SequenceNode && l.dash == 0:
			l.dash = indent + 1
		}
		if l.step != 0 && l.dash != 0 {
			return
		}
	}
}

// pair is a key with its value, its key in column col.
func (l layout) pair(key, v *yaml.Node, col int) []string {
	head := spaces(col) + inline(key, false) + ":"
	if inlined(v) {
		if value := inline(v, false); value != "" {
			head += " " + value
		}
		return []string{head}
	}
	more, lines := l.below(v, col)
	return append([]string{head + more}, lines...)
}

// below is a value on the lines below its key, and what stands behind the key.
func (l layout) below(v *yaml.Node, col int) (head string, lines []string) {
	switch v.Kind {
	case yaml.MappingNode:
		return "", l.pairs(v, col+l.step)
	case yaml.SequenceNode:
		return "", l.items(v.Content, col+l.dash)
	}
	return blockText(v.Value, col+l.step)
}

func (l layout) pairs(m *yaml.Node, col int) []string {
	var lines []string
	for i := 0; i+1 < len(m.Content); i += 2 {
		lines = append(lines, l.pair(m.Content[i], m.Content[i+1], col)...)
	}
	return lines
}

func (l layout) items(items []*yaml.Node, col int) []string {
	var lines []string
	for _, v := range items {
		switch dash := spaces(col) + "-"; {
		case inlined(v):
			lines = append(lines, strings.TrimRight(dash+" "+inline(v, false), " "))
		case v.Kind == yaml.ScalarNode:
			head, body := blockText(v.Value, col+2)
			lines = append(append(lines, dash+head), body...)
		default:
			var inner []string
			if v.Kind == yaml.MappingNode {
				inner = l.pairs(v, col+2)
			} else {
				inner = l.items(v.Content, col+2)
			}
			inner[0] = dash + " " + strings.TrimPrefix(inner[0], spaces(col+2))
			lines = append(lines, inner...)
		}
	}
	return lines
}

// blockText is a text of several lines, as it is.
func blockText(s string, col int) (head string, lines []string) {
	body := strings.TrimRight(s, "\n")
	switch breaks := len(s) - len(body); {
	case breaks == 0:
		head = " |-"
	case breaks == 1:
		head = " |"
	default:
		head, body = " |+", s[:len(s)-1]
	}
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			line = spaces(col) + line
		}
		lines = append(lines, line)
	}
	return head, lines
}

// inlined says whether a value is written on the line of its key.
func inlined(v *yaml.Node) bool {
	if v.Kind != yaml.ScalarNode {
		return len(v.Content) == 0 || v.Style&yaml.FlowStyle != 0
	}
	return !asBlockText(v)
}

// asBlockText says whether a text has several lines and nothing that a block
// of text cannot hold.
func asBlockText(v *yaml.Node) bool {
	s := v.Value
	if v.ShortTag() != "!!str" || !strings.Contains(s, "\n") || strings.ContainsAny(s[:1], " \t\n") {
		return false
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && !printable(r) {
			return false
		}
	}
	return true
}

func printable(r rune) bool {
	return unicode.IsPrint(r) && r != utf8.RuneError && r != '\ufeff'
}

// inline is a value on one line. flow: within {} or [].
func inline(v *yaml.Node, flow bool) string {
	switch v.Kind {
	case yaml.SequenceNode:
		var items []string
		for _, item := range v.Content {
			items = append(items, orNull(inline(item, true)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case yaml.MappingNode:
		var pairs []string
		for i := 0; i+1 < len(v.Content); i += 2 {
			pairs = append(pairs, inline(v.Content[i], true)+": "+orNull(inline(v.Content[i+1], true)))
		}
		return "{" + strings.Join(pairs, ", ") + "}"
	case yaml.AliasNode:
		return "*" + v.Value
	}
	return scalar(v, flow)
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// scalar writes a single value the way it was written, else without quotes,
// else with double ones: the first that reads as the same value.
func scalar(v *yaml.Node, flow bool) string {
	tag := v.ShortTag()
	if tag == "!!null" && v.Value == "" {
		return "null"
	}
	double := doubleQuoted(v.Value)
	tries := []string{v.Value, double, tag + " " + v.Value, tag + " " + double}
	switch {
	case v.Style&yaml.DoubleQuotedStyle != 0:
		tries = append([]string{double}, tries...)
	case v.Style&yaml.SingleQuotedStyle != 0:
		tries = append([]string{"'" + strings.ReplaceAll(v.Value, "'", "''") + "'"}, tries...)
	}
	for _, try := range tries {
		if reads(try, v, flow) {
			return try
		}
	}
	return double // the check of the result refuses it
}

// reads says whether a text on one line is read as the value v.
func reads(try string, v *yaml.Node, flow bool) bool {
	if try == "" || strings.ContainsAny(try, "\n\r\u0085\u2028\u2029") {
		return false
	}
	text := "k: " + try
	if flow {
		text = "{k: " + try + ", " + try + ": v}"
	}
	var file yaml.Node
	if yaml.Unmarshal([]byte(text), &file) != nil || len(file.Content) != 1 {
		return false
	}
	m := file.Content[0]
	return m.Kind == yaml.MappingNode && len(m.Content) >= 2 && same(m.Content[1], v) &&
		m.Content[1].LineComment == "" && m.Content[1].Anchor == "" && (!flow || len(m.Content) == 4 && same(m.Content[2], v))
}

func doubleQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case printable(r) || r == ' ':
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func spaces(n int) string { return strings.Repeat(" ", n) }

func joined(lines []string, eol string) string { return strings.Join(lines, eol) }

package yamledit

import (
	"bytes"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// The YAML package says where a value begins. Where it ends has to be found in
// the text. What is found need not be right for every text there is: the check
// of the result decides.

// lineStarts finds where lines begin, by what YAML calls a line break.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i := 0; i < len(text); {
		n := breakAt(text, i)
		if n == 0 {
			i++
			continue
		}
		i += n
		starts = append(starts, i)
	}
	return starts
}

// breakAt is the length of the line break at i, 0 if there is none.
func breakAt(text []byte, i int) int {
	rest := text[i:]
	switch {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return 2
	case len(rest) > 0 && isBreak(rest[0]):
		return 1
	case bytes.HasPrefix(rest, []byte("\u0085")):
		return 2
	case bytes.HasPrefix(rest, []byte("\u2028")), bytes.HasPrefix(rest, []byte("\u2029")):
		return 3
	}
	return 0
}

func isBreak(c byte) bool { return c == '\n' || c == '\r' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// start is where a value, or the anchor or tag before it, begins.
func (d *document) start(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(d.lines) {
		return len(d.text)
	}
	at := d.lines[n.Line-1]
	for col := 1; col < n.Column && at < len(d.text); col++ {
		_, size := utf8.DecodeRune(d.text[at:])
		at += size
	}
	return at
}

// body is where the value itself begins, and whether there is anything.
func (d *document) body(n *yaml.Node) (at int, some bool) {
	at = d.start(n)
	for at < len(d.text) && (d.text[at] == '&' || d.text[at] == '!') {
		at = d.wordEnd(at)
		if next := d.skip(at); next < len(d.text) && !empty(n) {
			at = next
		}
	}
	return at, !empty(n)
}

// wordEnd is the end of an anchor, a tag or an alias.
func (d *document) wordEnd(at int) int {
	for at < len(d.text) && !isBlank(d.text[at]) && breakAt(d.text, at) == 0 && bytes.IndexByte([]byte(",[]{}"), d.text[at]) < 0 {
		at++
	}
	return at
}

// empty says whether a value has no text at all, as in "key:".
func empty(n *yaml.Node) bool {
	const written = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&written == 0
}

// skip passes blanks, line breaks and comments.
func (d *document) skip(at int) int {
	for at < len(d.text) {
		c := d.text[at]
		if n := breakAt(d.text, at); n > 0 {
			at += n
		} else if isBlank(c) {
			at++
		} else if c == '#' && (at == 0 || isBlank(d.text[at-1]) || isBreak(d.text[at-1])) {
			at = d.lineEnd(at)
		} else {
			break
		}
	}
	return at
}

// end is where a value ends: behind its last character, before the line break.
// indent is the column of the mapping or list that it is an entry of.
func (d *document) end(n *yaml.Node, indent int) int {
	at, some := d.body(n)
	if !some {
		return at
	}
	switch n.Kind {
	case yaml.AliasNode:
		return d.wordEnd(at)
	case yaml.MappingNode, yaml.SequenceNode:
		return d.collectionEnd(n, at)
	}
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return d.quotedEnd(at, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return d.quotedEnd(at, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return d.blockTextEnd(at, indent)
	}
	return d.plainEnd(at, n.Value)
}

func (d *document) collectionEnd(n *yaml.Node, at int) int {
	flow := n.Style&yaml.FlowStyle != 0 && at < len(d.text) && (d.text[at] == '{' || d.text[at] == '[')
	if len(n.Content) > 0 {
		last := n.Content[len(n.Content)-1]
		col := 0
		if !flow {
			col = d.column(n)
		}
		if at = d.end(last, col); !flow {
			return at
		}
	} else if flow {
		at++
	}
	for at = d.skip(at); at < len(d.text) && d.text[at] == ','; at = d.skip(at) {
		at++
	}
	return min(at+1, len(d.text)) // the closing bracket
}

func (d *document) quotedEnd(at int, quote byte) int {
	for at++; at < len(d.text); at++ {
		switch {
		case d.text[at] == '\\' && quote == '"':
			at++
		case d.text[at] == quote && quote == '\'' && at+1 < len(d.text) && d.text[at+1] == quote:
			at++
		case d.text[at] == quote:
			return at + 1
		}
	}
	return len(d.text)
}

// plainEnd follows a text without quotes, in which a line break counts as a
// blank, and each empty line as a line break.
func (d *document) plainEnd(at int, value string) int {
	for i := 0; i < len(value) && at < len(d.text); {
		next := at
		for next < len(d.text) && isBlank(d.text[next]) {
			next++
		}
		n := 0
		if next < len(d.text) {
			n = breakAt(d.text, next)
		}
		if n == 0 {
			i, at = i+1, at+1
			continue
		}
		breaks := 0
		for ; i < len(value) && value[i] == '\n'; i++ {
			breaks++
		}
		if breaks == 0 {
			i++ // the blank
		}
		at = d.skip(next + n)
	}
	return min(at, len(d.text))
}

// blockTextEnd is the end of a text behind | or >.
func (d *document) blockTextEnd(at, indent int) int {
	header := d.text[at:d.lineEnd(at)]
	if i := bytes.IndexByte(header, '#'); i >= 0 {
		header = header[:i]
	}
	keep := bytes.IndexByte(header, '+') >= 0
	depth := 0 // of the text; 0: its first line, if not blank, will tell
	if i := bytes.IndexAny(header, "123456789"); i >= 0 {
		depth = indent + int(header[i]-'0')
	}
	end := d.lineEnd(at)
	for line := d.nextLine(at); line < len(d.text); line = d.nextLine(line) {
		text := d.text[line:d.lineEnd(line)]
		if len(bytes.Trim(text, " ")) == 0 {
			if keep {
				end = d.lineEnd(line)
			}
			continue
		}
		if leading(text) < max(depth, indent+1) {
			break
		}
		if end = d.lineEnd(line); depth == 0 {
			depth = leading(text)
		}
	}
	return end
}

// leading counts the blanks that a line begins with.
func leading(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }

// column is how far the entries of a mapping or list stand from the left.
func (d *document) column(n *yaml.Node) int {
	if n.Kind == yaml.MappingNode {
		if len(n.Content) == 0 {
			return 0
		}
		return n.Content[0].Column - 1
	}
	at, _ := d.body(n)
	return utf8.RuneCount(d.text[d.lineStart(at):at])
}

// lineStart is where the line with at in it begins.
func (d *document) lineStart(at int) int { return d.lines[d.line(at)] }

// nextLine is where the line after that begins, or the end of the text.
func (d *document) nextLine(at int) int {
	if i := d.line(at) + 1; i < len(d.lines) {
		return d.lines[i]
	}
	return len(d.text)
}

// lineEnd is where that line ends, its break not counted.
func (d *document) lineEnd(at int) int {
	end := d.nextLine(at)
	for _, n := range []int{2, 3, 1} {
		if at <= end-n && breakAt(d.text, end-n) == n {
			return end - n
		}
	}
	return end
}

func (d *document) line(at int) int {
	low, high := 0, len(d.lines)
	for high-low > 1 {
		if mid := (low + high) / 2; d.lines[mid] <= at {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// pastComments passes comments that stand right there, indented by at least
// col: they belong to the mapping above them.
func (d *document) pastComments(at, col int) int {
	for at < len(d.text) {
		text := d.text[at:d.lineEnd(at)]
		if n := leading(text); n < col || n == len(text) || text[n] != '#' {
			break
		}
		at = d.nextLine(at)
	}
	return at
}

// dashes are where the entries of a list begin, each on a line of its own.
func (d *document) dashes(list *yaml.Node, col int) ([]int, bool) {
	at, _ := d.body(list)
	var all []int
	for i, item := range list.Content {
		if i > 0 {
			at = d.skip(d.nextLine(d.end(list.Content[i-1], col)))
		}
		if at >= len(d.text) || at > d.start(item) || d.text[at] != '-' {
			return nil, false
		}
		if line := d.lineStart(at); at-line != col || leading(d.text[line:]) != col {
			return nil, false
		}
		all = append(all, at)
	}
	return all, true
}

// Package cmdline reads the kernel command line.
//
// It knows how the kernel splits and quotes words, and which words are settings
// of ours: those that begin with "rancher." or "cc.". It does not know what any
// setting means; package config takes them as its highest layer.
//
// The package is pure. Callers pass in the text, usually that of
// /proc/cmdline, so every case can be tested without booting anything.
package cmdline

import (
	"slices"
	"strings"
)

// Word is one word of the command line.
type Word struct {
	Key   string
	Value string
	Bare  bool // there was no "=": a flag
}

// Line is a command line, split.
type Line struct {
	Words []Word // what the kernel looks at
	After []Word // what stands behind " -- ": the kernel hands it to init unread
}

// Setting is a word of ours: a config key and its value as text.
type Setting struct {
	Key   string // "rancher.debug"; of "cc.hostname=x", "hostname"
	Value string // "true" for a bare word
}

// Parse splits text. Like the kernel it never fails: a quote that is not closed
// reaches to the end.
func Parse(text string) Line {
	var l Line
	into := &l.Words
	for {
		text = strings.TrimLeft(text, space)
		if text == "" {
			return l
		}
		var w Word
		w, text = next(text)
		if w.Key == "--" && w.Bare && into == &l.Words {
			into = &l.After
			continue
		}
		*into = append(*into, w)
	}
}

// VisibleFile is where PID 1 writes the visible part, when there is another:
// containers see it as /proc/cmdline.
const VisibleFile = "/run/ros/cmdline"

// Visible is the part of text before " -- ": what everybody may read. What
// stands behind it is for init alone; people put secrets there.
func Visible(text string) string {
	for rest := text; ; {
		rest = strings.TrimLeft(rest, space)
		if rest == "" {
			return strings.TrimRight(text, space)
		}
		before := text[:len(text)-len(rest)]
		var w Word
		if w, rest = next(rest); w.Key == "--" && w.Bare {
			return strings.TrimRight(before, space)
		}
	}
}

// space is what separates words. The kernel's isspace also takes byte 0xa0,
// which would cut "à" in two in UTF-8, so it is left out here.
const space = " \t\n\v\f\r"

// next cuts the first word off text. It follows next_arg in the kernel's
// lib/cmdline.c: quotes may stand anywhere and keep spaces, but only those
// around the whole word or around the whole value are taken away.
func next(text string) (w Word, rest string) {
	quoted := text[0] == '"'
	inQuote := quoted
	if quoted {
		text = text[1:]
	}
	equals, end := 0, 0
	for ; end < len(text); end++ {
		c := text[end]
		if !inQuote && strings.IndexByte(space, c) >= 0 {
			break
		}
		if equals == 0 && c == '=' {
			equals = end // a word that begins with "=" has no value
		}
		if c == '"' {
			inQuote = !inQuote
		}
	}
	word, rest := text[:end], text[end:]
	if equals == 0 {
		if quoted {
			word = strings.TrimSuffix(word, `"`)
		}
		return Word{Key: word, Bare: true}, rest
	}
	key, value := word[:equals], word[equals+1:]
	if inner, ok := strings.CutPrefix(value, `"`); ok {
		value = strings.TrimSuffix(inner, `"`)
	} else if quoted {
		value = strings.TrimSuffix(value, `"`)
	}
	return Word{Key: key, Value: value}, rest
}

// Value is the value of key; where it stands more than once the last one wins.
// A bare word has the value "".
func (l Line) Value(key string) (value string, ok bool) {
	for _, w := range slices.Backward(l.Words) {
		if w.Key == key {
			return w.Value, true
		}
	}
	return "", false
}

// Values are all values of key in the order in which they stand. Bare words
// have none.
func (l Line) Values(key string) []string {
	var values []string
	for _, w := range l.Words {
		if w.Key == key && !w.Bare {
			values = append(values, w.Value)
		}
	}
	return values
}

// Flag tells whether key is switched on: bare, or with the value 1, true, yes
// or on. The last one wins.
func (l Line) Flag(key string) bool {
	for _, w := range slices.Backward(l.Words) {
		if w.Key == key {
			return w.Bare || slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(w.Value))
		}
	}
	return false
}

// Consoles are the terminals that console= names, without their options, each
// once, in order. The last one is the kernel's /dev/console.
func (l Line) Consoles() []string {
	var consoles []string
	for _, value := range l.Values("console") {
		tty, _, _ := strings.Cut(value, ",")
		tty = strings.TrimPrefix(tty, "/dev/")
		if tty == "" || tty == "null" {
			continue
		}
		// A console named again moves to the end, as /dev/console does.
		consoles = slices.DeleteFunc(consoles, func(have string) bool { return have == tty })
		consoles = append(consoles, tty)
	}
	return consoles
}

// Settings are the words of ours, in order, on both sides of " -- ". A list
// such as [a,b] stays the text it is. As RancherOS had it, a list may have
// spaces in it without quotes, where the kernel sees several words.
func (l Line) Settings() []Setting {
	var settings []Setting
	for _, w := range slices.Concat(whole(l.Words), whole(l.After)) {
		key, ours := strings.CutPrefix(w.Key, "cc.")
		if !ours && !strings.HasPrefix(key, "rancher.") || key == "" {
			continue
		}
		value := w.Value
		if w.Bare {
			value = "true"
		}
		settings = append(settings, Setting{Key: key, Value: value})
	}
	return settings
}

// whole puts lists of ours together again that spaces have cut apart. A bracket
// that is never closed is left as it is: the words behind it are others' words.
func whole(words []Word) []Word {
	var list []Word
	for i := 0; i < len(words); i++ {
		w := words[i]
		if ours := strings.HasPrefix(w.Key, "rancher.") || strings.HasPrefix(w.Key, "cc."); ours && opens(w.Value) {
			value := w.Value
			for j := i + 1; j < len(words); j++ {
				value += " " + words[j].Text()
				if !opens(value) {
					w.Value, i = value, j
					break
				}
			}
		}
		list = append(list, w)
	}
	return list
}

// opens says whether a list begins and does not end.
func opens(value string) bool {
	return strings.HasPrefix(value, "[") && strings.Count(value, "[") > strings.Count(value, "]")
}

// Text is the word as it was written, but for its quotes.
func (w Word) Text() string {
	if w.Bare {
		return w.Key
	}
	return w.Key + "=" + w.Value
}

// OnlyDefaults says whether the boot menu's entry was chosen that ignores every
// file of the config.
func (l Line) OnlyDefaults() bool {
	return slices.ContainsFunc(slices.Concat(l.Words, l.After), func(w Word) bool {
		return w.Key == "ros.config" && w.Value == "defaults"
	})
}

// ModuleParams collects "module.parameter=value" words by module, in the form
// in which a module takes them when it is loaded. The kernel itself does this
// only for what is built in. Module names are spelled with "_".
func (l Line) ModuleParams() map[string]string {
	params := make(map[string]string)
	for _, w := range l.Words {
		module, param, ok := strings.Cut(w.Key, ".")
		if !ok || module == "" || param == "" || strings.Contains(param, ".") ||
			module == "rancher" || module == "cc" || module == "modprobe" {
			continue
		}
		module = strings.ReplaceAll(module, "-", "_")
		word := param
		if !w.Bare {
			word += "=" + w.Value
			if strings.ContainsAny(w.Value, space) {
				word = param + `="` + w.Value + `"`
			}
		}
		params[module] = strings.TrimPrefix(params[module]+" "+word, " ")
	}
	return params
}

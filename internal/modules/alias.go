package modules

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// noModules are buses whose devices never ask for a module; there are hundreds
// of them on a large machine, and reading them would be the most of the work.
var noModules = []string{
	"clockevents", "clocksource", "container", "edac", "event_source", "genpd", "machinecheck", "memory",
	"memory_tiering", "node", "pci_express", "workqueue", "xen-backend",
}

// classes are those outside any bus whose devices do.
var classes = []string{"dmi", "input"}

// modaliases reads what the devices below sys ask for. Directories that are not
// there are kinds of devices that the machine does not have.
func modaliases(sys string) map[string]bool {
	found := make(map[string]bool)
	buses, _ := os.ReadDir(filepath.Join(sys, "bus"))
	for _, bus := range buses {
		if !slices.Contains(noModules, bus.Name()) {
			readModaliases(filepath.Join(sys, "bus", bus.Name(), "devices"), found)
		}
	}
	for _, class := range classes {
		readModaliases(filepath.Join(sys, "class", class), found)
	}
	return found
}

func readModaliases(dir string, found map[string]bool) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	names, _ := d.Readdirnames(-1)
	d.Close()
	for _, name := range names {
		text, err := os.ReadFile(dir + "/" + name + "/modalias")
		if modalias := strings.TrimSpace(string(text)); err == nil && modalias != "" {
			found[modalias] = true
		}
	}
}

// match finds the modules for wanted in modules.alias: in one pass, because it
// has up to thirty thousand lines, and comparing only what is on the same bus.
// The modules come in the order of the file.
func (l *Loader) match(wanted []string) []string {
	if len(wanted) == 0 {
		return nil
	}
	byBus := make(map[string][]string)
	for _, modalias := range slices.Sorted(slices.Values(wanted)) {
		bus := modalias[:busLen([]byte(modalias))]
		byBus[bus] = append(byBus[bus], modalias)
	}
	var modules []string
	for text := l.alias; len(text) > 0; {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		pattern, ok := bytes.CutPrefix(line, []byte("alias "))
		if !ok {
			continue
		}
		candidates := byBus[string(pattern[:busLen(pattern)])]
		if len(candidates) == 0 {
			continue
		}
		// Module names hold no spaces, patterns may.
		space := bytes.LastIndexByte(pattern, ' ')
		if space < 0 {
			continue
		}
		pattern, module := pattern[:space], pattern[space+1:]
		literal, wild := splitLiteral(pattern)
		for _, modalias := range candidates[lowerBound(candidates, literal):] {
			rest, ok := strings.CutPrefix(modalias, string(literal))
			if !ok {
				break // they are sorted: none of the others begins like this either
			}
			if !fnmatch(wild, rest) {
				continue
			}
			if name := canonical(string(module)); !slices.Contains(modules, name) && l.loadable(name) {
				modules = append(modules, name)
			}
			break
		}
	}
	return modules
}

// loadable leaves out what is built in and, in the initramfs, what was not packed.
func (l *Loader) loadable(module string) bool {
	return !l.builtin[module] && l.files[module] != ""
}

// busLen is the length of what an alias begins with: "pci" of "pci:v0000…",
// "acpi" of the pattern "acpi*:PNP0C0A:*", "fs" of "fs-ext4".
func busLen(alias []byte) int {
	for i, c := range alias {
		switch c {
		case ':', '-', '*', '?', '[', ' ':
			return i
		}
	}
	return len(alias)
}

// splitLiteral cuts pattern before its first wildcard.
func splitLiteral(pattern []byte) (literal, wild []byte) {
	for i, c := range pattern {
		switch c {
		case '*', '?', '[', '\\':
			return pattern[:i], pattern[i:]
		}
	}
	return pattern, nil
}

// lowerBound is the place of the first of sorted that is not below literal.
func lowerBound(sorted []string, literal []byte) int {
	low, high := 0, len(sorted)
	for low < high {
		if mid := (low + high) / 2; sorted[mid] < string(literal) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// fnmatch is fnmatch(3) without flags, as modprobe uses it: "*", "?", "[a-f]".
func fnmatch(pattern []byte, s string) bool {
	star, from := -1, 0 // where the last * stood, and what it has eaten up to
	p, i := 0, 0
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, from = p, i
				p++
				continue
			}
			if n, ok := matchOne(pattern[p:], s[i]); ok {
				p += n
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star+1, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches c with the element that pattern begins with; n is its length.
func matchOne(pattern []byte, c byte) (n int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		if n := bytes.IndexByte(pattern[1:], ']'); n > 0 {
			return n + 2, inSet(pattern[1:n+1], c)
		}
	}
	return 1, pattern[0] == c
}

func inSet(set []byte, c byte) bool {
	negated := set[0] == '!' || set[0] == '^'
	if negated {
		set = set[1:]
	}
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			if set[i] <= c && c <= set[i+2] {
				return !negated
			}
			i += 2
		} else if set[i] == c {
			return !negated
		}
	}
	return negated
}

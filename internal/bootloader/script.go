package bootloader

import (
	"fmt"
	"strings"
)

// The small files that grub.cfg reads are lines of "set NAME="…"". What a
// variable with kernel arguments holds is itself a piece of script, which
// grub.cfg evaluates: that is how an argument with spaces in it stays one.

// scriptLine is the line that sets a variable.
func scriptLine(name, value string) string {
	return fmt.Sprintf("set %s=\"%s\"\n", name, strings.ReplaceAll(value, "$", `\$`))
}

// scriptValue is what scriptLine has set.
func scriptValue(script, name string) (string, bool) {
	for line := range strings.Lines(script) {
		value, ok := strings.CutPrefix(line, "set "+name+`="`)
		if !ok {
			continue
		}
		if value, ok = strings.CutSuffix(value, "\"\n"); ok {
			return strings.ReplaceAll(value, `\$`, "$"), true
		}
	}
	return "", false
}

// plain are the characters that mean nothing to GRUB's script.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._,:=/+@%"

// scriptWords is a piece of script that stands for words without quotes within.
func scriptWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.Trim(w, plain) != "" {
			w = "'" + w + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}

// wordsOf is what scriptWords was made from.
func wordsOf(script string) []string {
	var words []string
	for script != "" {
		var w string
		if inner, ok := strings.CutPrefix(script, "'"); ok {
			w, script, _ = strings.Cut(inner, "'")
			script = strings.TrimPrefix(script, " ")
		} else {
			w, script, _ = strings.Cut(script, " ")
		}
		words = append(words, w)
	}
	return words
}

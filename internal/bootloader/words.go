package bootloader

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/slots"
)

// argWords are the words of an operator's kernel arguments, without the quotes
// around them.
func argWords(args string) ([]string, error) {
	words, err := lineWords(args)
	if err != nil {
		return nil, err
	}
	for _, w := range words {
		if key, _, _ := strings.Cut(w, "="); slots.OwnWord(key) {
			return nil, fmt.Errorf("%q belongs to the boot loader", key)
		}
	}
	return words, nil
}

// lineWords splits a kernel command line as the kernel does. What GRUB could
// not hand to the kernel as it is written is refused: it puts a backslash before
// quotes within a word, and the kernel does not take it away again
// (grub_create_loader_cmdline in GRUB's lib/cmdline.c).
func lineWords(line string) ([]string, error) {
	if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
		return nil, errors.New("there is a control character in them")
	}
	parsed := cmdline.Parse(line)
	words := make([]string, 0, len(parsed.Words)+len(parsed.After)+1)
	for _, w := range parsed.Words {
		words = append(words, w.Text())
	}
	if len(parsed.After) > 0 {
		words = append(words, "--")
	}
	for _, w := range parsed.After {
		words = append(words, w.Text())
	}
	for _, w := range words {
		if strings.ContainsAny(w, `"'\`) {
			return nil, fmt.Errorf("GRUB cannot pass on %q: it has a quote or a backslash within", w)
		}
	}
	return words, nil
}

// joinWords is a kernel command line of words: quotes stand around what has
// spaces in it.
func joinWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if strings.ContainsAny(w, " \t") {
			w = `"` + w + `"`
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}

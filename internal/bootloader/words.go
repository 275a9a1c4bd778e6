package bootloader

import (
	"errors"
	"fmt"
	"slices"
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

// Append is an operator's kernel arguments with more behind them. A word that is
// there already is not there twice: it moves to where it was asked for, since of
// two the kernel takes the last. What stands behind " -- " stays behind all.
func Append(args, more string) (string, error) {
	words, err := argWords(args)
	if err != nil {
		return "", err
	}
	added, err := argWords(more)
	if err != nil {
		return "", err
	}
	return joinWords(appendWords(words, added)), nil
}

func appendWords(words, more []string) []string {
	words, after := cutWords(words)
	more, moreAfter := cutWords(more)
	all := moveWords(words, more)
	if after = moveWords(after, moreAfter); len(after) > 0 {
		all = append(append(all, "--"), after...)
	}
	return all
}

// cutWords are the words that the kernel reads, and those that it does not.
func cutWords(words []string) (before, after []string) {
	if i := slices.Index(words, "--"); i >= 0 {
		return words[:i], words[i+1:]
	}
	return words, nil
}

func moveWords(words, more []string) []string {
	kept := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return slices.Contains(more, w) })
	return append(kept, more...)
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

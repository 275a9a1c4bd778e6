package qemu

import (
	"fmt"
	"regexp"
	"strings"
)

// faults are lines that no healthy boot prints, whoever prints them.
var faults = []*regexp.Regexp{
	regexp.MustCompile(`Kernel panic`),
	regexp.MustCompile(`\bOops\b`),
	regexp.MustCompile(`\bBUG: `),
	regexp.MustCompile(`kernel BUG at`),
	regexp.MustCompile(`WARNING:`),
	regexp.MustCompile(`Unable to handle kernel`),
	regexp.MustCompile(`general protection fault`),
	regexp.MustCompile(`double fault`),
	regexp.MustCompile(`\bsegfault at\b`),
	regexp.MustCompile(`[Ss]egmentation fault`),
	regexp.MustCompile(`EXT4-fs error`),
	regexp.MustCompile(`EXT4-fs \([^)]*\): (error|failed)`),
	regexp.MustCompile(`Out of memory: Killed process`),
	regexp.MustCompile(`device-mapper: verity: .*corrupted`),
	regexp.MustCompile(`\bI/O error\b`),
	regexp.MustCompile(`\bpanic: `), // a Go program
	regexp.MustCompile(`fatal error: `),
	regexp.MustCompile(`\bgoroutine \d+ \[`),
}

// theirs are crashes of other people's programs that are known and rare, and
// that a machine gets over by itself: the service is started again.
var theirs = []*regexp.Regexp{
	// dhcpcd 10.1.0 while links come and go; seen once in a hundred boots or so. Like
	// https://github.com/NetworkConfiguration/dhcpcd/issues/566 and 528.
	regexp.MustCompile(`\bdhcpcd\[\d+\]: segfault at\b`),
}

// Faults are the lines of a console, a kernel log or a service log that tell of
// a crash: panics, oopses and warnings of the kernel, Go panics, segmentation
// faults, damaged file systems and disks. A line that one of the allowed expressions
// matches, or that is known (theirs), is left out.
func Faults(text string, allowed ...*regexp.Regexp) []string {
	var found []string
next:
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if !matchesAny(line, faults) {
			continue
		}
		if matchesAny(line, allowed) || matchesAny(line, theirs) {
			continue next
		}
		found = append(found, line)
	}
	return found
}

// ScanError is Faults as an error that names the source; nil when there are none.
func ScanError(source, text string, allowed ...*regexp.Regexp) error {
	found := Faults(text, allowed...)
	if len(found) == 0 {
		return nil
	}
	if len(found) > 20 {
		found = append(found[:20], fmt.Sprintf("(%d more)", len(found)-20))
	}
	return fmt.Errorf("%s tells of a crash:\n\t%s", source, strings.Join(found, "\n\t"))
}

func matchesAny(line string, list []*regexp.Regexp) bool {
	for _, re := range list {
		if re.MatchString(line) {
			return true
		}
	}
	return false
}

package bootloader

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/slots"
)

// A GRUB environment block: this line, then variables, then "#" up to its size.
// GRUB writes it in place, sector by sector, where the file lies; so do we.
// Everything that counts is within the first sector, and so a change of any kind
// is one sector.
const (
	envHead   = "# GRUB Environment Block\n"
	envSize   = 1024
	envSector = 512
)

// env is the variables in it.
type env struct {
	boot      slots.Boot // what it says of a trial's arguments is in their file
	args      int        // number of the file with the operator's kernel arguments
	trialArgs int        // of the file with those and the trial's; or noFile
}

// noFile says that a trial has no arguments of its own.
const noFile = -1

// argsFiles is how many files with arguments there are: two that count, and two
// that take their place when the operator changes his during a trial.
const argsFiles = 4

// encode is the block. The order of the variables is fixed, so that nothing
// moves when one changes.
func (e env) encode() []byte {
	var b bytes.Buffer
	b.WriteString(envHead)
	fmt.Fprintf(&b, "committed=%s\nprevious=%s\ntrial=%s\ntries=%d\nargs=%d\ntrial_args=%s\n",
		e.boot.Committed, e.boot.Previous, e.boot.Trial, e.boot.Tries, e.args, fileNumber(e.trialArgs))
	b.WriteString(strings.Repeat("#", envSize-b.Len()))
	return b.Bytes()
}

// decodeEnv reads a block as grub.cfg does: what makes no sense is as if it were
// not there. ok is false if no slot is committed: then GRUB takes the first
// whole one.
func decodeEnv(block []byte) (e env, ok bool) {
	e.trialArgs = noFile
	rest, found := bytes.CutPrefix(block, []byte(envHead))
	if !found {
		return e, false
	}
	values := map[string]string{}
	for line := range strings.Lines(string(rest)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		values[name] = value
	}
	e.args = max(parseFile(values["args"]), 0)
	b := &e.boot
	b.Committed, _ = slots.Parse(values["committed"])
	if b.Committed == "" {
		return e, false
	}
	other := b.Committed.Other()
	if values["previous"] == string(other) {
		b.Previous = other
	}
	if values["trial"] == string(other) {
		b.Trial = other
		if tries := values["tries"]; len(tries) == 1 && tries >= "1" && tries <= "3" {
			b.Tries = int(tries[0] - '0')
		}
		e.trialArgs = parseFile(values["trial_args"])
	}
	return e, true
}

func fileNumber(n int) string {
	if n == noFile {
		return ""
	}
	return strconv.Itoa(n)
}

func parseFile(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n >= argsFiles || strconv.Itoa(n) != text {
		return noFile
	}
	return n
}

// freeFile is the number of a file with arguments that is not in use.
func freeFile(used ...int) int {
	n := 0
	for slices.Contains(used, n) {
		n++
	}
	return n
}

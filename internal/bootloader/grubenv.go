package bootloader

import (
	"bytes"
	"fmt"
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
	boot slots.Boot
	args int // which of args0.cfg and args1.cfg counts
}

// encode is the block. The order of the variables is fixed, so that nothing
// moves when one changes.
func (e env) encode() []byte {
	var b bytes.Buffer
	b.WriteString(envHead)
	fmt.Fprintf(&b, "committed=%s\nprevious=%s\ntrial=%s\ntries=%d\nargs=%d\n",
		e.boot.Committed, e.boot.Previous, e.boot.Trial, e.boot.Tries, e.args)
	b.WriteString(strings.Repeat("#", envSize-b.Len()))
	return b.Bytes()
}

// decodeEnv reads a block as grub.cfg does: what makes no sense is as if it were
// not there. ok is false if no slot is committed: then GRUB takes the first
// whole one.
func decodeEnv(block []byte) (e env, ok bool) {
	rest, found := bytes.CutPrefix(block, []byte(envHead))
	if !found {
		return e, false
	}
	values := map[string]string{}
	for line := range strings.Lines(string(rest)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		values[name] = value
	}
	if values["args"] == "1" {
		e.args = 1
	}
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
	}
	return e, true
}

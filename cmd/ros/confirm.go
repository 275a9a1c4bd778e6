package main

import (
	"bufio"
	"fmt"
	"strings"
)

// forced is what was typed, as it has to be typed where nobody can be asked.
func (a *app) forced() string {
	line := typed(a.argv) + " --force"
	if a.getenv("SUDO_USER") != "" {
		return "sudo " + line
	}
	return line
}

// confirm asks a question that a person has to answer with y or yes. Anything
// else, the end of the input too, is a no.
func (a *app) confirm(question string) bool {
	fmt.Fprintf(a.stdout, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil {
		fmt.Fprintln(a.stdout) // the line that nobody ended
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

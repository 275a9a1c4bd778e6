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
	yes, _ := a.answer(question)
	return yes
}

// answer is confirm for questions that a script may come to: that nobody answers
// is an error, for the script must not go on as if what it wants was done.
func (a *app) answer(question string) (yes bool, err error) {
	fmt.Fprintf(a.stdout, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil {
		fmt.Fprintln(a.stdout) // the line that nobody ended
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	case "":
		if err != nil {
			return false, usage(a.forced(), "cannot go on: nobody answers")
		}
	}
	return false, nil
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// What ros tells the shell.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// A fault is an error with an exit status and what to do next.
type fault struct {
	err  error // nil: the output has said it already
	try  string
	code int
}

func (f *fault) Error() string {
	if f.err == nil {
		return "failed"
	}
	return f.err.Error()
}

func (f *fault) Unwrap() error { return f.err }

// report prints what went wrong, a line for each fault and a line for what to
// do about it, and picks the exit status: the highest of them.
func (a *app) report(program string, err error) int {
	code := exitDone
	for _, err := range leaves(err) {
		f := &fault{err: err, code: exitFailed}
		errors.As(err, &f)
		if f.err != nil {
			fmt.Fprintf(a.stderr, "%s: %s\n", program, err)
		}
		if f.try != "" {
			fmt.Fprintf(a.stderr, "try: %s\n", f.try)
		}
		code = max(code, f.code)
	}
	return code
}

// leaves takes errors.Join apart again.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, leaves(err)...)
	}
	return all
}

// usage is an error of the person at the keyboard.
func usage(try, format string, args ...any) error {
	return &fault{err: fmt.Errorf(format, args...), try: try, code: exitUsage}
}

// unwell ends a verb whose output has already said what is wrong.
func unwell() error { return &fault{code: exitFailed} }

// usageFault turns what the cli package says about the command line into our
// words: what is wrong, and the nearest thing that is right.
func usageFault(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	help := cmd.FullName() + " --help"
	// A group of verbs stops at the first flag it does not know; when a verb
	// that does not exist stands before it, that is what is wrong.
	if len(cmd.Commands) > 0 && cmd.Args().Present() {
		return unknownVerb(cmd, cmd.Args().First())
	}
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		try := help
		if near := nearest(name, flagNames(cmd)); near != "" {
			try = cmd.FullName() + " " + dashed(near)
		}
		try = cmp.Or(instead(cmd.FullName()+" "+dashed(name)), try)
		return usage(try, "cannot use flag %s: %q does not have it", dashed(name), cmd.FullName())
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		return usage(help, "cannot use flag %s: it needs a value", dashed(strings.TrimLeft(name, "-")))
	}
	if rest, ok := strings.CutPrefix(text, "invalid value "); ok {
		value, rest, _ := strings.Cut(rest, " for flag -")
		name, why, _ := strings.Cut(rest, ": ")
		if strings.Contains(why, "parsing") {
			why = "not a number"
		}
		if strings.Contains(why, "duration") {
			why = "not a time such as 30s or 2m"
		}
		return usage(help, "cannot use %s for flag %s: %s", value, dashed(name), why)
	}
	return usage(help, "cannot understand the command line: %w", err)
}

// runGroup is what a group of verbs does when none of its verbs was named.
func runGroup(_ context.Context, cmd *cli.Command) error {
	words := cmd.Args().Slice()
	switch {
	case len(words) == 0:
		return helpOn(cmd.Root().Writer, cmd, nil)
	case words[0] == "help" || words[0] == "h":
		return helpOn(cmd.Root().Writer, cmd, words[1:])
	}
	return unknownVerb(cmd, words[0])
}

// instead is the new way of what RancherOS had, and this has not; "" for
// anything else.
func instead(words string) string {
	switch words {
	case "ros switch-console":
		return "ros console switch NAME"
	case "ros user-docker", "ros docker-init":
		return "ros service restart docker"
	case "ros udev-settle":
		return "ros service exec udev udevadm settle"
	case "ros service --debug", "ros service --verbose":
		return "ros service logs rosd"
	case "ros reboot --kexec", "ros reboot --kexec-previous", "ros reboot --kexec-append":
		return "ros os upgrade --kexec"
	}
	return ""
}

func unknownVerb(cmd *cli.Command, word string) error {
	var names []string
	for _, sub := range cmd.VisibleCommands() {
		names = append(names, sub.Name)
	}
	try := cmd.FullName() + " --help"
	if near := nearest(word, names); near != "" {
		try = cmd.FullName() + " " + near
	}
	try = cmp.Or(instead(cmd.FullName()+" "+word), try)
	return usage(try, "cannot run %q: %q has no such verb", word, cmd.FullName())
}

// noArguments refuses words after a verb that takes none.
func noArguments(cmd *cli.Command) error {
	if cmd.Args().Present() {
		return usage(cmd.FullName()+" --help", "cannot use %q: %q takes no arguments", cmd.Args().First(), cmd.FullName())
	}
	return nil
}

// needNames returns the arguments of a verb that works on named services.
func needNames(cmd *cli.Command) ([]string, error) {
	if !cmd.Args().Present() {
		return nil, usage("ros service ps", "cannot %s a service: name at least one", cmd.Name)
	}
	return cmd.Args().Slice(), nil
}

func flagNames(cmd *cli.Command) []string {
	var names []string
	for _, f := range cmd.VisibleFlags() {
		for _, name := range f.Names() {
			if len(name) > 1 {
				names = append(names, name)
			}
		}
	}
	return names
}

func dashed(name string) string {
	if len([]rune(name)) == 1 {
		return "-" + name
	}
	return "--" + name
}

// nearest is the candidate that word was most likely meant to be, or "" when
// none is near. Near is a mistyped, missing, doubled or swapped letter for
// every three letters, or the beginning of the candidate.
func nearest(word string, candidates []string) string {
	best, bestCost := "", len(word)/3+2
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		cost := editDistance(word, c)
		if len(word) > 1 && strings.HasPrefix(c, word) {
			cost = 0
		}
		if cost < bestCost && cost < len(c) {
			best, bestCost = c, cost
		}
	}
	return best
}

// editDistance counts the single letters to insert, delete, replace or swap
// with their neighbour to get from a to b.
func editDistance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

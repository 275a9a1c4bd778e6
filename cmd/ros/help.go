package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
)

// examples go below the help of a command, one a line.
func examples(lines ...string) map[string]any { return map[string]any{"examples": lines} }

func examplesOf(cmd *cli.Command) []string {
	lines, _ := cmd.Metadata["examples"].([]string)
	return lines
}

func (a *app) helpVerb() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Aliases:   []string{"h"},
		Usage:     "explain a verb, as --help does",
		Category:  "This program",
		ArgsUsage: "[VERB…]",
		Metadata:  examples("ros help service logs"),
		Action: func(_ context.Context, cmd *cli.Command) error {
			return helpOn(a.stdout, cmd.Root(), cmd.Args().Slice())
		},
	}
}

// helpOn explains the verb that the words below a command name.
func helpOn(w io.Writer, topic *cli.Command, words []string) error {
	for _, word := range words {
		next := topic.Command(word)
		if next == nil {
			return unknownVerb(topic, word)
		}
		topic = next
	}
	printHelp(w, "", topic)
	return nil
}

// printHelp is the help of one command, on one screen: what it is for, how it
// is called, what it knows, examples. It stands in for the cli package's
// templates, whose package makes the linker keep every exported method.
func printHelp(w io.Writer, _ string, data any) {
	cmd := data.(*cli.Command)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nUsage: %s\n", cmd.FullName(), cmd.Usage, synopsis(cmd))
	if cmd.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", cmd.Description)
	}
	for _, group := range verbGroups(cmd) {
		fmt.Fprintf(&b, "\n%s\n", group.title)
		writeTwoColumns(&b, group.lines)
	}
	if flags := flagLines(cmd); len(flags) > 0 {
		b.WriteString("\nFlags\n")
		writeTwoColumns(&b, flags)
	}
	if lines := examplesOf(cmd); len(lines) > 0 {
		b.WriteString("\nExamples\n")
		for _, line := range lines {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	io.WriteString(w, b.String())
}

// synopsis is the line after "Usage:".
func synopsis(cmd *cli.Command) string {
	words := []string{cmd.FullName()}
	if len(flagLines(cmd)) > 1 { // more than --help
		words = append(words, "[FLAGS]")
	}
	if len(cmd.Commands) > 0 {
		words = append(words, "VERB")
	}
	if cmd.ArgsUsage != "" {
		words = append(words, cmd.ArgsUsage)
	}
	return strings.Join(words, " ")
}

type verbGroup struct {
	title string
	lines [][2]string
}

// verbGroups are the verbs of a command by category, in the order of the tree.
func verbGroups(cmd *cli.Command) []verbGroup {
	var groups []verbGroup
	for _, sub := range cmd.VisibleCommands() {
		title := sub.Category
		if title == "" {
			title = "Verbs"
		}
		at := -1
		for i, g := range groups {
			if g.title == title {
				at = i
			}
		}
		if at < 0 {
			at = len(groups)
			groups = append(groups, verbGroup{title: title})
		}
		line := verbLine("", sub)
		if leaves := sub.VisibleCommands(); len(leaves) == 1 {
			line = verbLine(sub.Name+" ", leaves[0])
		}
		groups[at].lines = append(groups[at].lines, line)
	}
	return groups
}

func verbLine(prefix string, cmd *cli.Command) [2]string {
	call := prefix + cmd.Name
	if len(cmd.Commands) > 0 {
		call += " VERB"
	}
	if cmd.ArgsUsage != "" {
		call += " " + cmd.ArgsUsage
	}
	return [2]string{call, cmd.Usage}
}

// flagLines are the flags of a command with --help last.
func flagLines(cmd *cli.Command) [][2]string {
	var lines, help [][2]string
	for _, f := range cmd.VisibleFlags() {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		usage, value := doc.GetUsage(), ""
		if before, rest, ok := strings.Cut(usage, "`"); ok {
			name, after, _ := strings.Cut(rest, "`")
			value, usage = " "+name, before+name+after
		}
		var names []string
		for _, name := range f.Names() {
			if len(name) == 1 {
				names = append([]string{dashed(name)}, names...)
			} else {
				names = append(names, dashed(name))
			}
		}
		line := [2]string{strings.Join(names, ", ") + value, usage}
		if f.Names()[0] == "help" {
			line[1] = "this text"
			help = append(help, line)
			continue
		}
		lines = append(lines, line)
	}
	return append(lines, help...)
}

func writeTwoColumns(b *strings.Builder, lines [][2]string) {
	width := 0
	for _, l := range lines {
		width = max(width, utf8.RuneCountInString(l[0]))
	}
	for _, l := range lines {
		fmt.Fprintf(b, "  %s%s  %s\n", l[0], strings.Repeat(" ", width-utf8.RuneCountInString(l[0])), l[1])
	}
}

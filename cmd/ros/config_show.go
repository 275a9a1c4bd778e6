package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
)

func (a *app) configShowVerb() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "every key that has a value, and where it comes from",
		Category:  lookAtConfig,
		ArgsUsage: "[KEY]",
		Description: `With --layers each value has the file and line it comes from, and below it what
lower layers say that it overrides. Secrets are hidden unless root asks with -p.`,
		Metadata: examples("ros config show", "ros config show rancher.network --layers", "ros config show --json"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "layers", Usage: "where each value comes from and what it overrides", Local: true},
			privateFlag(),
			jsonFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() > 1 {
				return usage(cmd.FullName()+" --help", "cannot show: name one key or none")
			}
			return a.configShow(ctx, cmd.Args().First(), cmd.Bool("layers"), cmd.Bool("private"), cmd.Bool("json"))
		},
	}
}

// privateFlag is on the verbs that leave secrets out.
func privateFlag() cli.Flag {
	return &cli.BoolFlag{Name: "private", Aliases: []string{"p"}, Usage: "with secrets; for root", Local: true}
}

func (a *app) configShow(ctx context.Context, name string, layers, private, json bool) error {
	if private {
		if err := a.needRoot("show secrets"); err != nil {
			return err
		}
	}
	key := findKey(name)
	if name != "" && !key.known {
		return unknownKey("show", name)
	}
	entries, warnings, err := a.configNow(ctx, private)
	if err != nil {
		return err
	}
	if name != "" {
		warnings = nil
		entries = around(entries, key.path)
	}
	if json {
		if entries == nil {
			entries = []config.Entry{}
		}
		return a.printJSON(entries)
	}
	if name != "" && len(entries) == 0 {
		_, err := fmt.Fprintf(a.stdout, "%s is not set\n", name)
		return err
	}
	t := entryTable(entries, layers)
	t.write(a.stdout)
	for _, w := range warnings {
		fmt.Fprintf(a.stdout, "warning: %s\n", w)
	}
	return nil
}

// around are the entries below a key, or the one that the key is a part of, such
// as the service of an image.
func around(entries []config.Entry, path []string) []config.Entry {
	var found []config.Entry
	for _, e := range entries {
		n := min(len(e.Path), len(path))
		if slices.Equal(e.Path[:n], path[:n]) {
			found = append(found, e)
		}
	}
	return found
}

func entryTable(entries []config.Entry, layers bool) table {
	t := table{}
	if layers {
		t.add("KEY", "VALUE", "FROM")
	} else {
		t.add("KEY", "VALUE")
	}
	for _, e := range entries {
		if !layers {
			t.add(e.Key, brief(e.Value))
			continue
		}
		t.add(e.Key, brief(e.Value), originText(e.From))
		for _, o := range e.Overrode {
			t.note("overrides %s from %s", brief(o.Value), originText(o))
		}
	}
	return t
}

func originText(o config.Origin) string {
	if o.Line > 0 {
		return fmt.Sprintf("%s:%d", o.Layer, o.Line)
	}
	return o.Layer
}

// briefWidth is how much of a value stands in a table.
const briefWidth = 48

// brief is a YAML value on one line, cut if it is long.
func brief(text string) string {
	text = strings.TrimSuffix(text, "\n")
	lines := strings.Split(text, "\n")
	list := true
	for i, line := range lines {
		rest, ok := strings.CutPrefix(line, "- ")
		list = list && ok
		if list {
			lines[i] = rest
		}
	}
	switch {
	case text == "":
		return "(not set)"
	case list:
		text = "[" + strings.Join(lines, ", ") + "]"
	case len(lines) > 1:
		text = strings.TrimSpace(strings.Join(strings.Fields(text), " "))
	}
	if utf8.RuneCountInString(text) > briefWidth {
		text = string([]rune(text)[:briefWidth-1]) + "…"
	}
	return text
}

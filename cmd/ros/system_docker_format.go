package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v3"
)

func formatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Local: true, Usage: "print each by a `TEMPLATE` as docker takes it: '{{.Names}}', '{{json .}}'"}
}

// formatted prints a value, or a list of values with a line each, by docker's
// kind of template.
func (a *app) formatted(format string, values ...any) error {
	if format == "json" {
		format = "{{json .}}"
	}
	t, err := template.New("").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			text, err := json.Marshal(v)
			return string(text), err
		},
		"lower": strings.ToLower, "upper": strings.ToUpper, "join": strings.Join, "split": strings.Split,
	}).Parse(strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(format))
	if err != nil {
		return usage("--format '{{.Names}}'", "cannot use the format: %w", err)
	}
	for _, v := range values {
		if err := t.Execute(a.stdout, v); err != nil {
			return usage("--format '{{json .}}', which shows the names", "cannot use the format: %w", err)
		}
		fmt.Fprintln(a.stdout)
	}
	return nil
}

// rows prints what docker prints as a table: by a format, as one column of IDs,
// or with a heading.
type rows struct {
	head   []string
	cells  [][]string
	values []any    // what a format sees
	quiet  []string // what -q prints
}

func (a *app) printRows(cmd *cli.Command, r rows) error {
	format := cmd.String("format")
	switch {
	case cmd.Bool("quiet"):
		for _, id := range r.quiet {
			fmt.Fprintln(a.stdout, id)
		}
		return nil
	case strings.HasPrefix(format, "table "):
		return a.formattedTable(strings.TrimPrefix(format, "table "), r)
	case format != "" && format != "table":
		return a.formatted(format, r.values...)
	}
	t := &table{gap: 3}
	t.add(r.head...)
	for _, cells := range r.cells {
		t.add(cells...)
	}
	t.write(a.stdout)
	return nil
}

// formattedTable is docker's "table {{.Names}}\t{{.Status}}": the columns of the
// template with its words as headings.
func (a *app) formattedTable(format string, r rows) error {
	var b strings.Builder
	plain := &app{stdout: &b}
	if err := plain.formatted(format, r.values...); err != nil {
		return err
	}
	format = strings.ReplaceAll(format, `\t`, "\t")
	t := &table{gap: 3}
	var head []string
	for _, column := range strings.Split(format, "\t") {
		head = append(head, strings.ToUpper(strings.Trim(column, "{}. ")))
	}
	t.add(head...)
	for line := range strings.Lines(b.String()) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) == len(head) {
			t.add(cells...)
		}
	}
	t.write(a.stdout)
	return nil
}

// ago is a time as docker says it: "3 minutes ago".
func (a *app) ago(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return units.HumanDuration(a.now().Sub(t)) + " ago"
}

// cut shortens what docker shortens in a table.
func cut(text string, letters int, whole bool) string {
	if whole || len(text) <= letters {
		return text
	}
	return text[:letters]
}

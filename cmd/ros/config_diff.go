package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
)

func (a *app) configDiffVerb() *cli.Command {
	return &cli.Command{
		Name:     "diff",
		Usage:    "what differs from the defaults, or from a file",
		Category: lookAtConfig,
		Description: `Without -i: every key that a layer has set to something else than the default.
With -i: every key of the file whose value is another one here. Secrets are
hidden; without root a secret that differs is not noticed.`,
		Metadata: examples("ros config diff", "ros config diff -i edge.yml", "ros config diff --json"),
		Flags:    []cli.Flag{inputFlag("compare with `FILE`, - for standard input"), jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.configDiff(ctx, cmd.String("input"), cmd.Bool("json"))
		},
	}
}

func inputFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: usage, Local: true}
}

// difference is a key whose value differs; what is not set is "".
type difference struct {
	Key   string `json:"key"`
	Other string `json:"other"` // the default, or what the file says; YAML
	Value string `json:"value"` // what counts here; YAML
	From  string `json:"from"`  // the layer it comes from, with its line
}

func (a *app) configDiff(ctx context.Context, file string, json bool) error {
	found := []difference{}
	head := "DEFAULT"
	var err error
	if file == "" {
		found, err = a.diffDefaults(ctx, found)
	} else {
		head = "FILE"
		found, err = a.diffFile(ctx, file, found)
	}
	if err != nil {
		return err
	}
	if json {
		return a.printJSON(found)
	}
	t := table{}
	t.add("KEY", head, "HERE", "FROM")
	for _, d := range found {
		t.add(d.Key, brief(d.Other), brief(d.Value), d.From)
	}
	t.write(a.stdout)
	return nil
}

func (a *app) diffDefaults(ctx context.Context, found []difference) ([]difference, error) {
	entries, _, err := a.configNow(ctx, false)
	if err != nil {
		return nil, err
	}
	standard, _ := config.Load()
	values := byKey(standard.Entries(false))
	for _, e := range entries {
		if other := values[e.Key].Value; e.From.Layer != standard.Origin(e.Key).Layer && (other != e.Value || e.Secret) {
			found = append(found, difference{e.Key, other, e.Value, originText(e.From)})
		}
	}
	return found, nil
}

func (a *app) diffFile(ctx context.Context, file string, found []difference) ([]difference, error) {
	name, text, err := a.input(file)
	if err != nil {
		return nil, err
	}
	if err := a.refuse("compare with "+name, name, nil, text); err != nil {
		return nil, err
	}
	whole, shown, err := a.configTwice(ctx)
	if err != nil {
		return nil, err
	}
	other, _ := config.Load(config.Layer{Name: name, Data: text})
	here, visible, shownOther := byKey(whole), byKey(shown), byKey(other.Entries(false))
	for _, e := range other.Entries(a.uid == 0) {
		if e.From.Layer != name || here[e.Key].Value == e.Value {
			continue
		}
		d := difference{e.Key, shownOther[e.Key].Value, visible[e.Key].Value, "-"}
		if h, ok := visible[e.Key]; ok {
			d.From = originText(h.From)
		}
		found = append(found, d)
	}
	return found, nil
}

func byKey(entries []config.Entry) map[string]config.Entry {
	m := map[string]config.Entry{}
	for _, e := range entries {
		m[e.Key] = e
	}
	return m
}

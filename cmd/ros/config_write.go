package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/control"
)

// writing is how a verb that changes cloud-config.yml goes about it.
type writing struct {
	dryRun bool
	try    time.Duration // 0: the change stays
}

// writeFlags are on every verb that changes cloud-config.yml.
func writeFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "say what would happen and write nothing", Local: true},
		tryFlag())
}

func tryFlag() cli.Flag {
	return &cli.DurationFlag{
		Name: "try", Usage: "take it back after `TIME` (2m) unless confirmed", Local: true,
		Validator: func(d time.Duration) error {
			if d < time.Second {
				return errors.New("less than a second")
			}
			return nil
		},
	}
}

func writeOptions(cmd *cli.Command) writing {
	return writing{dryRun: cmd.Bool("dry-run"), try: cmd.Duration("try")}
}

// rewrite changes cloud-config.yml: it says what will happen, writes, and says
// what happened. Nothing is written when the result is worse than what is there.
func (a *app) rewrite(ctx context.Context, how writing, edit func(text []byte) ([]byte, error)) error {
	if err := a.needRoot("change the config"); err != nil {
		return err
	}
	file, err := a.configFile()
	if err != nil {
		return err
	}
	start := file.beginning()
	text, err := edit(start)
	if f := new(fault); errors.As(err, &f) {
		return err
	}
	if err != nil {
		return fmt.Errorf("cannot change %s: %w", file.path, err)
	}
	if bytes.Equal(text, start) {
		text = file.text // a header alone is not worth a file
	}
	if err := a.refuse("change "+file.path, file.path, file.text, text); err != nil {
		return err
	}
	return a.write(ctx, how, file, text)
}

// refuse is an error for each thing that is wrong in text and not in the file
// as it was, among the other layers of this machine.
func (a *app) refuse(doing, name string, was, text []byte) error {
	type fault struct{ key, message string }
	known := map[fault]int{}
	layers, _ := a.layers()
	for _, w := range config.Validate(name, was, layers...) {
		known[fault{w.Key, w.Message}]++
	}
	var faults []error
	for _, w := range config.Validate(name, text, layers...) {
		k := fault{w.Key, w.Message}
		if known[k]--; w.Severity == config.Wrong && known[k] < 0 {
			faults = append(faults, fmt.Errorf("cannot %s: %w", doing, errors.New(located(w))))
		}
	}
	return errors.Join(faults...)
}

// located is a warning without the name of its file, which is said already.
func located(w config.Warning) string {
	text := w.Message
	if w.Key != "" {
		text = w.Key + ": " + text
	}
	if w.Line > 0 {
		text = fmt.Sprintf("line %d: %s", w.Line, text)
	}
	return text
}

// write replaces cloud-config.yml.
func (a *app) write(ctx context.Context, how writing, file configFile, text []byte) error {
	if bytes.Equal(file.text, text) {
		_, err := fmt.Fprintf(a.stdout, "nothing to do: %s says so already\n", file.path)
		return err
	}
	a.announce(ctx, file, text)
	if how.dryRun {
		_, err := fmt.Fprintln(a.stdout, "nothing was written (--dry-run)")
		return err
	}
	seconds := int((how.try + time.Second - 1) / time.Second)
	applied, err := a.daemon().writeConfig(ctx, control.ConfigWrite{Text: text, Was: file.sum, TrySeconds: seconds})
	if err != nil {
		return a.writeAlone(how, file, text, err)
	}
	// What could not be applied before, and has nothing to do with this change, is
	// among the warnings.
	applied.Results = slices.DeleteFunc(applied.Results, func(r control.ApplyResult) bool {
		return len(r.Keys)+len(r.Did) == 0 && r.Error != ""
	})
	return a.tellApplied("written", applied)
}

// writeAlone writes when rosd does not run; a change on trial needs rosd.
func (a *app) writeAlone(how writing, file configFile, text []byte, asked error) error {
	if !a.unreachable(asked) || how.try > 0 {
		return a.explain("write the config", asked)
	}
	if err := configstore.New(a.conf).Write(text, file.sum); err != nil {
		return fmt.Errorf("cannot write %s: %w", file.path, err)
	}
	_, err := fmt.Fprintln(a.stdout, "written; rosd does not run, so it takes effect when rosd starts")
	return err
}

// announce says what a new content of cloud-config.yml will do.
func (a *app) announce(ctx context.Context, file configFile, text []byte) {
	layers, _ := a.layers()
	was, _ := config.Load(layers...)
	now, _ := config.Load(config.Replaced(layers, file.path, text)...)
	changes := config.Changes(was, now)
	for _, c := range changes {
		fmt.Fprintf(a.stdout, "%s: %s -> %s (%s)\n", c.Key, brief(c.Old), brief(c.New), effect(c))
	}
	hidden := overruled(file.path, was, now)
	for _, line := range hidden {
		fmt.Fprintln(a.stdout, line)
	}
	if len(changes) > 0 {
		a.announceServices(ctx, text)
	}
	if len(changes)+len(hidden) == 0 {
		fmt.Fprintln(a.stdout, "no value changes, only the file")
	}
	for _, note := range freshNotes(file, text) {
		fmt.Fprintf(a.stdout, "note: %s\n", note)
	}
}

// announceServices says which services a new content of cloud-config.yml will
// touch. Only rosd knows them; when it does not run, none is touched.
func (a *app) announceServices(ctx context.Context, text []byte) {
	preview, err := a.daemon().previewConfig(ctx, control.ConfigWrite{Text: text})
	if err != nil {
		return
	}
	for _, s := range []struct {
		verb  string
		names []string
	}{{"stops", preview.Stop}, {"recreates", preview.Recreate}, {"starts", preview.Start}} {
		if len(s.names) > 0 {
			fmt.Fprintf(a.stdout, "%s %s\n", s.verb, strings.Join(s.names, ", "))
		}
	}
}

// effect says how a change takes effect.
func effect(c config.Change) string {
	if phrase := config.Effect(c.Key, c.Applier); phrase != "" {
		return phrase
	}
	if key := findKey(c.Key); key.is.None != "" {
		return "no effect: " + key.is.None
	}
	return "no effect"
}

// overruled are the keys that the file sets anew and a higher layer as well.
func overruled(file string, was, now *config.Config) []string {
	before := byKey(was.Entries(true))
	var lines []string
	for _, e := range now.Entries(true) {
		said := saidBy(e, file)
		if e.From.Layer != file && said != "" && said != saidBy(before[e.Key], file) {
			lines = append(lines, fmt.Sprintf("%s: no change, a higher layer sets it (%s)", e.Key, originText(e.From)))
		}
	}
	return lines
}

// saidBy is what a layer says about a key; "": nothing.
func saidBy(e config.Entry, layer string) string {
	for _, o := range append([]config.Origin{e.From}, e.Overrode...) {
		if o.Layer == layer {
			return o.Value
		}
	}
	return ""
}

// freshNotes is what is to be said about a file that was not to be said before.
func freshNotes(file configFile, text []byte) []string {
	var old, notes []string
	for _, w := range config.Validate(file.path, file.text) {
		old = append(old, w.Key+w.Message)
	}
	for _, w := range config.Validate(file.path, text) {
		if w.Severity != config.Wrong && !slices.Contains(old, w.Key+w.Message) {
			notes = append(notes, located(w))
		}
	}
	return notes
}

// tellApplied says what a change did to the machine.
func (a *app) tellApplied(done string, applied control.ConfigApplied) error {
	var faults []error
	var told []string // lines of faults, which are among the warnings too
	changed := 0
	fmt.Fprintln(a.stdout, done)
	for _, r := range applied.Results {
		for _, did := range r.Did {
			fmt.Fprintln(a.stdout, did)
		}
		for _, note := range r.Notes {
			fmt.Fprintf(a.stdout, "note: %s\n", note)
		}
		if r.Error != "" {
			faults = append(faults, fmt.Errorf("cannot apply all of it (%s): %w", r.Applier, errors.New(r.Error)))
			told = append(told, strings.Split(r.Error, "\n")...)
		}
		changed += len(r.Did) + len(r.Error)
	}
	if changed == 0 {
		fmt.Fprintln(a.stdout, "nothing on the machine had to change")
	}
	for _, w := range applied.Warnings {
		if !slices.Contains(told, w) {
			fmt.Fprintf(a.stdout, "warning: %s\n", w)
		}
	}
	if applied.Trial != nil {
		fmt.Fprintf(a.stdout, "on trial until %s: \"ros config confirm\" keeps it, \"ros config rollback\" takes it back\n",
			applied.Trial.Until.In(a.loc).Format(time.TimeOnly))
	}
	return errors.Join(faults...)
}

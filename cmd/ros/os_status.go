package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/slots"
)

func (a *app) osStatusVerb() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "what runs, what starts next, why a release was given up",
		Description: `STATE is idle (no release was ever tried here), staged (one is in the other
slot, and perhaps tried at the next start), trying (the running one is on
trial), committed or failed. After a failed trial it says what failed, when,
and the last lines of that boot's log, which survived it.`,
		Metadata: examples("ros os status", "ssh rancher@edge-7 ros os status --json | jq -r .state"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			var s slots.Status
			if err := a.osStatus(ctx, &s); err != nil {
				return err
			}
			if cmd.Bool("json") {
				return a.printJSON(s)
			}
			a.printOSStatus(s)
			return nil
		},
	}
}

func (a *app) printOSStatus(s slots.Status) {
	w := a.stdout
	if s.Running.Slot == "" {
		fmt.Fprintf(w, "%s runs from a live medium: it has no slots, and nothing can be upgraded or rolled back.\n", s.Version)
		fmt.Fprintln(w, `"ros install" puts it on a disk.`)
	} else {
		fmt.Fprintf(w, "%-12s%s\n", "State", stateText(s)) // it would make its column wide
		if s.Boot != nil && s.Boot.Args != "" {
			fmt.Fprintf(w, "%-12s%s (on trial too: a commit keeps them)\n", "Arguments", s.Boot.Args)
		}
		a.osTable(s).write(w)
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	if !s.TrustedKey {
		fmt.Fprintln(w, "warning: this OS image was built without a key, so it cannot tell whose releases are to be trusted (rancher.upgrade.trusted_keys)")
	}
	if s.Failure != nil {
		a.printFailure(*s.Failure)
	}
}

func (a *app) osTable(s slots.Status) *table {
	t := &table{}
	row := func(name string, slot slots.Slot, notes ...string) {
		c := s.Slots[slot]
		t.add(name, dash(c.Version), "slot "+string(slot), short(c.Digest), strings.Join(notes, ", "))
	}
	row("Running", s.Running.Slot)
	if s.Boot != nil {
		row("Committed", s.Boot.Committed, a.sinceDay(s.Committed)...)
		if s.Boot.Previous != "" {
			row("Previous", s.Boot.Previous)
		} else if s.State == slots.Staged {
			row("Staged", s.Boot.Committed.Other())
		}
	}
	if s.Wanted != nil {
		t.add("Wanted", dash(s.Wanted.Version), "", short(s.Wanted.Digest), "")
	}
	if s.Next != "" {
		row("Next start", s.Next)
	}
	return t
}

func (a *app) sinceDay(at *time.Time) []string {
	if at == nil {
		return nil
	}
	return []string{"since " + at.In(a.loc).Format("2006-01-02 15:04")}
}

// stateText is the state with what a person wants to know beside it.
func stateText(s slots.Status) string {
	text := string(s.State)
	switch {
	case s.State == slots.Trying && s.Boot != nil && s.Boot.Tries > 0:
		text += fmt.Sprintf(" (can be started %d more times)", s.Boot.Tries)
	case s.State == slots.Trying:
		text += " (this is its last start unless it is committed)"
	case s.State == slots.Staged && s.Boot != nil && s.Boot.Trial != "":
		text += " (the next start tries it)"
	}
	return text
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (a *app) printFailure(f slots.Failure) {
	w := a.stdout
	fmt.Fprintf(w, "\n%s (slot %s) was given up at %s:\n", dash(f.Version), f.Slot, f.At.In(a.loc).Format("2006-01-02 15:04:05"))
	fmt.Fprintf(w, "    %s: %s\n", f.Check, f.Reason)
	if len(f.Lines) == 0 {
		return
	}
	fmt.Fprintln(w, "The last lines of its log:")
	for _, line := range f.Lines {
		fmt.Fprintf(w, "    %s\n", line)
	}
}

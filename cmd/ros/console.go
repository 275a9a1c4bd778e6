package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/control"
)

// consoleVerb is the group of verbs about consoles.
func (a *app) consoleVerb() *cli.Command {
	return &cli.Command{
		Name:     "console",
		Usage:    "choose where logins are (list, switch, enable, reset)",
		Category: "Services",
		Description: `The console is what an operator logs in to: default, which is part of the OS,
or a container of any image. Engines and user containers are not in it: a
switch does not touch them. /home, /opt, /mnt, /media, /tmp, /var/log and
/var/lib/rancher are the machine's in every console.`,
		Metadata: examples("ros console list", "sudo ros console switch debian", "sudo ros console switch -f alpine:3.22"),
		Commands: []*cli.Command{
			a.consoleListVerb(),
			a.consoleCurrentVerb(),
			a.consoleSwitchVerb(),
			a.consoleEnableVerb(),
			a.consoleResetVerb(),
		},
	}
}

func (a *app) consoleListVerb() *cli.Command {
	return &cli.Command{
		Name:    "list",
		Aliases: []string{"ls"},
		Usage:   "consoles that are on the machine or in a catalog",
		Description: `current: logins are there. enabled: they will be after the next boot.
disabled: it is on the machine. available: a catalog has it.`,
		Metadata: examples("ros console list", "ros console list -u"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "update", Aliases: []string{"u"}, Usage: "ask the catalogs, not what was kept of them", Local: true},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print the names alone", Local: true},
			jsonFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.listConsoles(ctx, cmd.Bool("update"), cmd.Bool("quiet"), cmd.Bool("json"))
		},
	}
}

func (a *app) consoles(ctx context.Context, refresh bool) (list []control.Console, err error) {
	path := "/v1/consoles"
	if refresh {
		path += "?refresh=1"
	}
	err = a.daemon().ask(ctx, "GET", path, nil, &list)
	return list, a.explain("list the consoles", err)
}

// listConsoles begins its lines as RancherOS did, for those who read them by
// program.
func (a *app) listConsoles(ctx context.Context, refresh, quiet, asJSON bool) error {
	all, err := a.consoles(ctx, refresh)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(all)
	}
	t := table{}
	var faults []error
	if !quiet {
		t.add("STATE", "NAME", "KEEPS", "IMAGE", "REPOSITORY", "SIGNED BY")
	}
	for _, c := range all {
		keeps := "-"
		switch {
		case c.Error != "":
			faults = append(faults, errors.New(c.Error))
			continue
		case quiet:
			t.add(c.Name)
			continue
		case c.Persistent:
			keeps = "all"
		case c.State != control.ConsoleAvailable:
			keeps = "nothing"
		}
		t.add(c.State, c.Name, keeps, orDash(c.Image), orDash(c.Repository), orDash(c.SignedBy))
	}
	t.write(a.stdout)
	return errors.Join(faults...)
}

func (a *app) consoleCurrentVerb() *cli.Command {
	return &cli.Command{
		Name:     "current",
		Usage:    "print the name of the console that logins are in",
		Metadata: examples("ros console current"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			c, err := a.currentConsole(ctx)
			switch {
			case err != nil:
				return err
			case cmd.Bool("json"):
				return a.printJSON(c)
			}
			fmt.Fprintln(a.stdout, c.Name)
			return nil
		},
	}
}

func (a *app) currentConsole(ctx context.Context) (control.Console, error) {
	all, err := a.consoles(ctx, false)
	if err != nil {
		return control.Console{}, err
	}
	for _, c := range all {
		if c.State == control.ConsoleCurrent {
			return c, nil
		}
	}
	return control.Console{}, errors.New("cannot say which console is in use")
}

const consoleWhat = `A console is named by its name in a catalog, an image (anything with a tag, such
as alpine:3.22), an archive of an image, or a file that describes one.`

func consoleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "ask nothing", Local: true},
		&cli.BoolFlag{Name: "no-pull", Usage: "use what is on the machine, fetch nothing", Local: true},
	}
}

func (a *app) consoleSwitchVerb() *cli.Command {
	return &cli.Command{
		Name:      "switch",
		Usage:     "let logins go on in another console, now",
		ArgsUsage: "CONSOLE",
		Description: `The console is fetched, started beside the one in use, and has to give a shell;
then new logins are in it, and the sessions in the one before end (those in the
default console go on). If anything goes wrong, nothing has changed.
` + consoleWhat,
		Metadata: examples("sudo ros console switch debian", "sudo ros console switch -f alpine:3.22", "sudo ros console switch default"),
		Flags:    consoleFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return a.changeConsole(ctx, cmd, func(now string) string {
				question := fmt.Sprintf("Logins will be in console %s", cmd.Args().First())
				if now != console.Default {
					question += "; the sessions in console " + now + " end, yours too if it is there"
				}
				return question + ". Continue?"
			})
		},
	}
}

func (a *app) consoleEnableVerb() *cli.Command {
	return &cli.Command{
		Name:      "enable",
		Usage:     "let logins be in another console from the next boot on",
		ArgsUsage: "CONSOLE",
		Description: `The console is fetched and has to give a shell now; the boot needs no network.
Sessions go on.
` + consoleWhat,
		Metadata: examples("sudo ros console enable debian"),
		Flags:    consoleFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return a.changeConsole(ctx, cmd, nil)
		},
	}
}

func (a *app) consoleResetVerb() *cli.Command {
	return &cli.Command{
		Name:  "reset",
		Usage: "make the console in use anew from its image",
		Description: `What was written to its files is lost, but for what is the machine's (/home,
/opt and so on). Sessions in it end.`,
		Metadata: examples("sudo ros console reset"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "ask nothing", Local: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.askConsole(ctx, cmd, control.ConsoleName{}, func(now string) string {
				return fmt.Sprintf("What was written to the files of console %s is lost, and the sessions in it end. Continue?", now)
			})
		},
	}
}

// changeConsole is switch and enable; the second asks nothing.
func (a *app) changeConsole(ctx context.Context, cmd *cli.Command, question func(now string) string) error {
	if cmd.Args().Len() != 1 {
		return usage(cmd.FullName()+" debian", "cannot %s the console: name one", cmd.Name)
	}
	name, err := fileOrName(cmd.Args().First())
	if err != nil {
		return err
	}
	return a.askConsole(ctx, cmd, control.ConsoleName{Name: name, NoPull: cmd.Bool("no-pull")}, question)
}

// askConsole has a verb carried out, if somebody who is asked wants it.
func (a *app) askConsole(ctx context.Context, cmd *cli.Command, q control.ConsoleName, question func(now string) string) error {
	if err := a.needRoot(cmd.Name + " the console"); err != nil {
		return err
	}
	if question != nil && !cmd.Bool("force") {
		now, err := a.currentConsole(ctx)
		if err != nil {
			return err
		}
		switch yes, err := a.answer(question(now.Name)); {
		case err != nil:
			return err
		case !yes:
			fmt.Fprintln(a.stdout, "nothing has changed")
			return nil
		}
	}
	err := a.inSteps(ctx, "/v1/consoles/"+cmd.Name, q)
	return a.explain(strings.TrimSpace(cmd.Name+" console "+q.Name), err)
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/console"
)

// app is one run of ros: where it writes, and where it finds what it shows.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	color          bool
	terminal       bool // stdout is one
	now            func() time.Time
	loc            *time.Location
	uid            int // who runs it
	getenv         func(string) string
	environ        func() []string
	turnInto       func(path string, args, env []string) error // another program

	socket     string // rosd's
	initSocket string // PID 1's
	logDir     string // one log file per service
	release    string // what the OS image says about itself
	bootRecord string // what PID 1 wrote about this boot
	osupdate   string // the worker, for when there is no rosd

	consoleSocket string // rosd's, for logins
	engineSocket  string // of the user's engine
	variables     string // of login shells, as they read them
	accounts      string // the machine's, while logins go on in another console
	layersDir     string // of the images of the OS

	homes       string   // folder of the homes
	conf        string   // folder of cloud-config.yml
	oem         string   // config of who delivered the machine
	kernelLines []string // files with the kernel command line; the first that can be read counts

	devices blockdev.Host

	argv []string // of this run
}

// run does what the words of argv ask for and says how it ended, for the
// shell. argv[0] may be the name of a power verb.
func (a *app) run(ctx context.Context, argv []string) int {
	a.argv = argv
	root := a.root()
	name := strings.TrimPrefix(filepath.Base(argv[0]), "-") // a login shell has a dash
	switch name {
	case filepath.Base(console.Enter):
		return a.enter(ctx, argv)
	case sudoName:
		return a.sudo(ctx, argv)
	case dockerName:
		return a.docker(argv)
	case waitForDockerName:
		return a.waitForDocker(ctx)
	}
	if verb := a.powerVerb(name); verb != nil {
		root = standalone(verb)
	}
	if name == systemDockerName {
		root = standalone(a.systemDocker())
	}
	out := &output{to: a.stdout}
	a.stdout = out
	root.Writer, root.ErrWriter = out, a.stderr
	// Errors come back from Run and are printed once, below.
	root.ExitErrHandler = func(context.Context, *cli.Command, error) {}
	err := root.Run(ctx, argv)
	if err == nil && out.err != nil {
		err = fmt.Errorf("cannot write the output: %w", out.err)
	}
	return a.report(root.Name, err)
}

// output remembers that a write failed, so that a full disk behind "ros … >
// file" is not taken for success.
type output struct {
	to  io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// root is the tree of verbs. The order is the order of the help, which goes by
// task, as does Category.
func (a *app) root() *cli.Command {
	root := &cli.Command{
		Name:  "ros",
		Usage: "see and run what this machine runs",
		Description: `Every verb takes --help. Verbs that only look also take --json, for programs.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 rosd or PID 1 cannot be reached.`,
		Metadata: examples(
			"ros status                      is the machine well, and if not, why",
			"ros service logs -f docker      what one of them says",
			"sudo ros config set hostname edge-7",
		),
		Commands: []*cli.Command{
			a.statusVerb(),
			a.bootVerb(),
			a.eventsVerb(),
			a.configVerb(),
			a.osVerb(),
			a.installVerb(),
			a.serviceVerb(),
			a.consoleVerb(),
			a.engineVerb(),
			a.tlsVerb(),
			a.preloadVerb(),
			a.envVerb(),
			a.devVerb(),
			a.powerVerb("poweroff"),
			a.powerVerb("reboot"),
			a.powerVerb("halt"),
			a.powerVerb("shutdown"),
			a.completionVerb(),
			a.helpVerb(),
		},
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version of the OS", Local: true},
		},
	}
	finish(root)
	group := root.Action
	root.Action = func(ctx context.Context, cmd *cli.Command) error {
		if cmd.Bool("version") {
			return a.printVersion(false)
		}
		return group(ctx, cmd)
	}
	return root
}

// finish gives every command of a tree what it must have in common: no
// built-in help verb (its name could be a service's), our words for wrong
// usage, and for a group of verbs an action that names the right verb.
func finish(cmd *cli.Command) {
	cmd.HideHelpCommand = true
	cmd.UseShortOptionHandling = true
	cmd.OnUsageError = usageFault
	// --help behind an argument: the cli package takes the argument for a verb.
	cmd.CommandNotFound = func(_ context.Context, cmd *cli.Command, _ string) {
		printHelp(cmd.Root().Writer, "", cmd)
	}
	if len(cmd.Commands) > 0 && cmd.Action == nil {
		cmd.Action = runGroup
	}
	for _, sub := range cmd.Commands {
		finish(sub)
	}
}

// standalone makes a verb the whole program.
func standalone(verb *cli.Command) *cli.Command {
	finish(verb)
	return verb
}

// printJSON writes v for programs: indented, so that people can read it too.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// wantsColor says whether f is a terminal whose user has not asked for plain
// text (https://no-color.org).
func wantsColor(f *os.File, getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && isTerminal(f)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// jsonFlag is on every verb that only looks.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON, for programs", Local: true}
}

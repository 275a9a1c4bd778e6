package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
)

func (a *app) installVerb() *cli.Command {
	return &cli.Command{
		Name:     "install",
		Usage:    "put the system that runs from the ISO onto a disk",
		Category: "The machine",
		Description: `You see what is on the disk and are asked before all of it is lost; for scripts
-f asks nothing. The disk starts under BIOS and under UEFI. Nothing is fetched:
all comes from the medium, is checked against the release's digests, and is
read back from the disk before the disk can be started.

-c names a cloud-config, which is checked first; without one nobody can log in.
To take along what this system was configured with:
  sudo ros config export --private | sudo ros install -f -d /dev/vda -c -

TYPE is generic (the whole disk) or noformat (a disk with Roster on it: system
and boot loader anew, the state disk stays).`,
		Metadata: examples(
			"sudo ros install -d /dev/vda -c cloud-config.yml",
			"sudo ros install -f --no-reboot -d /dev/sda -c http://10.0.0.1/edge.yml",
			"sudo ros install -t noformat -d /dev/sda",
		),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "device", Aliases: []string{"d"}, Usage: "the `DISK`: /dev/vda, /dev/disk/by-id/…", Local: true},
			&cli.StringFlag{Name: "cloud-config", Aliases: []string{"c"}, Usage: "a `FILE`, an address, or - for standard input", Local: true},
			&cli.StringFlag{Name: "install-type", Aliases: []string{"t"}, Usage: "generic or noformat, as `TYPE`", Local: true},
			&cli.StringFlag{Name: "append", Aliases: []string{"a"}, Usage: "kernel `ARGUMENTS`, kept over upgrades", Local: true},
			&cli.StringFlag{Name: "statedir", Usage: "keep the state below this `FOLDER` of the state disk", Local: true},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "ask nothing", Local: true},
			&cli.BoolFlag{Name: "no-reboot", Usage: "do not restart when it is done", Local: true},
			jsonFlag(),
			// What RancherOS had besides.
			&cli.StringFlag{Name: "image", Aliases: []string{"i"}, Local: true, Hidden: true},
			&cli.StringFlag{Name: "partition", Aliases: []string{"p"}, Local: true, Hidden: true},
			&cli.BoolFlag{Name: "kexec", Aliases: []string{"k"}, Local: true, Hidden: true},
			&cli.BoolFlag{Name: "save", Aliases: []string{"s"}, Local: true, Hidden: true},
			&cli.BoolFlag{Name: "rollback", Aliases: []string{"r"}, Local: true, Hidden: true},
			&cli.BoolFlag{Name: "debug", Local: true, Hidden: true},
			&cli.BoolFlag{Name: "isoinstallerloaded", Local: true, Hidden: true},
		},
		Action: a.install,
	}
}

func (a *app) install(ctx context.Context, cmd *cli.Command) error {
	if err := a.aloneAsRoot(cmd, "install"); err != nil {
		return err
	}
	options, err := a.installOptions(cmd)
	if err != nil {
		return err
	}
	asks := !cmd.Bool("force")
	if asks && (!a.terminal || cmd.Bool("json")) {
		return usage(a.forced(), "cannot ask before everything on %s is lost: this is not a terminal, or for a program", options.Device)
	}
	if asks {
		if goOn, err := a.agreedToInstall(ctx, cmd, options); err != nil || !goOn {
			return err
		}
	}
	var done osupdate.Installed
	if err := a.work(ctx, cmd, "install", "install", options, &done); err != nil {
		return err
	}
	if !cmd.Bool("json") {
		fmt.Fprintf(a.stdout, "Roster %s is on %s. Take the medium out before the machine starts again.\n", done.Version, done.Device)
	}
	if cmd.Bool("no-reboot") || asks && !a.confirm("Restart now?") {
		return nil
	}
	return a.power(ctx, initctl.OpReboot, false, "")
}

// otherFlags are RancherOS's flags for which there is no use here, and why.
var otherFlags = []struct{ flag, why string }{
	{"image", "what is installed is the system that runs; another release comes by ros os upgrade afterwards"},
	{"partition", "the partitions are the installer's own; -t noformat finds them by their names"},
	{"kexec", "the first start goes through the firmware, so that you see whether it can start the disk"},
	{"rollback", "to go back to the release before, use ros os rollback"},
}

func (a *app) installOptions(cmd *cli.Command) (osupdate.InstallOptions, error) {
	o := osupdate.InstallOptions{Device: cmd.String("device"), Append: cmd.String("append"), StateDir: cmd.String("statedir")}
	help := cmd.FullName() + " --help"
	for _, other := range otherFlags {
		if cmd.IsSet(other.flag) {
			return o, usage(help, "cannot use %s: %s", dashed(other.flag), other.why)
		}
	}
	var err error
	if o.Type, err = osupdate.InstallType(cmd.String("install-type")); err != nil {
		return o, usage(help, "cannot install: %w", err)
	}
	if o.Device == "" {
		return o, usage(help, "cannot install: name a disk with -d")
	}
	name := cmd.String("cloud-config")
	switch {
	case name == "":
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		o.ConfigURL = name
	default:
		var text []byte
		if o.ConfigName, text, err = a.input(name); err != nil {
			return o, err
		}
		o.Config = string(text)
	}
	return o, nil
}

// agreedToInstall shows what would be lost and asks.
func (a *app) agreedToInstall(ctx context.Context, cmd *cli.Command, options osupdate.InstallOptions) (bool, error) {
	options.Check = true
	var plan osupdate.InstallPlan
	if err := a.work(ctx, cmd, "install", "install", options, &plan); err != nil {
		return false, err
	}
	a.sayPlan(plan)
	if !a.confirm(fmt.Sprintf("Install Roster %s on %s?", plan.Version, plan.Device)) {
		return false, errors.New("nothing was written")
	}
	return true, nil
}

func (a *app) sayPlan(plan osupdate.InstallPlan) {
	fmt.Fprintf(a.stdout, "%s: %s, %s\n", plan.Device, orElse(plan.Model, "a disk without a name"), size(plan.Size))
	if len(plan.Found) == 0 {
		fmt.Fprintln(a.stdout, "  it is empty")
	}
	for _, line := range plan.Found {
		fmt.Fprintf(a.stdout, "  %s\n", line)
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(a.stdout, "note: %s\n", note)
	}
	switch {
	case plan.Lost:
		fmt.Fprintln(a.stdout, "ALL OF THIS WILL BE LOST.")
	case len(plan.Found) > 0:
		fmt.Fprintln(a.stdout, "The system and the boot loader are written anew, the other slot is given up, the state disk stays.")
	}
}

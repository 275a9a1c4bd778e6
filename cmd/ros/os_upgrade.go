package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
)

func (a *app) osUpgradeVerb() *cli.Command {
	return &cli.Command{
		Name:      "upgrade",
		Usage:     "write a release to the other slot and try it",
		ArgsUsage: "[RELEASE]",
		Description: `RELEASE is a reference (registry.example.com/os:v1.2), a folder, a tar, an
address, or a version of the list at rancher.upgrade.url; without it the list's
current release is taken. Its signature is checked against the keys in the
running OS image and rancher.upgrade.trusted_keys.

What runs stays as it is. The machine restarts into the release once; when all
required services have been healthy for rancher.upgrade.commit_window seconds
it is committed, else the machine restarts into what ran before and
"ros os status" says why. A release older than the running one's floor, and
one that has failed here, is refused. Only what this machine does not have is
fetched, and a download that was cut off goes on. For scripts: -f asks nothing.`,
		Metadata: examples(
			"sudo ros os upgrade",
			"sudo ros os upgrade v1.2.0",
			"sudo ros os upgrade -f ./roster-v1.2.0.tar",
			"sudo ros os upgrade --stage",
		),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "image", Aliases: []string{"i"}, Usage: "the same as `RELEASE`, as RancherOS had it", Local: true},
			&cli.BoolFlag{Name: "stage", Aliases: []string{"s"}, Usage: "write it, and try it another time", Local: true},
			&cli.BoolFlag{Name: "no-reboot", Usage: "try it at the next restart", Local: true},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "ask nothing", Local: true},
			&cli.BoolFlag{Name: "kexec", Aliases: []string{"k"}, Usage: "restart without the firmware", Local: true},
			&cli.StringFlag{Name: "append", Usage: "more kernel `ARGUMENTS`, for good if it is committed", Local: true},
			&cli.BoolFlag{Name: "below-floor", Usage: "take one that is older than the floor", Local: true},
			&cli.BoolFlag{Name: "retry", Usage: "take one that has failed here", Local: true},
			&cli.BoolFlag{Name: "take-what-nobody-signed", Usage: "take one without a trusted signature", Local: true},
			&cli.BoolFlag{Name: "upgrade-console", Usage: "has no effect: RancherOS's consoles needed it", Local: true},
			&cli.BoolFlag{Name: "debug", Usage: "accepted for scripts of RancherOS", Local: true, Hidden: true},
			jsonFlag(),
		},
		Action: a.osUpgrade,
	}
}

func (a *app) osUpgrade(ctx context.Context, cmd *cli.Command) error {
	options, err := upgradeOptions(cmd)
	if err != nil {
		return err
	}
	asks := !cmd.Bool("force") && !options.Stage && !cmd.Bool("no-reboot")
	if asks && (!a.terminal || cmd.Bool("json")) {
		return usage(a.forced(), "cannot ask before the restart: this is not a terminal, or for a program")
	}
	if asks {
		if goOn, err := a.agreed(ctx, cmd, options); err != nil || !goOn {
			return err
		}
	}
	var done osupdate.Upgraded
	if err := a.work(ctx, cmd, "upgrade", "upgrade", options, &done); err != nil {
		return err
	}
	if !cmd.Bool("json") {
		a.sayUpgraded(done)
	}
	if !done.Armed || cmd.Bool("no-reboot") || asks && !a.confirm("Restart now?") {
		return nil
	}
	op := initctl.OpReboot
	if done.Kexec {
		op = initctl.OpKexec
	}
	return a.power(ctx, op, false, "")
}

func upgradeOptions(cmd *cli.Command) (osupdate.Upgrade, error) {
	o := osupdate.Upgrade{
		Release: cmd.String("image"), Stage: cmd.Bool("stage"), Append: cmd.String("append"), Kexec: cmd.Bool("kexec"),
		BelowFloor: cmd.Bool("below-floor"), Retry: cmd.Bool("retry"), Unsigned: cmd.Bool("take-what-nobody-signed"),
	}
	switch {
	case cmd.Args().Len() > 1 || cmd.Args().Len() == 1 && o.Release != "":
		return o, usage(cmd.FullName()+" --help", "cannot upgrade to more than one release")
	case cmd.Args().Len() == 1:
		o.Release = cmd.Args().First()
	}
	if o.Stage && (o.Kexec || o.Append != "") {
		return o, usage(cmd.FullName()+" --help", "cannot use --stage with --kexec or --append: nothing is started")
	}
	var err error
	o.Release, err = fileOrName(o.Release)
	return o, err
}

// agreed says what would be done and asks. It is false too when there is
// nothing to do.
func (a *app) agreed(ctx context.Context, cmd *cli.Command, options osupdate.Upgrade) (bool, error) {
	options.Check = true
	var found osupdate.Upgraded
	if err := a.work(ctx, cmd, "upgrade", "upgrade", options, &found); err != nil {
		return false, err
	}
	if found.Nothing != "" {
		a.sayUpgraded(found)
		return false, nil
	}
	signed := "signed with " + found.Key
	if found.Key == "" {
		signed = "NOT SIGNED by anybody this machine trusts"
	}
	return a.confirm(fmt.Sprintf("Upgrade to %s (%s, %s)? What is in slot %s now will be replaced.", found.Version, short(found.Digest), signed, found.Slot)), nil
}

func (a *app) sayUpgraded(done osupdate.Upgraded) {
	switch {
	case done.Nothing != "":
		fmt.Fprintf(a.stdout, "Nothing to do for %s: %s.\n", done.Version, done.Nothing)
		return
	case done.Already:
		fmt.Fprintf(a.stdout, "%s is in slot %s already, whole.\n", done.Version, done.Slot)
	default:
		fmt.Fprintf(a.stdout, "%s is in slot %s; %s of its %s had to be fetched.\n", done.Version, done.Slot, size(done.Transferred), size(done.Size))
	}
	if done.Armed {
		fmt.Fprintln(a.stdout, "The next start tries it.")
	}
}

// short is enough of a digest to tell one from another.
func short(digest string) string {
	const enough = len("sha256:") + 12
	return digest[:min(len(digest), enough)]
}

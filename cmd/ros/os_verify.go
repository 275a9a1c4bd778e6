package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/osupdate"
)

func (a *app) osVerifyVerb() *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "hash both slots again and hold them against what was signed",
		Description: `Reads every byte of kernel, initrd and OS image of both slots from the disk. The
exit status is 1 when something is damaged or not signed with a key that this
machine trusts. Works in the rescue shell too.`,
		Metadata: examples("sudo ros os verify"),
		Flags:    []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			var slots []osupdate.Verified
			if err := a.work(ctx, cmd, "verify the slots", "verify", struct{}{}, &slots); err != nil {
				return err
			}
			sound := true
			for _, s := range slots {
				sound = sound && (s.Empty || len(s.Faults) == 0 && s.Key != "")
				if !cmd.Bool("json") {
					a.sayVerified(s)
				}
			}
			if !sound {
				return unwell()
			}
			return nil
		},
	}
}

func (a *app) sayVerified(s osupdate.Verified) {
	name := fmt.Sprintf("Slot %s: %s %s", s.Slot, s.Version, short(s.Digest))
	switch {
	case s.Empty:
		fmt.Fprintf(a.stdout, "Slot %s: empty\n", s.Slot)
		return
	case s.Version == "":
		name = fmt.Sprintf("Slot %s", s.Slot)
	}
	for _, f := range s.Faults {
		fmt.Fprintf(a.stdout, "%s: %s\n", name, f)
	}
	switch {
	case s.Key != "" && len(s.Faults) == 0:
		fmt.Fprintf(a.stdout, "%s: every byte is as it was signed with %s\n", name, s.Key)
	case s.Key == "" && len(s.Faults) == 0:
		fmt.Fprintf(a.stdout, "%s: every byte is as it was built, but no key that this machine trusts has signed it\n", name)
	}
}

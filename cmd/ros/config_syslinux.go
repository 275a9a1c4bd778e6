package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/yamldoc"
)

func (a *app) configSyslinuxVerb() *cli.Command {
	return &cli.Command{
		Name:     "syslinux",
		Usage:    "edit the kernel's arguments for the next boot",
		Category: configFiles,
		Description: `Opens $VISUAL, $EDITOR or nano on a copy. The arguments count from the next boot
on, for both slots, and upgrades keep them. What you wrote is never thrown away:
when it cannot be used, the copy stays and you read where. Only an installed
machine has a boot menu that can be edited. (The name is RancherOS's; the boot
loader is GRUB.)`,
		Metadata: examples("sudo ros config syslinux", "sudo EDITOR=vi ros config syslinux"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := a.aloneAsRoot(cmd, "edit the kernel's arguments"); err != nil {
				return err
			}
			return a.configSyslinux(ctx, cmd)
		},
	}
}

const (
	editingArgs = "edit the kernel's arguments"
	argsHeader  = `# The kernel's arguments of this machine, from the next boot on. Upgrades keep
# them. Lines are joined; lines that begin with # do not count.
`
)

func (a *app) configSyslinux(ctx context.Context, cmd *cli.Command) (err error) {
	var now osupdate.Args
	if err := a.work(ctx, cmd, editingArgs, "args", osupdate.ArgsOptions{}, &now); err != nil {
		var failed *osupdate.Failure
		if errors.As(err, &failed) && strings.Contains(failed.Message, "started from an ISO") {
			return &fault{err: err, try: "e in the boot menu, for one boot", code: exitFailed}
		}
		return err
	}
	text := []byte(argsHeader + now.Args + "\n")
	copied, err := a.privateCopy("kernel-arguments", text)
	if err != nil {
		return fmt.Errorf("cannot make a copy to edit: %w", err)
	}
	defer func() {
		if written, readErr := os.ReadFile(copied); err == nil || readErr == nil && bytes.Equal(written, text) {
			os.RemoveAll(filepath.Dir(copied))
			return
		}
		err = fmt.Errorf("%w; what you wrote is in %s", err, copied)
	}()
	answers := bufio.NewReader(a.stdin)
	for {
		if err := a.runEditor(ctx, copied); err != nil {
			return err
		}
		written, err := yamldoc.Read(copied)
		if err != nil {
			return fmt.Errorf("cannot use this: %w", err)
		}
		args := argsOf(written)
		if args == now.Args {
			_, err := fmt.Fprintln(a.stdout, "nothing has changed")
			return err
		}
		err = a.work(ctx, cmd, editingArgs, "args", osupdate.ArgsOptions{Set: &args, Was: now.Args}, nil)
		if err == nil {
			_, err := fmt.Fprintf(a.stdout, "from the next boot on: %s\n", orElse(args, "(no arguments)"))
			return err
		}
		var failed *osupdate.Failure
		if !errors.As(err, &failed) {
			return err
		}
		fmt.Fprintln(a.stderr, err)
		if !a.again(answers) {
			return errors.New("cannot change the kernel's arguments: nothing was written")
		}
	}
}

// argsOf is the arguments in what was edited. "APPEND" at the beginning of a
// line is how RancherOS's file had it.
func argsOf(text []byte) string {
	var words []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		words = append(words, strings.TrimSpace(strings.TrimPrefix(line, "APPEND ")))
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/yamldoc"
)

func (a *app) configEditVerb() *cli.Command {
	return &cli.Command{
		Name:     "edit",
		Usage:    "edit cloud-config.yml, check it and apply it",
		Category: changeConfig,
		Description: `Opens $VISUAL, $EDITOR or nano on a copy. With a fault in it you can edit again;
what you wrote is never thrown away: when it cannot be used, the copy stays and
you read where.`,
		Metadata: examples("sudo ros config edit", "sudo EDITOR=vi ros config edit --try 2m"),
		Flags:    []cli.Flag{inputFlag("begin with `FILE`, not with what is there"), tryFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := a.aloneAsRoot(cmd, "change the config"); err != nil {
				return err
			}
			return a.configEdit(ctx, cmd.String("input"), writing{try: cmd.Duration("try")})
		},
	}
}

func (a *app) configEdit(ctx context.Context, input string, how writing) (err error) {
	file, err := a.configFile()
	if err != nil {
		return err
	}
	text := file.beginning()
	if input != "" {
		if _, text, err = a.input(input); err != nil {
			return err
		}
	}
	copied, err := a.privateCopy("cloud-config.yml", text)
	if err != nil {
		return fmt.Errorf("cannot make a copy to edit: %w", err)
	}
	defer func() {
		if now, readErr := yamldoc.Read(copied); err == nil || readErr == nil && bytes.Equal(now, text) {
			os.RemoveAll(filepath.Dir(copied))
			return
		}
		err = &fault{err: fmt.Errorf("%w; what you wrote is in %s", err, copied), try: "sudo ros config edit -i " + copied, code: exitFailed}
	}()
	edited, err := a.editUntilRight(ctx, file, copied)
	if err != nil {
		return err
	}
	if bytes.Equal(edited, file.beginning()) {
		edited = file.text
	}
	return a.write(ctx, how, file, edited)
}

// privateCopy puts text where only root can read it, on the disk that the
// config is on: a copy must outlive a power cut.
func (a *app) privateCopy(name string, text []byte) (string, error) {
	if err := os.MkdirAll(a.conf, 0o700); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(a.conf, ".edit-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, text, 0o600)
}

// editUntilRight lets the editor run until what comes out has no new fault, or
// the operator gives up.
func (a *app) editUntilRight(ctx context.Context, file configFile, copied string) ([]byte, error) {
	answers := bufio.NewReader(a.stdin)
	for {
		if err := a.runEditor(ctx, copied); err != nil {
			return nil, err
		}
		text, err := yamldoc.Read(copied)
		if err == nil {
			err = a.refuse("use this", file.path, file.text, text)
		}
		if err == nil {
			return text, nil
		}
		for _, fault := range leaves(err) {
			fmt.Fprintf(a.stderr, "%s\n", fault)
		}
		if !a.again(answers) {
			return nil, fmt.Errorf("cannot change %s: nothing was written", file.path)
		}
	}
}

// again asks whether to edit once more.
func (a *app) again(answers *bufio.Reader) bool {
	fmt.Fprint(a.stdout, "Edit again? [Y/n] ")
	answer, err := answers.ReadString('\n')
	if err == io.EOF {
		fmt.Fprintln(a.stdout)
	}
	word := strings.ToLower(strings.TrimSpace(answer))
	return err == nil && (word == "" || word == "y" || word == "yes")
}

func (a *app) runEditor(ctx context.Context, path string) error {
	editor := orElse(a.getenv("VISUAL"), orElse(a.getenv("EDITOR"), "nano"))
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", editor+` "$1"`, "sh", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	if out, ok := a.stdout.(*output); ok {
		cmd.Stdout = out.to // a terminal, which editors want
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot edit with %q: %w", editor, err)
	}
	return nil
}

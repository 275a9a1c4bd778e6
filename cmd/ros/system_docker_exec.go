package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) dockerExec() *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a program in a container", ArgsUsage: "CONTAINER PROGRAM [ARGUMENT…]",
		StopOnNthArg: nth(1), DisableSliceFlagSeparator: true,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "with standard input", Local: true},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "with a terminal", Local: true},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "as `USER[:GROUP]`", Local: true},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "in a `FOLDER`", Local: true},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "with `NAME=VALUE`", Local: true},
			&cli.BoolFlag{Name: "privileged", Local: true, Hidden: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			args := cmd.Args().Slice()
			if len(args) < 2 {
				return usage("system-docker exec -it console bash", "cannot run a program: name the container and the program")
			}
			if cmd.Bool("tty") && cmd.Bool("interactive") && !a.sitsAtTerminal() {
				return usage("without -t", "cannot use -t: the input is not a terminal")
			}
			c, err := a.container(ctx, args[0])
			if err != nil {
				return err
			}
			size := sizeFor(cmd.Bool("tty"))
			t, err := a.daemon().talk(ctx, "POST", "/v1/containers/"+c.Name+"/exec", control.Exec{
				Args: args[1:], User: cmd.String("user"), WorkingDir: cmd.String("workdir"), Env: a.environment(cmd.StringSlice("env")),
				Terminal: cmd.Bool("tty"), Input: cmd.Bool("interactive"), Rows: size.Rows, Columns: size.Columns,
			})
			if err != nil {
				return a.explain("run "+strings.Join(args[1:], " ")+" in "+c.Name, err)
			}
			return a.attach(t, cmd.Bool("interactive"), cmd.Bool("tty"))
		},
	}
}

func nth(n int) *int { return &n }

// environment fills in variables that are given without a value from our own.
func (a *app) environment(list []string) []string {
	var all []string
	for _, kv := range list {
		if !strings.Contains(kv, "=") {
			value := a.getenv(kv)
			if value == "" {
				continue
			}
			kv += "=" + value
		}
		all = append(all, kv)
	}
	return all
}

// attach sits in front of a process until it has ended; its exit code becomes
// ours.
func (a *app) attach(t *talk, input, terminal bool) error {
	if !input {
		return a.attachTo(t, nil, terminal)
	}
	return a.attachTo(t, a.stdin, terminal)
}

// attachTo is attach with what is read instead of our input; nil: nothing.
func (a *app) attachTo(t *talk, input io.Reader, terminal bool) error {
	defer t.Close()
	frames := &control.FrameWriter{W: t}
	if terminal {
		if f, ok := a.stdin.(*os.File); ok && input != nil {
			restore, err := rawTerminal(f)
			if err != nil {
				return err
			}
			defer restore()
		}
		stop := keepSize(frames)
		defer stop()
	}
	if input != nil {
		go func() {
			_, _ = io.Copy(frames.Stream(control.Input), input)
			_ = frames.Frame(control.InputEnd, nil)
		}()
	}
	code, err := readFrames(t, a.stdout, a.stderr)
	switch {
	case err != nil:
		return a.explain("follow it", err)
	case code != 0:
		return &fault{code: code}
	}
	return nil
}

// readFrames writes what comes and returns the exit code at the end.
func readFrames(in io.Reader, stdout, stderr io.Writer) (int, error) {
	for {
		kind, data, err := control.ReadFrame(in)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		switch kind {
		case control.Output:
			_, err = stdout.Write(data)
		case control.Errors:
			_, err = stderr.Write(data)
		case control.End:
			var end control.Ending
			if err := json.Unmarshal(data, &end); err != nil {
				return 0, err
			}
			if end.Error != "" {
				return end.Code, &refusal{message: end.Error}
			}
			return end.Code, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// keepSize tells the size of our terminal now and whenever it changes.
func keepSize(frames *control.FrameWriter) (stop func()) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	done := make(chan struct{})
	changes <- syscall.SIGWINCH
	go func() {
		for {
			select {
			case <-done:
				return
			case <-changes:
				if size, ok := terminalSize(); ok {
					_ = frames.Value(control.Resize, size)
				}
			}
		}
	}()
	return func() { signal.Stop(changes); close(done) }
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) killVerb() *cli.Command {
	return &cli.Command{
		Name:      "kill",
		Usage:     "send services a signal",
		Category:  changeServices,
		ArgsUsage: changeNamesUsage,
		Description: `The signal goes to the main process of each service. A service that ends by it
is restarted or not as its file says; "stop" is what keeps it down.`,
		Metadata: examples("ros service kill -s HUP syslog", "ros service kill docker"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Value: "SIGKILL", Local: true,
				Usage: "`SIGNAL` by name or number (default: SIGKILL)"},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			names, err := needNames(cmd)
			if err != nil {
				return err
			}
			signal, err := parseSignal(cmd.String("signal"))
			if err != nil {
				return usage("a name such as HUP or a number such as 1", "cannot send signal: %w", err)
			}
			return a.change(ctx, "kill", names, control.Options{Signal: signal}, func(control.Service) (string, error) {
				return "sent " + signal, nil
			})
		},
	}
}

// parseSignal takes a signal as people write it (9, kill, SIGKILL) and returns
// its one name.
func parseSignal(text string) (string, error) {
	if n, err := strconv.Atoi(text); err == nil {
		if name := unix.SignalName(syscall.Signal(n)); name != "" {
			return name, nil
		}
		return "", fmt.Errorf("%q is no signal", text)
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if unix.SignalNum(name) == 0 {
		return "", fmt.Errorf("%q is no signal", text)
	}
	return name, nil
}

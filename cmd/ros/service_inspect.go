package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
)

// inspected is all that is known about a service.
type inspected struct {
	Service    control.Service `json:"service"`
	Definition compose.Service `json:"definition"` // the last one without a fault
	Spec       json.RawMessage `json:"spec"`       // what its container is made from
}

func (a *app) inspectVerb() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "all that is known about services, as JSON",
		Category:  lookAtServices,
		ArgsUsage: changeNamesUsage,
		Description: `A list with, for each service, its state, its definition and what its container
is made from.`,
		Metadata: examples("ros service inspect ntp", "ssh rancher@edge-7 ros service inspect web | jq '.[0].definition.image'"),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			names, err := needNames(cmd)
			if err != nil {
				return err
			}
			var all []inspected
			for _, name := range names {
				one, err := a.inspect(ctx, name)
				if err != nil {
					return a.explainNamed(ctx, "inspect", name, err)
				}
				all = append(all, one)
			}
			return a.printJSON(all)
		},
	}
}

func (a *app) inspect(ctx context.Context, name string) (one inspected, err error) {
	if one, err = a.described(ctx, name); err == nil {
		one.Spec, err = a.daemon().spec(ctx, name)
	}
	return one, err
}

// described is inspect without what a container would be made from now.
func (a *app) described(ctx context.Context, name string) (one inspected, err error) {
	path := "/v1/services/" + url.PathEscape(name)
	if err = a.daemon().ask(ctx, "GET", path, nil, &one.Service); err == nil {
		err = a.daemon().ask(ctx, "GET", path+"/definition", nil, &one.Definition)
	}
	return one, err
}

func (a *app) execVerb() *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "run a command in a service",
		Category:  lookAtServices,
		ArgsUsage: "NAME COMMAND…",
		Description: `The same as "docker exec" for a service of scope user, as "system-docker exec"
for others.`,
		Metadata:        examples("ros service exec web sh"),
		SkipFlagParsing: true,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			words := cmd.Args().Slice()
			if len(words) > 0 && (words[0] == "--help" || words[0] == "-h") {
				printHelp(cmd.Root().Writer, "", cmd)
				return nil
			}
			if len(words) < 2 {
				return usage("ros service exec NAME COMMAND…", "cannot run a command: give the name of a service, then the command")
			}
			one, err := a.described(ctx, words[0])
			if err != nil {
				return a.explainNamed(ctx, "run a command in", words[0], err)
			}
			return a.become(one, words)
		},
	}
}

// become replaces ros by the client of what runs the service.
func (a *app) become(one inspected, words []string) error {
	program, container := "system-docker", one.Service.Name
	if one.Service.Scope == compose.ScopeUser {
		var engine struct{ Name string }
		if err := json.Unmarshal(one.Definition.Engine, &engine); err != nil {
			return fmt.Errorf("cannot run a command in service %q: %w", one.Service.Name, err)
		}
		program, container = "docker", engine.Name
	} else if err := a.needRoot(fmt.Sprintf("run a command in service %q", container)); err != nil {
		return err
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("cannot run a command in service %q: this console has no %s", one.Service.Name, program)
	}
	err = syscall.Exec(path, slices.Concat([]string{program}, a.execArguments(), []string{container}, words[1:]), os.Environ())
	return fmt.Errorf("cannot run %s: %w", program, err)
}

// execArguments ask for a terminal only where input and output are one: the
// clients refuse it to what comes out of a pipe.
func (a *app) execArguments() []string {
	if a.terminal && a.sitsAtTerminal() {
		return []string{"exec", "-i", "-t"}
	}
	return []string{"exec", "-i"}
}

// buildVerb is a verb of RancherOS that is gone; it says what to do instead.
func (a *app) buildVerb() *cli.Command {
	return &cli.Command{
		Name: "build", Hidden: true, Category: changeServices, ArgsUsage: "[NAME…]",
		Usage:    "nothing is built on this machine",
		Metadata: examples("ros service build web"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-cache", Usage: "no effect", Local: true},
			&cli.BoolFlag{Name: "force-rm", Usage: "no effect", Local: true},
			&cli.BoolFlag{Name: "pull", Usage: "no effect", Local: true},
		},
		Action: func(context.Context, *cli.Command) error {
			return &fault{
				err:  errors.New("cannot build services: nothing is built on this machine; name an image that a registry has"),
				try:  "docker build, push the image, and name it in the service file",
				code: exitFailed,
			}
		},
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

// systemDockerName is the name by which scripts of RancherOS call this program
// to look at the containers of the system.
const systemDockerName = "system-docker"

// systemDocker is the tree of verbs under that name. There is no Docker behind
// it: it asks rosd, and prints what docker would print.
func (a *app) systemDocker() *cli.Command {
	return &cli.Command{
		Name:  systemDockerName,
		Usage: "containers and images of the system, in docker's words",
		Description: `For scripts and hands that know RancherOS. The containers are those of the
system containerd: the services of the OS, and what "run" makes. "ros service"
says more about services. User containers are docker's.`,
		Metadata: examples(
			"system-docker ps -a",
			"system-docker logs -f --tail 20 network",
			"sudo system-docker exec -it console bash",
			"sudo system-docker run --rm -it alpine sh",
		),
		Commands: []*cli.Command{
			a.dockerPS(), a.dockerLogs(), a.dockerExec(), a.dockerInspect(), a.dockerStats(),
			a.dockerRun(),
			a.dockerAct("start", "start containers"), a.dockerAct("stop", "stop containers"),
			a.dockerAct("restart", "stop and start containers"), a.dockerAct("kill", "send containers a signal"),
			a.dockerAct("rm", "remove containers"),
			a.dockerImages(), a.dockerPull(), a.dockerLoad(), a.dockerSave(), a.dockerRemoveImage(), a.dockerTag(),
			a.dockerVersion(),
		},
	}
}

// containers asks for all of them.
func (a *app) containers(ctx context.Context) (list []control.Container, err error) {
	err = a.daemon().ask(ctx, "GET", "/v1/containers", nil, &list)
	return list, a.explain("list the containers", err)
}

// container finds one by its name or the beginning of its ID.
func (a *app) container(ctx context.Context, word string) (control.Container, error) {
	list, err := a.containers(ctx)
	if err != nil {
		return control.Container{}, err
	}
	word = strings.TrimPrefix(word, "/")
	var found []control.Container
	for _, c := range list {
		if c.Name == word {
			return c, nil
		}
		if strings.HasPrefix(c.ID, word) {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		return control.Container{}, fmt.Errorf("no such container: %s", word)
	}
	return found[0], nil
}

// each does something to every container that was named, in that order, and
// goes on after a fault.
func (a *app) each(ctx context.Context, cmd *cli.Command, do func(c control.Container) error) error {
	if !cmd.Args().Present() {
		return usage("system-docker ps -a", "cannot %s a container: name at least one", cmd.Name)
	}
	var faults []error
	for _, word := range cmd.Args().Slice() {
		c, err := a.container(ctx, word)
		if err == nil {
			err = do(c)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// dockerAct is a verb that changes containers.
func (a *app) dockerAct(verb, does string) *cli.Command {
	c := &cli.Command{Name: verb, Usage: does, ArgsUsage: "CONTAINER…"}
	switch verb {
	case "stop", "restart":
		c.Flags = []cli.Flag{&cli.IntFlag{Name: "time", Aliases: []string{"t"}, Value: -1, HideDefault: true, Local: true,
			Usage: "`SECONDS` until it is killed (without it: what its service file says)"}}
	case "kill":
		c.Flags = []cli.Flag{&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Value: "SIGKILL", Local: true, Usage: "`SIGNAL` by name or number"}}
	case "rm":
		c.Flags = []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Local: true, Usage: "also those that run"},
			&cli.BoolFlag{Name: "volumes", Aliases: []string{"v"}, Local: true, Hidden: true},
		}
	}
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		var o control.ContainerOptions
		switch verb {
		case "stop", "restart":
			if n := cmd.Int("time"); n >= 0 {
				o.TimeoutSeconds = &n
			}
		case "kill":
			signal, err := parseSignal(cmd.String("signal"))
			if err != nil {
				return usage("a name such as HUP or a number such as 1", "cannot send signal: %w", err)
			}
			o.Signal = signal
		case "rm":
			o.Force = cmd.Bool("force")
		}
		return a.each(ctx, cmd, func(c control.Container) error {
			var done control.Container
			if err := a.daemon().ask(ctx, "POST", "/v1/containers/"+c.Name+"/"+verb, o, &done); err != nil {
				return a.explain(verb+" "+c.Name, err)
			}
			fmt.Fprintln(a.stdout, c.Name)
			return nil
		})
	}
	return c
}

func (a *app) dockerVersion() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "which OS and which containerd this is",
		Flags: []cli.Flag{formatFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			status, err := a.daemon().status(ctx)
			if err != nil {
				return a.explain("ask for the version", err)
			}
			type part struct{ Version, Os, Arch, KernelVersion string }
			v := struct{ Client, Server part }{
				Client: part{Version: status.Version, Os: "linux", Arch: status.Arch},
				Server: part{Version: status.Version, Os: "linux", Arch: status.Arch, KernelVersion: status.Kernel},
			}
			if format := cmd.String("format"); format != "" {
				return a.formatted(format, v)
			}
			fmt.Fprintf(a.stdout, "Client: ros\n Version:  %s\n OS/Arch:  linux/%s\n\nServer: rosd, containerd\n Version:  %s\n OS/Arch:  linux/%s\n Kernel:   %s\n",
				v.Client.Version, v.Client.Arch, v.Server.Version, v.Server.Arch, v.Server.KernelVersion)
			return nil
		},
	}
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

const shortID = 12

func (a *app) dockerPS() *cli.Command {
	return &cli.Command{
		Name: "ps", Usage: "the containers that run",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "also those that do not run", Local: true},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print IDs only", Local: true},
			&cli.BoolFlag{Name: "no-trunc", Usage: "print all of it", Local: true},
			&cli.StringSliceFlag{Name: "filter", Aliases: []string{"f"}, Local: true,
				Usage: "only those with `KEY=VALUE`: name, id, status (running, exited), label, ancestor"},
			formatFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			list, err := a.containers(ctx)
			if err != nil {
				return err
			}
			for _, filter := range cmd.StringSlice("filter") {
				if list, err = filtered(list, filter); err != nil {
					return err
				}
			}
			all := cmd.Bool("all") || slices.ContainsFunc(cmd.StringSlice("filter"), func(f string) bool { return strings.HasPrefix(f, "status=") })
			return a.printRows(cmd, a.psRows(list, all, cmd.Bool("no-trunc")))
		},
	}
}

// psRow is what a format of docker ps sees.
type psRow struct {
	ID, Image, Command, CreatedAt, RunningFor, Ports, State, Status, Names, Labels string
}

func (a *app) psRows(list []control.Container, all, whole bool) rows {
	r := rows{head: []string{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"}}
	for _, c := range list {
		if c.Pid == 0 && !all {
			continue
		}
		command := strings.Join(c.Command, " ")
		if !whole && len(command) > 20 {
			command = command[:19] + "…"
		}
		row := psRow{
			ID: cut(c.ID, shortID, whole), Image: c.Image, Command: fmt.Sprintf("%q", command),
			CreatedAt: c.Created.In(a.loc).Format("2006-01-02 15:04:05 -0700 MST"), RunningFor: a.ago(c.Created),
			Ports: strings.Join(c.Ports, ", "), State: dockerState(c), Status: a.dockerStatus(c), Names: c.Name, Labels: joined(c.Labels),
		}
		r.cells = append(r.cells, []string{row.ID, row.Image, row.Command, row.RunningFor, row.Status, row.Ports, row.Names})
		r.values, r.quiet = append(r.values, row), append(r.quiet, row.ID)
	}
	return r
}

func joined(labels map[string]string) string {
	var words []string
	for k, v := range labels {
		words = append(words, k+"="+v)
	}
	slices.Sort(words)
	return strings.Join(words, ",")
}

// dockerState is a state in docker's words.
func dockerState(c control.Container) string {
	switch {
	case c.Pid != 0:
		return "running"
	case c.State == control.Backoff:
		return "restarting"
	case c.ExitCode == nil && (c.State == control.Waiting || c.State == control.Starting):
		return "created"
	}
	return "exited"
}

func (a *app) dockerStatus(c control.Container) string {
	switch dockerState(c) {
	case "running":
		up := "Up " + units.HumanDuration(a.now().Sub(c.StartedAt))
		switch c.State {
		case control.Healthy, control.Unhealthy:
			up += " (" + string(c.State) + ")"
		case control.Starting:
			up += " (health: starting)"
		}
		return up
	case "restarting":
		return fmt.Sprintf("Restarting (%d) %s", exitCode(c), a.ago(c.FinishedAt))
	case "created":
		return "Created"
	}
	if c.ExitCode == nil && c.FinishedAt.IsZero() {
		return "Exited"
	}
	return fmt.Sprintf("Exited (%d) %s", exitCode(c), a.ago(c.FinishedAt))
}

func exitCode(c control.Container) int {
	if c.ExitCode == nil {
		return 255 // nobody knows, as docker says after a power cut
	}
	return *c.ExitCode
}

// filtered is what docker ps --filter leaves.
func filtered(list []control.Container, filter string) ([]control.Container, error) {
	key, value, ok := strings.Cut(filter, "=")
	var fits func(control.Container) bool
	switch key {
	case "name":
		fits = func(c control.Container) bool { return strings.Contains(c.Name, strings.Trim(value, "^$/")) }
	case "id":
		fits = func(c control.Container) bool { return strings.HasPrefix(c.ID, value) }
	case "status":
		fits = func(c control.Container) bool { return dockerState(c) == value }
	case "ancestor":
		fits = func(c control.Container) bool { return c.Image == value }
	case "label":
		name, want, exact := strings.Cut(value, "=")
		fits = func(c control.Container) bool {
			v, there := c.Labels[name]
			return there && (!exact || v == want)
		}
	}
	if fits == nil || !ok {
		return nil, usage("--filter name=console", "cannot filter by %q", filter)
	}
	return slices.DeleteFunc(list, func(c control.Container) bool { return !fits(c) }), nil
}

func (a *app) dockerStats() *cli.Command {
	return &cli.Command{
		Name: "stats", Usage: "memory and processor time of the containers that run", ArgsUsage: "[CONTAINER…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-stream", Usage: "once, and not until Ctrl-C", Local: true},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Local: true, Hidden: true},
			&cli.BoolFlag{Name: "no-trunc", Local: true, Hidden: true},
			formatFlag(),
		},
		Action: a.showUsage,
	}
}

func (a *app) dockerLogs() *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "what a container has written", ArgsUsage: "CONTAINER",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until Ctrl-C", Local: true},
			&cli.StringFlag{Name: "tail", Aliases: []string{"n"}, Value: "all", Usage: "the last `N` lines", Local: true},
			&cli.BoolFlag{Name: "timestamps", Aliases: []string{"t"}, Usage: "begin lines with their time", Local: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usage("system-docker ps -a", "cannot show the log: name one container")
			}
			const everything = 1 << 20
			lines := everything
			if tail := cmd.String("tail"); tail != "all" {
				if _, err := fmt.Sscan(tail, &lines); err != nil || lines < 0 {
					return usage("--tail 100", "cannot use %q for flag --tail: not a number", tail)
				}
			}
			c, err := a.container(ctx, cmd.Args().First())
			if err != nil {
				return err
			}
			l := logs{app: a, names: []string{c.Name}, lines: lines, times: cmd.Bool("timestamps")}
			if cmd.Bool("follow") {
				return l.follow(ctx)
			}
			return l.show(ctx)
		},
	}
}

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

// statsRow is what a format of docker stats sees.
type statsRow struct {
	ID, Container, Name, CPUPerc, MemUsage, MemPerc, NetIO, BlockIO, PIDs string
}

// showUsage shows what is used between two looks a second apart.
func (a *app) showUsage(ctx context.Context, cmd *cli.Command) error {
	names := cmd.Args().Slice()
	for i, word := range names {
		c, err := a.container(ctx, word)
		if err != nil {
			return err
		}
		names[i] = c.Name
	}
	look := func() (list []control.Usage, err error) {
		err = a.daemon().ask(ctx, "GET", "/v1/usage", nil, &list)
		return list, a.explain("show what containers use", err)
	}
	show := func(before, now []control.Usage, span time.Duration) error {
		return a.printRows(cmd, statsRows(before, now, span, names))
	}
	return watch(ctx, a, a.terminal && !cmd.Bool("no-stream"), look, show)
}

func statsRows(before, now []control.Usage, passed time.Duration, names []string) rows {
	r := rows{head: []string{"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"}}
	for _, u := range now {
		if len(names) > 0 && !slices.Contains(names, u.Service) {
			continue
		}
		used := int64(0)
		if at := slices.IndexFunc(before, func(b control.Usage) bool { return b.Service == u.Service }); at >= 0 {
			used = max(u.CPUMicroseconds-before[at].CPUMicroseconds, 0)
		}
		percent := 0.0
		if u.MemoryLimit > 0 {
			percent = 100 * float64(u.Memory) / float64(u.MemoryLimit)
		}
		id := cut(u.ID, shortID, false)
		row := statsRow{
			ID: id, Container: id, Name: u.Service,
			CPUPerc:  fmt.Sprintf("%.2f%%", 100*float64(used)/float64(max(passed.Microseconds(), 1))),
			MemUsage: units.BytesSize(float64(u.Memory)) + " / " + units.BytesSize(float64(u.MemoryLimit)),
			MemPerc:  fmt.Sprintf("%.2f%%", percent),
			NetIO:    "--", // services have the network of the machine
			BlockIO:  units.HumanSize(float64(u.ReadBytes)) + " / " + units.HumanSize(float64(u.WrittenBytes)),
			PIDs:     fmt.Sprint(u.Pids),
		}
		r.cells = append(r.cells, []string{row.ID, row.Name, row.CPUPerc, row.MemUsage, row.MemPerc, row.NetIO, row.BlockIO, row.PIDs})
		r.values, r.quiet = append(r.values, row), append(r.quiet, row.ID)
	}
	return r
}

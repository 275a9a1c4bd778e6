package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

// statsInterval is between two looks at what services take.
const statsInterval = time.Second

func (a *app) statsVerb() *cli.Command {
	return &cli.Command{
		Name:      "stats",
		Usage:     "what services take of the machine",
		Category:  lookAtServices,
		ArgsUsage: "[NAME…]",
		Description: `CPU is a share of one processor, over a second. On a terminal it goes on until
Ctrl-C.`,
		Metadata: examples("ros service stats", "ros service stats --no-stream docker"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-stream", Usage: "one look, also on a terminal", Local: true},
			jsonFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return a.stats(ctx, cmd.Args().Slice(), a.terminal && !cmd.Bool("no-stream"), cmd.Bool("json"))
		},
	}
}

func (a *app) stats(ctx context.Context, names []string, stream, asJSON bool) error {
	if len(names) > 0 {
		services, err := a.daemon().services(ctx)
		if err != nil {
			return a.explain("show what services take", err)
		}
		if _, err := pick("show", services, names); err != nil {
			return err
		}
	}
	look := func() (list []control.Stats, err error) {
		err = a.daemon().ask(ctx, "GET", "/v1/stats", nil, &list)
		if len(names) > 0 {
			list = slices.DeleteFunc(list, func(s control.Stats) bool { return !slices.Contains(names, s.Service) })
		}
		return list, a.explain("show what services take", err)
	}
	show := func(before, now []control.Stats, span time.Duration) error {
		if asJSON {
			return a.printJSON(now)
		}
		a.statsTable(before, now, span).write(a.stdout)
		return nil
	}
	return watch(ctx, a, stream && !asJSON, look, show)
}

// watch shows what changed between two looks: once, or each second on a clear
// screen until ctx ends.
func watch[T any](ctx context.Context, a *app, stream bool, look func() (T, error), show func(before, now T, span time.Duration) error) error {
	before, err := look()
	at := a.now()
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(statsInterval):
		}
		now, failed := look()
		if failed != nil {
			return failed
		}
		if stream {
			fmt.Fprint(a.stdout, "\x1b[H\x1b[J")
		}
		then := a.now()
		if err = show(before, now, then.Sub(at)); !stream {
			return err
		}
		before, at = now, then
	}
	return err
}

func (a *app) statsTable(before, now []control.Stats, span time.Duration) *table {
	used := map[string]int64{}
	for _, s := range before {
		used[s.Service] = s.CPUMicroseconds
	}
	t := &table{color: a.color}
	t.add("NAME", "CPU %", "MEM USAGE / LIMIT", "BLOCK I/O", "PIDS")
	for _, s := range now {
		share := "-"
		if was, ok := used[s.Service]; ok && span > 0 && s.CPUMicroseconds >= was {
			share = fmt.Sprintf("%.1f%%", 100*float64(s.CPUMicroseconds-was)/float64(span.Microseconds()))
		}
		limit := "none"
		if s.MemoryLimit > 0 {
			limit = size(s.MemoryLimit)
		}
		t.add(s.Service, share, size(s.Memory)+" / "+limit, strings.Join([]string{size(s.ReadBytes), size(s.WrittenBytes)}, " / "), strconv.FormatInt(s.Pids, 10))
	}
	return t
}

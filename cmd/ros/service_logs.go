package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/servicelog"
)

// gatherTime is how long lines of several followed services are gathered
// before they are sorted by time and printed. The services' files are read
// one after the other, so that without it the older line could come second.
const gatherTime = 250 * time.Millisecond

func (a *app) logsVerb() *cli.Command {
	return &cli.Command{
		Name:      "logs",
		Usage:     "what services have written, and with -f what they write",
		Category:  lookAtServices,
		ArgsUsage: "[NAME…]",
		Description: `Several services (without a name: all that have a log, also init, containerd and
rosd) are merged by time, each line with its service before it. The logs are
files in /var/log/ros: this verb works when rosd does not.`,
		Metadata: examples("ros service logs ntp", "ros service logs -f --lines 0 docker network", "ros service logs -t rosd"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until Ctrl-C", Local: true},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: 100, Local: true,
				Usage: "the last `N` lines of each service (default: 100)",
				Validator: func(n int) error {
					if n < 0 {
						return errors.New("less than nothing")
					}
					return nil
				}},
			&cli.BoolFlag{Name: "timestamps", Aliases: []string{"t"}, Usage: "begin lines with their time", Local: true},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object a line, for programs", Local: true},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			l := logs{
				app:   a,
				names: cmd.Args().Slice(),
				lines: cmd.Int("lines"),
				times: cmd.Bool("timestamps"),
				json:  cmd.Bool("json"),
			}
			if err := l.findNames(ctx); err != nil {
				return err
			}
			if cmd.Bool("follow") {
				return l.follow(ctx)
			}
			return l.show(ctx)
		},
	}
}

// logs is one run of the verb.
type logs struct {
	*app
	names       []string
	lines       int
	times, json bool
	engine      []string // names of those whose log the engine has
}

// logLine is a line with its service; it is also what --json prints.
type logLine struct {
	Service string    `json:"service"`
	Time    time.Time `json:"time,omitzero"`    // zero: a line torn by a power cut
	Stream  string    `json:"stream,omitempty"` // "stdout", "stderr", "note" (of the log itself)
	Text    string    `json:"text"`
}

// findNames checks the names, or takes all that have a log.
func (l *logs) findNames(ctx context.Context) error {
	known, err := logNames(l.logDir)
	if err != nil {
		return l.unreadable(err)
	}
	if len(l.names) == 0 {
		l.names = known
		if services, err := l.daemon().services(ctx); err == nil { // else without them
			l.inEngine(services, nil)
		}
		return nil
	}
	for _, name := range l.names {
		if slices.Contains(known, name) {
			continue
		}
		// A service that has not said a word has no file; only rosd knows it.
		services, err := l.daemon().services(ctx)
		if err != nil {
			return unknownLog(name, l.logDir, known)
		}
		if !hasService(services, name) {
			return unknownService("show the log of", name, append(known, serviceNames(services)...))
		}
		l.inEngine(services, &name)
	}
	return nil
}

func unknownLog(name, dir string, known []string) error {
	try := "ros service logs, for all logs there are"
	if near := nearest(name, known); near != "" {
		try = "ros service logs " + near
	}
	return &fault{
		err:  fmt.Errorf("cannot show the log of service %q: it has no log in %s", name, dir),
		try:  try,
		code: exitFailed,
	}
}

// logNames lists the services that have a log in dir.
func logNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".log"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func (l *logs) unreadable(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return &fault{
			err:  fmt.Errorf("cannot read the logs: no permission for %s", pathOf(err, l.logDir)),
			try:  "sudo " + strings.Join(l.argv, " "),
			code: exitFailed,
		}
	}
	return err
}

func pathOf(err error, other string) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return filepath.Clean(p.Path)
	}
	return other
}

func (l *logs) show(ctx context.Context) error {
	var all []logLine
	for _, name := range l.names {
		if slices.Contains(l.engine, name) {
			err := l.fromEngine(ctx, name, false, func(line logLine) error { all = append(all, line); return nil })
			if err != nil {
				return l.explain("show the log of service "+name, err)
			}
			continue
		}
		lines, err := servicelog.Tail(l.logDir, name, l.lines)
		if err != nil {
			return l.unreadable(err)
		}
		all = append(all, named(name, lines)...)
	}
	return l.print(all)
}

// named gives lines their service.
func named(service string, lines []servicelog.Line) []logLine {
	out := make([]logLine, 0, len(lines))
	for _, line := range lines {
		out = append(out, logLine{service, line.Time, line.Stream, line.Text})
	}
	return out
}

// print sorts lines by time and writes them.
func (l *logs) print(lines []logLine) error {
	if len(l.names) > 1 {
		sortByTime(lines)
	}
	width := 0
	for _, name := range l.names {
		width = max(width, len(name))
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, line := range lines {
		if l.json {
			if err := enc.Encode(line); err != nil {
				return err
			}
			continue
		}
		if len(l.names) > 1 {
			fmt.Fprintf(&b, "%-*s | ", width, line.Service)
		}
		if l.times && !line.Time.IsZero() {
			b.WriteString(line.Time.In(l.loc).Format("2006-01-02 15:04:05.000000") + " ")
		}
		b.WriteString(line.Text)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(l.stdout, b.String())
	return err
}

// sortByTime merges the lines of several services. Lines of one service stay
// in their order, whatever a set clock or a torn line makes of their times.
func sortByTime(lines []logLine) {
	type keyed struct {
		logLine
		key time.Time
	}
	sorted := make([]keyed, len(lines))
	latest := map[string]time.Time{}
	for i, line := range lines {
		if line.Time.After(latest[line.Service]) {
			latest[line.Service] = line.Time
		}
		sorted[i] = keyed{line, latest[line.Service]}
	}
	slices.SortStableFunc(sorted, func(a, b keyed) int { return a.key.Compare(b.key) })
	for i, k := range sorted {
		lines[i] = k.logLine
	}
}

// follow prints what is there and then what comes, until the context ends.
func (l *logs) follow(ctx context.Context) error {
	if len(l.names) == 0 {
		return &fault{err: fmt.Errorf("cannot follow the logs: there is none in %s", l.logDir), code: exitFailed}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan logLine)
	faults := make(chan error, len(l.names))
	var followers sync.WaitGroup
	for _, name := range l.names {
		followers.Go(func() {
			put := func(line logLine) error {
				select {
				case lines <- line:
				case <-ctx.Done():
				}
				return nil
			}
			var err error
			if slices.Contains(l.engine, name) {
				err = l.fromEngine(ctx, name, true, put)
			} else {
				err = servicelog.Follow(ctx, l.logDir, name, l.lines, func(line servicelog.Line) error {
					return put(logLine{name, line.Time, line.Stream, line.Text})
				})
			}
			if err != nil && ctx.Err() == nil {
				faults <- err
				cancel()
			}
		})
	}
	go func() { followers.Wait(); close(lines) }()

	err := l.printAsTheyCome(lines)
	cancel()
	for range lines { // let every follower see that it is over
	}
	select {
	case fault := <-faults:
		return l.unreadable(fault)
	default:
		return err
	}
}

// printAsTheyCome gathers lines for a moment, so that they can be sorted, and
// prints them, until the channel is closed.
func (l *logs) printAsTheyCome(lines <-chan logLine) error {
	for first := range lines {
		batch := []logLine{first}
		open := true
		timer := time.NewTimer(l.gatherTime())
		for wait := true; wait && open; {
			select {
			case line, ok := <-lines:
				if open = ok; ok {
					batch = append(batch, line)
				}
			case <-timer.C:
				wait = false
			}
		}
		timer.Stop()
		if err := l.print(batch); err != nil {
			return err
		}
	}
	return nil
}

// gatherTime is nothing for one service: its lines come in their order.
func (l *logs) gatherTime() time.Duration {
	if len(l.names) == 1 {
		return 0
	}
	return gatherTime
}

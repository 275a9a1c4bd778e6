package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeLogs puts logs into the machine, by service.
func writeLogs(t *testing.T, a *app, logs map[string]string) {
	t.Helper()
	if err := os.MkdirAll(a.logDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range logs {
		if err := os.WriteFile(filepath.Join(a.logDir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var someLogs = map[string]string{
	"ntp.log.1": "2026-11-23T11:00:00.000000Z stdout chronyd 4.6 starting\n",
	"ntp.log": `2026-11-23T11:00:02.000000Z stderr Could not resolve <pool>
torn line
2026-11-23T11:00:05.500000Z stdout Selected source 192.0.2.1
`,
	"network.log": `2026-11-23T11:00:01.000000Z stdout eth0: link up
2026-11-23T11:00:03.000000Z stdout eth0: leased 192.0.2.7
`,
	"rosd.log": "2026-11-23T10:59:59.000000Z stderr level=INFO msg=ready\n",
}

func TestServiceLogs(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		noRosd     bool
		want       result
	}{
		{name: "one, across files", line: "ros service logs ntp", want: result{out: `chronyd 4.6 starting
Could not resolve <pool>
torn line
Selected source 192.0.2.1
`}},
		{name: "last lines, times", line: "ros service logs -t --lines 2 ntp", want: result{out: `torn line
2026-11-23 11:00:05.500000 Selected source 192.0.2.1
`}},
		{name: "no lines", line: "ros service logs --lines 0 ntp"},
		{name: "several, merged", line: "ros service logs ntp network", want: result{out: `ntp     | chronyd 4.6 starting
network | eth0: link up
ntp     | Could not resolve <pool>
ntp     | torn line
network | eth0: leased 192.0.2.7
ntp     | Selected source 192.0.2.1
`}},
		{name: "all, without rosd", line: "ros service logs -n 1", noRosd: true, want: result{out: `rosd    | level=INFO msg=ready
network | eth0: leased 192.0.2.7
ntp     | Selected source 192.0.2.1
`}},
		{name: "json", line: "ros service logs --json -n 3 ntp", want: result{out: `{"service":"ntp","time":"2026-11-23T11:00:02Z","stream":"stderr","text":"Could not resolve <pool>"}
{"service":"ntp","text":"torn line"}
{"service":"ntp","time":"2026-11-23T11:00:05.5Z","stream":"stdout","text":"Selected source 192.0.2.1"}
`}},
		{name: "a service that has not said a word", line: "ros service logs docker"},
		{name: "no such service", line: "ros service logs netwrk", want: result{code: 1, err: `ros: cannot show the log of service "netwrk": no service has that name
try: "network"; ros service list shows all
`}},
		{name: "no such log, without rosd", line: "ros service logs netwrk", noRosd: true, want: result{code: 1, err: `ros: cannot show the log of service "netwrk": it has no log in DIR/log
try: ros service logs network
`}},
		{name: "nonsense", line: "ros service logs --lines=-1 ntp", want: result{code: 2, err: `ros: cannot use "-1" for flag --lines: less than nothing
try: ros service logs --help
`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rosd := machine()
			if tt.noRosd {
				rosd = nil
			}
			a := newApp(t, rosd)
			writeLogs(t, a, someLogs)
			check(t, a, tt.line, tt.want)
		})
	}
}

func TestServiceLogsDefault(t *testing.T) {
	a := newApp(t, nil)
	writeLogs(t, a, map[string]string{"ntp.log": strings.Repeat("a line\n", 150)})
	if got := strings.Count(a.try("ros service logs ntp").out, "\n"); got != 100 {
		t.Errorf("ros service logs prints %d lines, want 100", got)
	}
}

// One service's lines stay in their order when its clock was set back.
func TestServiceLogsClockSetBack(t *testing.T) {
	a := newApp(t, nil)
	writeLogs(t, a, map[string]string{
		"a.log": "2026-11-23T11:00:09.000000Z stdout one\n2026-11-23T11:00:01.000000Z stdout two\n",
		"b.log": "2026-11-23T11:00:05.000000Z stdout between\n",
	})
	check(t, a, "ros service logs a b", result{out: "b | between\na | one\na | two\n"})
}

func TestServiceLogsFollow(t *testing.T) {
	a := newApp(t, nil)
	writeLogs(t, a, someLogs)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var errs bytes.Buffer
	// The pipe is the clock: the next line is written when the one before it
	// was printed.
	out, in := io.Pipe()
	a.stdout, a.stderr = in, &errs
	code := make(chan int)
	go func() {
		c := a.run(ctx, []string{"ros", "service", "logs", "-f", "-n", "1", "ntp", "network"})
		in.Close()
		code <- c
	}()

	want := "network | eth0: leased 192.0.2.7\nntp     | Selected source 192.0.2.1\n"
	readText(t, out, want)
	appendLog(t, a, "ntp.log", "2026-11-23T11:01:00.000000Z stdout later\n")
	readText(t, out, "ntp     | later\n")
	cancel()
	if rest, _ := io.ReadAll(out); len(rest) > 0 {
		t.Errorf("more than was written: %q", rest)
	}
	if c := <-code; c != 0 || errs.Len() > 0 {
		t.Errorf("ended with %d, %q, want 0 and nothing", c, errs.String())
	}
}

func readText(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("logs -f (-want +got):\n%s", diff)
	}
}

func appendLog(t *testing.T, a *app, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(a.logDir, name), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestServiceLogsNotAllowed(t *testing.T) {
	a := newApp(t, nil)
	a.argv = []string{"ros", "service", "logs", "ntp"}
	l := logs{app: a}
	err := l.unreadable(&os.PathError{Op: "open", Path: "/var/log/ros/ntp.log", Err: os.ErrPermission})
	var errs bytes.Buffer
	a.stderr = &errs
	code := a.report("ros", err)
	want := "ros: cannot read the logs: no permission for /var/log/ros/ntp.log\ntry: sudo ros service logs ntp\n"
	if errs.String() != want || code != exitFailed {
		t.Errorf("reports %q, %d, want %q, %d", errs.String(), code, want, exitFailed)
	}
}

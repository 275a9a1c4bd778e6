package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// newProgram is a worker with three verbs.
func newProgram(t *testing.T, stdin string) (p program, out *bytes.Buffer) {
	t.Helper()
	out = &bytes.Buffer{}
	p = program{
		lock: filepath.Join(t.TempDir(), "run/osupdate.lock"), stdin: strings.NewReader(stdin), stdout: out,
		log: slog.New(slog.DiscardHandler),
	}
	p.verbs = []verb{
		{name: "say", run: func(_ context.Context, c call) (any, error) {
			var o struct {
				Text string `json:"text"`
			}
			if err := c.decode(&o); err != nil {
				return nil, err
			}
			c.events.Note("saying %q", o.Text)
			return o, nil
		}},
		{name: "fail", alone: true, run: func(context.Context, call) (any, error) {
			return nil, errors.New("cannot do this")
		}},
		{name: "nest", alone: true, run: func(ctx context.Context, _ call) (any, error) {
			inner := p
			inner.verbs = []verb{{name: "say", run: p.verbs[0].run}, {name: "fail", alone: true, run: p.verbs[1].run}}
			inner.stdin = nil
			inner.run(ctx, []string{"say"})
			inner.run(ctx, []string{"fail"})
			return nil, nil
		}},
	}
	return p, out
}

func TestProgram(t *testing.T) {
	for _, tt := range []struct {
		args, stdin string
		want        string
		status      int
	}{
		{args: "say", stdin: `{"text":"hi"}`, want: `{"event":"note","text":"saying \"hi\""}
{"event":"result","result":{"text":"hi"}}
`},
		{args: "say", stdin: " \n", want: `{"event":"note","text":"saying \"\""}
{"event":"result","result":{"text":""}}
`},
		{args: "say", stdin: `{"txet":"hi"}`, status: 1, want: `{"event":"error","error":"cannot read the options: json: unknown field \"txet\""}
`},
		{args: "say", stdin: strings.Repeat(" ", maxOptions+1), status: 1, want: `{"event":"error","error":"cannot read the options: they are larger than 4 MiB"}
`},
		{args: "fail", status: 1, want: `{"event":"error","error":"cannot do this"}
`},
		{args: "jump now", status: 1, want: `{"event":"error","error":"wrong usage: osupdate jump now: want one of: say, fail, nest"}
`},
		{args: "", status: 1, want: `{"event":"error","error":"wrong usage: osupdate : want one of: say, fail, nest"}
`},
	} {
		p, out := newProgram(t, tt.stdin)
		status := p.run(t.Context(), strings.Fields(tt.args))
		if out.String() != tt.want || status != tt.status {
			t.Errorf("osupdate %s = %d, want %d, and says\n%swant\n%s", tt.args, status, tt.status, out, tt.want)
		}
	}
}

// TestAlone: a verb that is alone keeps out others like it, not those that only
// look; and lets go of the lock at its end.
func TestAlone(t *testing.T) {
	p, out := newProgram(t, "")
	for range 2 {
		out.Reset()
		p.stdin = nil
		if status := p.run(t.Context(), []string{"nest"}); status != 0 {
			t.Errorf("osupdate nest = %d", status)
		}
		got := strings.Split(out.String(), "\n")
		if len(got) != 5 || !strings.HasPrefix(got[0], `{"event":"note"`) || !strings.HasPrefix(got[1], `{"event":"result"`) ||
			!strings.HasPrefix(got[2], `{"event":"error","error":"cannot fail: another is going on (nest, process `) {
			t.Errorf("a verb within another says\n%s", out)
		}
	}
}

// TestSettleIsWaitedFor: nobody has asked for it, so nobody is refused for it.
func TestSettleIsWaitedFor(t *testing.T) {
	p, _ := newProgram(t, "")
	begun, end := make(chan bool), make(chan bool)
	p.verbs = []verb{
		{name: "settle", alone: true, run: func(context.Context, call) (any, error) {
			close(begun)
			<-end
			return nil, nil
		}},
		{name: "work", alone: true, run: func(context.Context, call) (any, error) { return nil, nil }},
	}
	settled := make(chan int)
	q := p
	q.stdout = io.Discard
	go func() { settled <- q.run(t.Context(), []string{"settle"}) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status := p.run(ctx, []string{"work"}); status != 1 {
		t.Errorf("osupdate work beside settle, with no time to wait = %d, want 1", status)
	}
	close(end)
	if status := p.run(t.Context(), []string{"work"}); status != 0 || <-settled != 0 {
		t.Errorf("osupdate work after settle = %d, want 0", status)
	}
}

// TestNobodyListens: then what is going on ends.
func TestNobodyListens(t *testing.T) {
	p, _ := newProgram(t, "")
	r, w := io.Pipe()
	r.Close()
	p.stdout = w
	p.verbs = []verb{{name: "work", run: func(ctx context.Context, c call) (any, error) {
		c.events.Progress("work", 1, 2)
		<-ctx.Done()
		return nil, ctx.Err()
	}}}
	if status := p.run(t.Context(), []string{"work"}); status != 1 {
		t.Errorf("osupdate work = %d, want 1", status)
	}
}

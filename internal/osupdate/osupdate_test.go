package osupdate_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/osupdate"
)

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		events := osupdate.NewEvents(&out, nil)
		for done := range int64(5) {
			events.Progress("os image", done, 4)
		}
		events.Progress("kernel", 0, 0)
		events.Progress("kernel", 7, 0) // held back
		events.Note("%s & more", "text")
		events.Progress("kernel", 8, 0) // held back
		time.Sleep(time.Second)
		events.Progress("kernel", 9, 0)
		events.Progress("kernel", 10, 0)
		events.End(map[string]string{"slot": "A"}, nil)
		want := `{"event":"progress","step":"os image","total":4}
{"event":"progress","step":"os image","done":4,"total":4}
{"event":"progress","step":"kernel"}
{"event":"progress","step":"kernel","done":7}
{"event":"note","text":"text & more"}
{"event":"progress","step":"kernel","done":9}
{"event":"progress","step":"kernel","done":10}
{"event":"result","result":{"slot":"A"}}
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestEventsEndInAnError(t *testing.T) {
	for want, end := range map[string]func(*osupdate.Events){
		`{"event":"error","error":"cannot install"}`:                                                                func(e *osupdate.Events) { e.End(nil, errors.New("cannot install")) },
		`{"event":"error","error":"internal error: cannot write the result as JSON: json: unsupported value: NaN"}`: func(e *osupdate.Events) { e.End(math.NaN(), nil) },
	} {
		var out bytes.Buffer
		end(osupdate.NewEvents(&out, nil))
		if got := strings.TrimSpace(out.String()); got != want {
			t.Errorf("End() writes %s, want %s", got, want)
		}
	}
}

func TestEventsNobodyListens(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	lost := 0
	osupdate.NewEvents(w, func() { lost++ }).Note("anybody?")
	if lost != 1 {
		t.Errorf("lost was called %d times, want once", lost)
	}
}

// worker is a shell script in the worker's place.
func worker(t *testing.T, script string) osupdate.Local {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return osupdate.Local{Program: path}
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script string
		want   []osupdate.Event
	}{
		{
			name:   "gets the verb and the options",
			script: `read options; printf '{"event":"note","text":"%s %s"}\n{"event":"result","result":{}}\n' "$1" "$options"`,
			want:   []osupdate.Event{{Event: "note", Text: "install options"}, {Event: "result", Result: []byte("{}")}},
		},
		{
			name:   "what is no event is a note, and nothing comes after the end",
			script: `echo hello; echo '{"event":"error","error":"cannot install"}'; echo '{"event":"note","text":"late"}'; exit 1`,
			want:   []osupdate.Event{{Event: "note", Text: "hello"}, {Event: "error", Error: "cannot install"}},
		},
		{
			name:   "dies",
			script: `echo 'panic: oh no' >&2; kill -9 $$`,
			want:   []osupdate.Event{{Event: "error", Error: "cannot install: the worker ended without a result: signal: killed: panic: oh no"}},
		},
		{
			name:   "ends without a word",
			script: ``,
			want:   []osupdate.Event{{Event: "error", Error: "cannot install: the worker ended without a result"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []osupdate.Event
			err := worker(t, tt.script).Run(t.Context(), "install", []byte("options\n"), func(e osupdate.Event) error {
				got = append(got, e)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Run() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunWithoutProgram(t *testing.T) {
	err := osupdate.Collect(t.Context(), osupdate.Local{Program: "/nowhere/osupdate"}, "status", nil, nil, nil)
	want := "cannot start /nowhere/osupdate: fork/exec /nowhere/osupdate: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("Collect() = %v, want %s", err, want)
	}
}

// TestRunStops: whoever asked goes away, or wants no more.
func TestRunStops(t *testing.T) {
	const script = `trap 'echo "{\"event\":\"note\",\"text\":\"cleaned up\"}"; exit 1' TERM
echo '{"event":"note","text":"began"}'
while :; do sleep 0.01; done`
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		err := worker(t, script).Run(ctx, "install", nil, func(e osupdate.Event) error {
			cancel()
			got = append(got, e.Text+e.Error)
			return nil
		})
		if diff := cmp.Diff([]string{"began", "cleaned up", "stopped"}, got); diff != "" || !errors.Is(err, context.Canceled) {
			t.Errorf("Run() = %v (-want +got):\n%s", err, diff)
		}
	})
	t.Run("emit", func(t *testing.T) {
		gone := errors.New("gone")
		err := worker(t, script).Run(t.Context(), "install", nil, func(osupdate.Event) error { return gone })
		if !errors.Is(err, gone) {
			t.Errorf("Run() = %v, want %v", err, gone)
		}
	})
}

func TestCollect(t *testing.T) {
	var notes []string
	var got struct{ Slot string }
	err := osupdate.Collect(t.Context(), worker(t, `echo '{"event":"note","text":"one"}'; echo '{"event":"result","result":{"slot":"B"}}'`),
		"status", nil, &got, func(e osupdate.Event) error {
			notes = append(notes, e.Text)
			return nil
		})
	if err != nil || got.Slot != "B" || !cmp.Equal(notes, []string{"one"}) {
		t.Errorf("Collect() = %v, result %+v, notes %q", err, got, notes)
	}
	err = osupdate.Collect(t.Context(), worker(t, `echo '{"event":"error","error":"cannot look"}'`), "status", nil, nil, nil)
	if err == nil || err.Error() != "cannot look" {
		t.Errorf("Collect() = %v, want cannot look", err)
	}
}

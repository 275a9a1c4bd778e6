package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/osupdate"
)

// journey is an installation in which half a minute passes with every event.
var journey = []osupdate.Event{
	{Event: osupdate.Note, Text: "/dev/vda: 8.0 GiB"},
	{Event: osupdate.Progress, Step: "os image", Total: 200 << 20},
	{Event: osupdate.Progress, Step: "os image", Done: 50 << 20, Total: 200 << 20},
	{Event: osupdate.Progress, Step: "os image", Done: 51 << 20, Total: 200 << 20},
	{Event: osupdate.Progress, Step: "os image", Done: 200 << 20, Total: 200 << 20},
	{Event: osupdate.Progress, Step: "download"},
	{Event: osupdate.Progress, Step: "download", Done: 3000},
	{Event: osupdate.Note, Text: "done"},
}

func show(t *testing.T, terminal, asJSON bool) string {
	t.Helper()
	var out bytes.Buffer
	at := noon
	a := &app{stdout: &out, terminal: terminal, now: func() time.Time { return at }}
	s := a.shower(asJSON)
	for _, e := range journey {
		if err := s.event(e); err != nil {
			t.Fatal(err)
		}
		at = at.Add(30 * time.Second)
	}
	s.end()
	return out.String()
}

func TestProgress(t *testing.T) {
	for _, tt := range []struct {
		name             string
		terminal, asJSON bool
		want             string
	}{
		{"piped", false, false, `/dev/vda: 8.0 GiB
os image: 0%  0 of 200.0 MiB
os image: 25%  50.0 MiB of 200.0 MiB, 1m 30s left
os image: 100%  200.0 MiB of 200.0 MiB, 1m 30s
download: ...
download: 3 KiB
done
`},
		{"terminal", true, false, "/dev/vda: 8.0 GiB\n" +
			"\ros image         [                        ]   0%  0 of 200.0 MiB" +
			"\ros image         [======                  ]  25%  50.0 MiB of 200.0 MiB, 1m 30s left" +
			"\ros image         [======                  ]  25%  51.0 MiB of 200.0 MiB, 2m 55s left" +
			"\ros image         [========================] 100%  200.0 MiB of 200.0 MiB, 1m 30s    " +
			"\n\rdownload         ..." +
			"\rdownload         3 KiB\ndone\n"},
		{"json", true, true, `{"event":"note","text":"/dev/vda: 8.0 GiB"}
{"event":"progress","step":"os image","total":209715200}
{"event":"progress","step":"os image","done":52428800,"total":209715200}
{"event":"progress","step":"os image","done":53477376,"total":209715200}
{"event":"progress","step":"os image","done":209715200,"total":209715200}
{"event":"progress","step":"download"}
{"event":"progress","step":"download","done":3000}
{"event":"note","text":"done"}
`},
	} {
		if diff := cmp.Diff(tt.want, show(t, tt.terminal, tt.asJSON)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

package main

import "testing"

func TestEvents(t *testing.T) {
	// The fake ends after its last event, as rosd does when it is stopped.
	ended := `ros: cannot follow the events: rosd went away meanwhile
try: ros service logs rosd
`
	for _, tt := range []struct {
		name, line string
		want       result
	}{
		{name: "lines", line: "ros events", want: result{code: 3, err: ended, out: `11:59:58.000 ntp starting -> healthy
11:59:59.000 cron running -> backoff: exit status 1
12:00:00.000 reload
`}},
		{name: "json", line: "ros events --json", want: result{code: 3, err: ended, out: `{"time":"2026-11-23T11:59:58Z","type":"state","service":"ntp","from":"starting","to":"healthy"}
{"time":"2026-11-23T11:59:59Z","type":"state","service":"cron","from":"running","to":"backoff","reason":"exit status 1"}
{"time":"2026-11-23T12:00:00Z","type":"reload"}
`}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, newApp(t, machine()), tt.line, tt.want) })
	}
}

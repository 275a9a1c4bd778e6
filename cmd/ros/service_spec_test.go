package main

import "testing"

func TestServiceSpec(t *testing.T) {
	spec := result{out: `{
  "ociVersion": "1.2.0",
  "process": {
    "args": [
      "chronyd",
      "-d"
    ],
    "noNewPrivileges": true
  }
}
`}
	for _, tt := range []struct {
		name, line string
		want       result
	}{
		{name: "is JSON", line: "ros service spec ntp", want: spec},
		{name: "and again", line: "ros service spec ntp --json", want: spec},
		{name: "no such service", line: "ros service spec nntp", want: result{code: 1, err: `ros: cannot show the spec of service "nntp": no service has that name
try: "ntp"; ros service list shows all
`}},
		{name: "nobody near", line: "ros service spec kubernetes", want: result{code: 1, err: `ros: cannot show the spec of service "kubernetes": no service has that name
try: ros service list
`}},
		{name: "two", line: "ros service spec ntp cron", want: result{code: 2, err: `ros: cannot show a spec: name one service
try: ros service list
`}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, newApp(t, machine()), tt.line, tt.want) })
	}
}

package main

import (
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestServiceKill(t *testing.T) {
	rosd := machine()
	rosd.after = map[string]control.Service{
		"syslog": {Name: "syslog", State: control.Running},
		"ntp":    {Name: "ntp", State: control.Backoff},
	}
	a := newApp(t, rosd)

	check(t, a, "ros service kill syslog ntp", result{out: "syslog sent SIGKILL\nntp sent SIGKILL\n"})
	check(t, a, "ros service kill -s hup syslog", result{out: "syslog sent SIGHUP\n"})
	check(t, a, "ros service kill --signal 10 syslog", result{out: "syslog sent SIGUSR1\n"})
	check(t, a, "ros service kill -s SIGFOO syslog", result{code: 2, err: `ros: cannot send signal: "SIGFOO" is no signal
try: a name such as HUP or a number such as 1
`})
	check(t, a, "ros service kill -s 0 syslog", result{code: 2, err: `ros: cannot send signal: "0" is no signal
try: a name such as HUP or a number such as 1
`})
	asks(t, rosd,
		`kill syslog {"signal":"SIGKILL"}`,
		`kill ntp {"signal":"SIGKILL"}`,
		`kill syslog {"signal":"SIGHUP"}`,
		`kill syslog {"signal":"SIGUSR1"}`,
	)
}

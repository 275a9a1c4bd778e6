package main

import (
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestServiceRestart(t *testing.T) {
	rosd := machine()
	rosd.after = map[string]control.Service{
		"ntp":    {Name: "ntp", State: control.Healthy},
		"syslog": {Name: "syslog", State: control.Unhealthy},
	}
	a := newApp(t, rosd)

	check(t, a, "ros service restart -t 3 ntp", result{out: "ntp healthy\n"})
	check(t, a, "ros service restart syslog ntp", result{
		out: "syslog unhealthy\nntp healthy\n",
		err: `ros: service "syslog" is unhealthy: no reason is known
try: ros service logs syslog
`,
		code: 1,
	})
	asks(t, rosd,
		`restart ntp {"timeout_seconds":3,"wait":true}`,
		`restart syslog {"wait":true}`,
		`restart ntp {"wait":true}`,
	)
}

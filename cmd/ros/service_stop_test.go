package main

import (
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestServiceStop(t *testing.T) {
	rosd := machine()
	rosd.after = map[string]control.Service{
		"ntp": {Name: "ntp", State: control.Stopped},
		"web": {Name: "web", State: control.Failed, Reason: "it never ran"},
	}
	a := newApp(t, rosd)

	check(t, a, "ros service stop ntp", result{out: "ntp stopped\n"})
	check(t, a, "ros service stop -t 3 --no-wait ntp web", result{out: "ntp stopped\nweb failed\n"})
	check(t, a, "ros service stop --timeout 0 ntp", result{out: "ntp stopped\n"})
	check(t, a, "ros service stop -t soon ntp", result{code: 2, err: `ros: cannot use "soon" for flag -t: not a number
try: ros service stop --help
`})
	check(t, a, "ros service stop -t=-4 ntp", result{code: 2, err: `ros: cannot use "-4" for flag -t: less than nothing
try: ros service stop --help
`})
	check(t, a, "ros service stop -t", result{code: 2, err: `ros: cannot use flag -t: it needs a value
try: ros service stop --help
`})
	asks(t, rosd,
		`stop ntp {"wait":true}`,
		`stop ntp {"timeout_seconds":3}`,
		`stop web {"timeout_seconds":3}`,
		`stop ntp {"timeout_seconds":0,"wait":true}`,
	)
}

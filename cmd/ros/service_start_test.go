package main

import (
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestServiceStart(t *testing.T) {
	rosd := machine()
	rosd.after = map[string]control.Service{
		"logrotate": {Name: "logrotate", State: control.Running},
		"ntp":       {Name: "ntp", State: control.Failed, Reason: "exit status 2, 5 times in 10 s"},
		"syslog":    {Name: "syslog", State: control.Starting},
	}
	a := newApp(t, rosd)

	check(t, a, "ros service start logrotate", result{out: "logrotate running\n"})
	check(t, a, "ros service start --no-wait syslog", result{out: "syslog starting\n"})
	// One that fails, one that rosd refuses and one that does not exist keep
	// the last from nothing.
	check(t, a, "ros service start ntp cron dockr logrotate", result{
		out: "ntp failed\nlogrotate running\n",
		err: `ros: service "ntp" is failed: exit status 2, 5 times in 10 s
try: ros service logs ntp
ros: cannot start service "cron": it is stopping
ros: cannot start service "dockr": no service has that name
try: "docker"; ros service list shows all
`,
		code: 1,
	})
	check(t, a, "ros service start", result{code: 2, err: `ros: cannot start a service: name at least one
try: ros service ps
`})
	asks(t, rosd,
		`start logrotate {"wait":true}`,
		`start syslog {}`,
		`start ntp {"wait":true}`,
		`start cron {"wait":true}`,
		`start logrotate {"wait":true}`,
	)
}

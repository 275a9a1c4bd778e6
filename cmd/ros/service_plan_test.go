package main

import (
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestServicePlan(t *testing.T) {
	faulty := machine()
	faulty.plan = control.Plan{
		Steps:  []control.PlanStep{{Service: "cron", File: "/usr/lib/ros/os-services/cron.yml"}},
		Faults: []control.PlanFault{{Error: "a.yml:3: services a and b wait for each other: a -> b -> a"}},
	}
	for _, tt := range []struct {
		name, line string
		rosd       *fakeRosd
		want       result
	}{
		{name: "table", line: "ros service plan", rosd: machine(), want: result{out: `#  NAME           WAITS FOR                                    FILE
1  udev-coldplug  -                                            /usr/lib/ros/os-services/udev.yml
2  network        udev-coldplug to be done                     /usr/lib/ros/os-services/network.yml
3  ntp            network to be healthy, syslog to be started  /usr/lib/ros/os-services/ntp.yml
`}},
		{name: "a fault", line: "ros service plan", rosd: faulty, want: result{
			out:  "#  NAME  WAITS FOR  FILE\n1  cron  -          /usr/lib/ros/os-services/cron.yml\n",
			err:  "ros: a.yml:3: services a and b wait for each other: a -> b -> a\n",
			code: 1,
		}},
		{name: "json", line: "ros service plan --json", rosd: faulty, want: result{
			out: `{
  "steps": [
    {
      "service": "cron",
      "file": "/usr/lib/ros/os-services/cron.yml"
    }
  ],
  "faults": [
    {
      "error": "a.yml:3: services a and b wait for each other: a -> b -> a"
    }
  ]
}
`,
			err:  "ros: a.yml:3: services a and b wait for each other: a -> b -> a\n",
			code: 1,
		}},
		{name: "argument", line: "ros service plan ntp", rosd: machine(), want: result{code: 2, err: `ros: cannot use "ntp": "ros service plan" takes no arguments
try: ros service plan --help
`}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, newApp(t, tt.rosd), tt.line, tt.want) })
	}
}

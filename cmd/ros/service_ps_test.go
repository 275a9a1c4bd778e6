package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/control"
)

func TestServicePs(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       result
	}{
		{name: "all", line: "ros service ps", want: result{out: `NAME           STATE    HEALTH     RESTARTS  SINCE       MEMORY   IMAGE          PORTS
network        running  healthy    0         4m 0s ago   4.1 MiB  ros/network    -
udev-coldplug  done     -          0         4m 3s ago   -        ros/udev       -
syslog         running  -          2         1m 30s ago  1 KiB    ros/syslog     -
ntp            running  unhealthy  0         2d 2h ago   -        ros/ntp        -
    chronyc: 506 Cannot talk to daemon
docker         waiting  -          0         5m 0s ago   -        ros/docker     -
    waits for ntp to be healthy, network to be healthy
cron           backoff  -          7         2s ago      -        ros/cron       -
    exit status 1; starts again in 8s
web            failed   -          0         4m 0s ago   -        nginx:1.29     8080->80/tcp, 8443->443/tcp
    web.yml:7: key "ipc": not supported (use network_mode)
logrotate      stopped  -          0         1h 0m ago   -        ros/logrotate  -
`}},
		{name: "names only", line: "ros service ps -q", want: result{out: `network
udev-coldplug
syslog
ntp
docker
cron
web
logrotate
`}},
		{name: "by alias, one", line: "ros s ps syslog", want: result{out: `NAME    STATE    HEALTH  RESTARTS  SINCE       MEMORY  IMAGE       PORTS
syslog  running  -       2         1m 30s ago  1 KiB   ros/syslog  -
`}},
		{name: "json, one", line: "ros service ps --json cron", want: result{out: `[
  {
    "name": "cron",
    "scope": "system",
    "required": false,
    "image": "ros/cron",
    "file": "/usr/lib/ros/os-services/cron.yml",
    "state": "backoff",
    "reason": "exit status 1",
    "one_shot": false,
    "exit_code": 1,
    "restarts": 7,
    "since": "2026-11-23T11:59:58Z",
    "next_start": "2026-11-23T12:00:08Z"
  }
]
`}},
		{name: "no such service", line: "ros service ps netwrok", want: result{code: 1, err: `ros: cannot show service "netwrok": no service has that name
try: "network"; ros service list shows all
`}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, newApp(t, machine()), tt.line, tt.want) })
	}
}

func TestServicePsOfNothing(t *testing.T) {
	a := newApp(t, &fakeRosd{services: []control.Service{}})
	check(t, a, "ros service ps", result{out: "NAME  STATE  HEALTH  RESTARTS  SINCE  MEMORY  IMAGE  PORTS\n"})
	check(t, a, "ros service ps --json", result{out: "[]\n"})
}

func TestServicePsLeavesDigestsOut(t *testing.T) {
	a := newApp(t, &fakeRosd{services: []control.Service{{Name: "web", State: control.Running, Since: ago(time.Second), Image: "nginx:1.29@sha256:0f1e"}}})
	check(t, a, "ros service ps", result{out: `NAME  STATE    HEALTH  RESTARTS  SINCE   MEMORY  IMAGE       PORTS
web   running  -       0         1s ago  -       nginx:1.29  -
`})
}

func TestServicePsColor(t *testing.T) {
	a := newApp(t, machine())
	plain := a.try("ros service ps").out
	a.color = true
	colored := a.try("ros service ps").out
	for _, want := range []string{"\x1b[32mhealthy\x1b[0m  ", "\x1b[31mfailed\x1b[0m ", "\x1b[33mbackoff\x1b[0m"} {
		if !strings.Contains(colored, want) {
			t.Errorf("no %q in %q", want, colored)
		}
	}
	unpainted := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(colored)
	if diff := cmp.Diff(plain, unpainted); diff != "" {
		t.Errorf("colours move the columns (-plain +coloured):\n%s", diff)
	}
}

package main

import "testing"

func TestServiceList(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       result
	}{
		{name: "all", line: "ros service list", want: result{out: `NAME           SCOPE   REQUIRED  IMAGE          FILE
network        system  yes       ros/network    /usr/lib/ros/os-services/network.yml
udev-coldplug  system  yes       ros/udev       /usr/lib/ros/os-services/udev.yml
syslog         system  no        ros/syslog     /usr/lib/ros/os-services/syslog.yml
ntp            system  no        ros/ntp        /usr/lib/ros/os-services/ntp.yml
docker         system  no        ros/docker     /usr/lib/ros/os-services/docker.yml
cron           system  no        ros/cron       /usr/lib/ros/os-services/cron.yml
web            user    no        nginx:1.29     /var/lib/rancher/services/web.yml
logrotate      system  no        ros/logrotate  /usr/lib/ros/os-services/logrotate.yml
`}},
		{name: "some, in the order asked for", line: "ros service ls web network", want: result{out: `NAME     SCOPE   REQUIRED  IMAGE        FILE
web      user    no        nginx:1.29   /var/lib/rancher/services/web.yml
network  system  yes       ros/network  /usr/lib/ros/os-services/network.yml
`}},
		{name: "json", line: "ros service list --json logrotate", want: result{out: `[
  {
    "name": "logrotate",
    "scope": "system",
    "required": false,
    "image": "ros/logrotate",
    "file": "/usr/lib/ros/os-services/logrotate.yml",
    "state": "stopped",
    "one_shot": false,
    "restarts": 0,
    "since": "2026-11-23T11:00:00Z"
  }
]
`}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, newApp(t, machine()), tt.line, tt.want) })
	}
}

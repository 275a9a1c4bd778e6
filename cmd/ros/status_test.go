package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestStatus(t *testing.T) {
	check(t, newApp(t, machine()), "ros status", result{out: `Roster  v0.1.0 amd64 on rancher
Slot    iso
State   RAM
Kernel  6.12.57+deb13-cloud-amd64
Up      4m 35s
Memory  348.0 MiB used of 2.0 GiB
warning: no state disk: what you change is lost at the next boot

NAME           STATE    HEALTH     RESTARTS  SINCE       MEMORY   IMAGE          PORTS
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

Well, but look at ntp, cron, web
`})
}

func TestStatusJSON(t *testing.T) {
	rosd := machine()
	rosd.status.Services = rosd.services[1:2]
	check(t, newApp(t, rosd), "ros status --json", result{out: `{
  "version": "v0.1.0",
  "arch": "amd64",
  "hostname": "rancher",
  "slot": "iso",
  "state": "RAM",
  "kernel": "6.12.57+deb13-cloud-amd64",
  "uptime_seconds": 275.4,
  "mem_total": 2147483648,
  "mem_available": 1782579200,
  "warnings": [
    "no state disk: what you change is lost at the next boot"
  ],
  "services": [
    {
      "name": "udev-coldplug",
      "scope": "system",
      "required": true,
      "image": "ros/udev",
      "file": "/usr/lib/ros/os-services/udev.yml",
      "state": "done",
      "one_shot": true,
      "restarts": 0,
      "since": "2026-11-23T11:55:57Z",
      "boot_start": 2.05,
      "boot_ready": 2.3
    }
  ]
}
`})
}

// The exit status and the last line say the same thing.
func TestStatusVerdict(t *testing.T) {
	healthy := control.Service{Name: "network", Required: true, State: control.Healthy}
	for _, tt := range []struct {
		name     string
		services []control.Service
		want     string
		code     int
	}{
		{name: "all well", services: []control.Service{healthy, {Name: "x", State: control.Done}},
			want: "All well: 1 of 2 services run, the others are done or stopped\n"},
		{name: "still on the way", services: []control.Service{healthy, {Name: "x", Required: true, State: control.Waiting}},
			want: "On the way: x\n"},
		{name: "one that is not required", services: []control.Service{healthy, {Name: "x", State: control.Failed}},
			want: "Well, but look at x\n"},
		{name: "required and stopped by the operator", services: []control.Service{{Name: "x", Required: true, State: control.Stopped}},
			want: "All well: 0 of 1 services run, the others are done or stopped\n"},
		{name: "required and failed", services: []control.Service{healthy, {Name: "x", Required: true, State: control.Failed}},
			want: "NOT WELL: required x is failed\n", code: 1},
		{name: "required and in backoff", services: []control.Service{{Name: "x", Required: true, State: control.Backoff}, {Name: "y", Required: true, State: control.Unhealthy}},
			want: "NOT WELL: required x is backoff, y is unhealthy\n", code: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rosd := &fakeRosd{status: control.Status{Services: tt.services}}
			got := newApp(t, rosd).try("ros status")
			lines := slices.Collect(strings.Lines(got.out))
			if last := lines[len(lines)-1]; last != tt.want || got.code != tt.code || got.err != "" {
				t.Errorf("ros status ends %q, %q and exits %d, want %q, nothing and %d", last, got.err, got.code, tt.want, tt.code)
			}
			if code := newApp(t, rosd).try("ros status --json").code; code != tt.code {
				t.Errorf("ros status --json exits %d, want %d", code, tt.code)
			}
		})
	}
}

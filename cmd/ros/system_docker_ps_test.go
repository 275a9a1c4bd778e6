package main

import (
	"testing"
	"time"

	"github.com/rosteros/ros/internal/control"
)

func TestSystemDockerPSPorts(t *testing.T) {
	rosd := machine()
	rosd.boxes = []control.Container{{
		ID: "0123456789abcdef", Name: "web", Image: "nginx:1.29", Command: []string{"nginx"}, State: control.Running, Pid: 7,
		Created: ago(time.Hour), StartedAt: ago(time.Hour), Ports: []string{"8080->80/tcp", "127.0.0.1:53->53/udp"},
	}}
	a := newApp(t, rosd)
	check(t, a, "system-docker ps", result{out: `CONTAINER ID   IMAGE        COMMAND   CREATED             STATUS             PORTS                                NAMES
0123456789ab   nginx:1.29   "nginx"   About an hour ago   Up About an hour   8080->80/tcp, 127.0.0.1:53->53/udp   web
`})
	check(t, a, "system-docker ps --format {{.Ports}}", result{out: "8080->80/tcp, 127.0.0.1:53->53/udp\n"})
}

package engine

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Where extra engines are: their data below one folder, their sockets below
// another, which is made anew with every boot.
const (
	ExtrasDir  = "/var/lib/rancher/engines"
	SocketsDir = "/run/ros/engines"

	// ExtraImage is our docker image in the user's engine.
	ExtraImage = "ros/engine"
)

// Extra is an engine beside the engine: a privileged container in it.
type Extra struct {
	Name    string
	Network string // of the engine, which somebody has made; "": one of its own
	FixedIP string
}

// Socket is where it listens.
func (x Extra) Socket() string { return filepath.Join(SocketsDir, x.Name, "docker.sock") }

// Compose is the service file of an extra engine. digest is that of the image:
// a file for another one is another file.
func (x Extra) Compose(dir, digest string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# Made by "ros engine create"; "ros engine rm %[1]s" takes it away.
name: engine-%[1]s
services:
  %[1]s:
    image: %[2]s
    container_name: %[1]s
    command: [/usr/lib/ros-docker/start-extra]
    privileged: true      # it mounts, makes devices and writes firewall rules, in a network of its own
    cgroup: private
    init: true
    hostname: %[1]s
    volumes:
      - %[3]s/data:/var/lib/docker
      - %[4]s:/run/engine
      - /etc/group:/etc/group:ro      # who may use the socket
    labels: {io.rancher.user_docker.name: %[1]s, ros.image: %[5]q}
    healthcheck:
      test: [CMD, /usr/lib/ros-docker/dockerd-answers]
      interval: 60s
      timeout: 15s
      start_period: 120s
      start_interval: 2s
    restart: always
    stop_grace_period: 20s
`, x.Name, ExtraImage, filepath.Join(dir, x.Name), filepath.Join(SocketsDir, x.Name), digest)
	if x.Network == "" {
		return []byte(b.String())
	}
	options := "{}"
	if x.FixedIP != "" {
		options = fmt.Sprintf("{ipv4_address: %q}", x.FixedIP)
	}
	fmt.Fprintf(&b, "    networks: {net: %s}\nnetworks: {net: {external: true, name: %q}}\n", options, x.Network)
	return []byte(b.String())
}

package bridge_test

import (
	"testing"
)

// What is published on 127.0.0.1 is for the machine alone, whatever its
// neighbours send.
func TestLocalPortsAreLocal(t *testing.T) {
	local := tcp(8081)
	local.HostIP = "127.0.0.1"
	s := newStation(t, publishing(service("web", "shop"), tcp(8080), local))
	s.attach("web")
	s.serve("web", "tcp4", ":80")
	s.want("world", "tcp4", machineAddress+":8080", "web "+worldAddress)
	s.want("", "tcp4", "127.0.0.1:8081", "web "+gatewayOf(s, "web", "shop"))
	s.localnet("world", worldAddress, machineAddress)
	s.refused("world", "tcp4", "127.0.0.1:8080")
	s.refused("world", "tcp4", "127.0.0.1:8081")
}

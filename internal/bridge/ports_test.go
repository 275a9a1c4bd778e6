package bridge_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/rosteros/ros/internal/compose"
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

func TestManyPorts(t *testing.T) {
	many := func(name string, first int) compose.Service {
		s := service(name, "shop")
		for n := range 1000 {
			s.Ports = append(s.Ports, tcp(uint16(first+n)))
		}
		return s
	}
	s := newStation(t, many("web", 10000), many("db", 20000))
	s.attach("web", "db")
	for name, first := range map[string]int{"web": 10000, "db": 20000} {
		s.serve(name, "tcp4", ":80")
		for _, port := range []int{first, first + 999} {
			s.want("world", "tcp4", net.JoinHostPort(machineAddress, strconv.Itoa(port)), name+" "+worldAddress)
		}
	}
}

package bridge_test

import (
	"context"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

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

// Nobody is let in by the sockets that hold the ports: he would wait for ever.
func TestPortsAreNotAnswered(t *testing.T) {
	s := newStation(t, publishing(service("web", "shop"), tcp(8080)))
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			if c, err := (&net.Dialer{Timeout: 100 * time.Millisecond}).Dial("tcp4", "127.0.0.1:8080"); err == nil {
				c.Close()
				n++
			}
		}
		accepted <- n
	}()
	for range 5 {
		s.attach("web")
		s.check(s.Detach("web"))
	}
	cancel()
	if n := <-accepted; n > 0 {
		t.Errorf("%d connections were accepted with nobody there", n)
	}
}

// A client that never stops sending reaches whoever has the port by then.
func TestFlowsEndWithTheService(t *testing.T) {
	s := newStation(t, publishing(service("web", "shop"), compose.Port{Published: 5514, Target: 514, Protocol: "udp"}), service("db", "else"))
	s.attach("web", "db")
	s.serve("web", "udp4", ":514")
	var client net.Conn
	s.check(s.in("world", func() (err error) {
		client, err = net.Dial("udp4", machineAddress+":5514")
		return err
	}))
	defer client.Close()
	ask := func(want string) {
		t.Helper()
		buf := make([]byte, 100)
		_, err := client.Write([]byte("?"))
		s.check(err)
		s.check(client.SetReadDeadline(time.Now().Add(time.Second)))
		if n, err := client.Read(buf); string(buf[:n]) != want {
			t.Errorf("%q answers (%v), want %q", buf[:n], err, want)
		}
	}
	ask("web " + worldAddress)
	s.check(s.Detach("web"))
	s.serve("", "udp4", ":5514")
	ask(" " + worldAddress)
}

// A container cannot pass for the machine itself.
func TestNobodySpeaksFromLoopback(t *testing.T) {
	s := newStation(t, service("web", "shop"))
	s.attach("web")
	machine, err := net.ListenPacket("udp4", ":9")
	s.check(err)
	defer machine.Close()
	gateway := gatewayOf(s, "web", "shop")
	hears := func(from string) (any, error) {
		s.check(s.in("web", func() error {
			dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}, Control: func(_, _ string, c syscall.RawConn) error {
				return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_FREEBIND, 1) })
			}}
			c, err := dialer.Dial("udp4", gateway+":9")
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("?"))
			return err
		}))
		s.check(machine.SetReadDeadline(time.Now().Add(time.Second)))
		_, who, err := machine.ReadFrom(make([]byte, 10))
		return who, err
	}
	if _, err := hears(s.address("web", "shop")); err != nil {
		t.Errorf("web is not heard: %v", err)
	}
	s.localnet("web", s.address("web", "shop"), gateway)
	if who, err := hears("127.0.0.2"); err == nil {
		t.Errorf("the machine hears %s", who)
	}
}

package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
)

// portsFree refuses services whose ports of the machine somebody has already.
// Those of services that run now, from the file that comes in anew, are their own.
func (e *enabler) portsFree(services []compose.Service, file string) error {
	var own []compose.Service
	for _, s := range e.files.known() {
		if now, err := e.supervisor.Service(s.Name); err == nil && now.Up() && s.File == file {
			own = append(own, s)
		}
	}
	return portsFree(services, own...)
}

func portsFree(services []compose.Service, own ...compose.Service) error {
	theirs := map[compose.Port]bool{} // whatever the address: one may come to have another
	for _, s := range own {
		for _, p := range published(s) {
			theirs[anywhere(p)] = true
		}
	}
	var errs []error
	for _, s := range services {
		for _, p := range published(s) {
			if !theirs[anywhere(p)] && taken(p) {
				errs = append(errs, fmt.Errorf("service %q: port %s of the machine is in use", s.Name, p))
			}
		}
	}
	return errors.Join(errs...)
}

// published are the ports of the machine that a service takes, of either scope.
func published(s compose.Service) []compose.Port {
	if s.Scope != compose.ScopeUser {
		return s.Ports
	}
	c, err := project.Of(s)
	if err != nil {
		return nil
	}
	return c.Published()
}

// anywhere is a port without its address, and without what is behind it.
func anywhere(p compose.Port) compose.Port {
	return compose.Port{Published: p.Published, Protocol: p.Protocol}
}

func taken(p compose.Port) bool {
	address := net.JoinHostPort(p.HostIP, strconv.Itoa(int(p.Published)))
	var err error
	switch p.Protocol {
	case "tcp":
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			l.Close()
		}
	case "udp":
		var l net.PacketConn
		if l, err = net.ListenPacket("udp", address); err == nil {
			l.Close()
		}
	}
	return errors.Is(err, syscall.EADDRINUSE)
}

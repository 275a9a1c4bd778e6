package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/rosteros/ros/internal/control"
)

// started are the services that this boot has started, the first one first.
func started(services []control.Service) []control.Service {
	var some []control.Service
	for _, s := range services {
		if s.BootStart > 0 {
			some = append(some, s)
		}
	}
	slices.SortStableFunc(some, func(a, b control.Service) int { return cmp.Compare(a.BootStart, b.BootStart) })
	return some
}

// slowest are the phase and the service that took longest, if there are any.
func slowest(boot control.Boot) (phase, service string) {
	longest := 0.0
	for _, p := range boot.Record.Phases {
		if took := p.End - p.Start; took > longest {
			phase, longest = p.Name, took
		}
	}
	longest = 0
	for _, s := range boot.Services {
		if took := s.BootReady - s.BootStart; s.BootReady > 0 && took > longest {
			service, longest = s.Name, took
		}
	}
	return phase, service
}

// neverStarted are the services that this boot has not started and that the
// operator has not stopped either.
func neverStarted(services []control.Service) []control.Service {
	var some []control.Service
	for _, s := range services {
		if s.BootStart == 0 && s.State != control.Stopped {
			some = append(some, s)
		}
	}
	return some
}

// upAfter is the sentence about the whole boot, with a colon before it.
func upAfter(services []control.Service) string {
	at, last, missing := 0.0, "", 0
	for _, s := range services {
		if s.BootReady > at {
			at, last = s.BootReady, s.Name
		}
		if s.BootReady == 0 && s.State != control.Stopped {
			missing++
		}
	}
	switch {
	case last == "":
		return ""
	case missing > 0:
		return fmt.Sprintf(": %s was ready after %.2f s, %d services are not ready yet", last, at, missing)
	}
	return fmt.Sprintf(": all services ready after %.2f s, the last was %s", at, last)
}

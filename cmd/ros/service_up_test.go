package main

import (
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestServiceUp(t *testing.T) {
	rosd := machine()
	rosd.after = map[string]control.Service{
		"udev-coldplug": {Name: "udev-coldplug", State: control.Done},
		"network":       {Name: "network", State: control.Healthy},
		"ntp":           {Name: "ntp", State: control.Healthy},
	}
	a := newApp(t, rosd)

	check(t, a, "ros service up --force-recreate ntp", result{out: "ntp healthy\n"})
	check(t, a, "ros service up", result{out: "udev-coldplug done\nnetwork healthy\nntp healthy\n"})
	asks(t, rosd,
		"reload", `up ntp {"force_recreate":true,"wait":true}`,
		"reload", `up udev-coldplug {"wait":true}`, `up network {"wait":true}`, `up ntp {"wait":true}`,
	)
}

func TestServiceUpWithFaults(t *testing.T) {
	rosd := machine()
	rosd.plan = control.Plan{
		Steps:  []control.PlanStep{{Service: "ntp"}},
		Faults: []control.PlanFault{{Service: "web", Error: "/var/lib/rancher/services/web.yml:7: web: key ipc is not supported"}},
	}
	rosd.after = map[string]control.Service{"ntp": {Name: "ntp", State: control.Healthy}}
	a := newApp(t, rosd)

	const complaint = "ros: /var/lib/rancher/services/web.yml:7: web: key ipc is not supported\n"
	check(t, a, "ros service up", result{out: "ntp healthy\n", err: complaint, code: 1})
	// Somebody else's fault is not the business of a service that was named.
	check(t, a, "ros service up ntp", result{out: "ntp healthy\n"})
}

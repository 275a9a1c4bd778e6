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

func TestServiceUpPulls(t *testing.T) {
	rosd := machine()
	rosd.missing = []string{"web"}
	rosd.after = map[string]control.Service{"web": {Name: "web", State: control.Running}}
	rosd.steps = []control.ImageStep{
		{Step: &control.ImageEvent{Layer: "3af1", Status: "Downloading", Current: 1, Total: 2}},
		{Step: &control.ImageEvent{Layer: "3af1", Status: "Pull complete"}},
		{Done: true},
	}
	a := newApp(t, rosd)
	check(t, a, "ros service up web", result{out: "3af1: Downloading\n3af1: Pull complete\nweb running\n"})
	asks(t, rosd, "reload", `catalog pull {"names":["web"]}`, `up web {"wait":true}`)

	rosd.steps = []control.ImageStep{{Error: `cannot pull the image of service "web": no route to host`}}
	check(t, a, "ros service up web", result{out: "web running\n", err: "ros: cannot pull the image of service \"web\": no route to host\n", code: 1})
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

package main

import (
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestServiceRm(t *testing.T) {
	rosd := machine()
	rosd.after = map[string]control.Service{"web": {Name: "web", State: control.Stopped}}
	a := newApp(t, rosd)

	check(t, a, "ros service rm web", result{out: "web removed\n"})
	check(t, a, "ros service rm cron", result{code: 1, err: "ros: cannot rm service \"cron\": it is stopping\n"})
	check(t, a, "ros service rm", result{code: 2, err: "ros: cannot rm a service: name at least one\ntry: ros service ps\n"})
	asks(t, rosd, "rm web {}", "rm cron {}")
}

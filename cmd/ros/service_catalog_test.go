package main

import (
	"testing"
	"time"

	"github.com/rosteros/ros/internal/control"
)

func TestServiceEnable(t *testing.T) {
	rosd := machine()
	rosd.steps = []control.ImageStep{
		{Text: "shop: https://example.com/shop.yml"},
		{Step: &control.ImageEvent{Layer: "3af1", Status: "Downloading", Current: 1, Total: 2}},
		{Step: &control.ImageEvent{Layer: "3af1", Status: "Downloading", Current: 2, Total: 2}},
		{Step: &control.ImageEvent{Layer: "3af1", Status: "Pull complete"}},
		{Text: "web healthy"},
		{Done: true},
	}
	a := newApp(t, rosd)
	a.uid = 0
	check(t, a, "ros service enable https://example.com/shop.yml", result{
		out: "shop: https://example.com/shop.yml\n3af1: Downloading\n3af1: Pull complete\nweb healthy\n",
	})
	check(t, a, "ros service update --dry-run shop", result{
		out: "shop: https://example.com/shop.yml\n3af1: Downloading\n3af1: Pull complete\nweb healthy\n",
	})
	asks(t, rosd, `catalog enable {"names":["https://example.com/shop.yml"]}`, `catalog update {"names":["shop"],"dry_run":true}`)

	rosd.steps = []control.ImageStep{{Error: `cannot enable shop: there is a service "ntp" already, from ntp.yml:3`}}
	check(t, a, "ros service enable shop", result{err: "ros: cannot enable shop: there is a service \"ntp\" already, from ntp.yml:3\n", code: 1})
	check(t, a, "ros service pull --ignore-pull-failures shop", result{err: "ros: cannot enable shop: there is a service \"ntp\" already, from ntp.yml:3\n"})

	rosd.steps = nil // it ends without a word
	check(t, a, "ros service delete shop", result{err: "ros: cannot delete shop: rosd went away meanwhile\ntry: ros service logs rosd\n", code: 3})
	a.uid = 1100
	check(t, a, "ros service disable shop", result{err: "ros: cannot disable services: needs root\ntry: sudo ros service disable shop\n", code: 1})
}

func TestServiceListAll(t *testing.T) {
	rosd := machine()
	rosd.catalog = []control.CatalogEntry{
		{Name: "shop", State: control.Enabled, Repository: "core", SignedBy: "release", Origin: "https://example.com/s/shop.yml"},
		{Name: "zfs", Repository: "core"},
	}
	a := newApp(t, rosd)
	check(t, a, "ros service list -a", result{out: `STATE     NAME  REPOSITORY  SIGNED BY  FROM
enabled   shop  core        release    https://example.com/s/shop.yml
disabled  zfs   core        -          -
`})
	rosd.catalog = append(rosd.catalog, control.CatalogEntry{Repository: "far", Error: `cannot use repository "far": no route`})
	check(t, a, "ros service list -u", result{out: `STATE     NAME  REPOSITORY  SIGNED BY  FROM
enabled   shop  core        release    https://example.com/s/shop.yml
disabled  zfs   core        -          -
`, err: "ros: cannot use repository \"far\": no route\n", code: 1})
	asks(t, rosd, "catalog ", "catalog refresh=1")
}

func TestServiceLogsOfTheEngine(t *testing.T) {
	rosd := machine()
	rosd.services = append(rosd.services, control.Service{Name: "shop", Scope: "user", State: control.Running})
	rosd.engineLog = []control.LogLine{{Time: time.Unix(1, 0), Stream: "stdout", Text: "open"}, {Time: time.Unix(2, 0), Stream: "stderr", Text: "sold out"}}
	a := newApp(t, rosd)
	check(t, a, "ros service logs --lines 5 shop", result{out: "open\nsold out\n"})
	check(t, a, "ros service logs --lines 0 -f shop", result{out: "open\nsold out\n"})
	asks(t, rosd, "log shop lines=5", "log shop lines=0&follow=1")
}

func TestServiceStats(t *testing.T) {
	rosd := machine()
	rosd.stats = []control.Stats{{Service: "ntp", CPUMicroseconds: 5, Memory: 1 << 20, MemoryLimit: 4 << 20, Pids: 2, ReadBytes: 4096}}
	a := newApp(t, rosd)
	check(t, a, "ros service stats", result{out: `NAME  CPU %  MEM USAGE / LIMIT  BLOCK I/O  PIDS
ntp   -      1.0 MiB / 4.0 MiB  4 KiB / -  2
`})
	check(t, a, "ros service stats netwrok", result{code: 1,
		err: "ros: cannot show service \"netwrok\": no service has that name\ntry: \"network\"; ros service list shows all\n"})
}

func TestServiceDown(t *testing.T) {
	rosd := machine()
	rosd.after = map[string]control.Service{"ntp": {Name: "ntp", State: control.Stopped}, "network": {Name: "network", State: control.Stopped}}
	a := newApp(t, rosd)
	check(t, a, "ros service down network ntp", result{out: "ntp stopped\nnetwork stopped\nntp removed\nnetwork removed\n"})
	asks(t, rosd, `stop ntp {"wait":true}`, `stop network {"wait":true}`, `rm ntp {}`, `rm network {}`)
}

func TestServiceBuildIsGone(t *testing.T) {
	check(t, newApp(t, machine()), "ros service build --no-cache web", result{
		err: "ros: cannot build services: nothing is built on this machine; name an image that a registry has\n" +
			"try: docker build, push the image, and name it in the service file\n", code: 1,
	})
}

package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
)

func TestEntries(t *testing.T) {
	cfg, _ := config.Load(
		config.Layer{Name: "low.yml", Data: []byte("rancher:\n  password: low\n  sysctl: {a.b: 1}\n  network:\n    http_proxy: http://me:pw@p:1\n    interfaces:\n      eth0: {}\n")},
		config.Layer{Name: "high.yml", Data: []byte("users:\n  - name: eve\n    passwd: high\nrancher:\n  password: high\n  shutdown_timeout: 90\n")})
	var got []config.Entry
	for _, e := range cfg.Entries(false) {
		if e.From.Layer != "defaults" || e.Applier == "network" && e.Key != "rancher.defaults.network.dhcp_timeout" && e.Key != "rancher.defaults.network.dns.nameservers" {
			got = append(got, e)
		}
	}
	want := []config.Entry{
		{Key: "users", Path: []string{"users"}, Value: "- name: eve\n  passwd: (hidden)\n", Secret: true, Applier: "logins",
			From: config.Origin{Layer: "high.yml", Line: 1, Value: "- name: eve\n  passwd: (hidden)\n"}},
		{Key: "rancher.network.http_proxy", Path: []string{"rancher", "network", "http_proxy"}, Value: "http://me:(hidden)@p:1", Secret: true, Applier: "environment",
			From: config.Origin{Layer: "low.yml", Line: 5, Value: "http://me:(hidden)@p:1"}},
		{Key: "rancher.network.interfaces.eth0", Path: []string{"rancher", "network", "interfaces", "eth0"}, Value: "{}", Applier: "network",
			From: config.Origin{Layer: "low.yml", Line: 7, Value: "{}"}},
		{Key: "rancher.sysctl.a.b", Path: []string{"rancher", "sysctl", "a.b"}, Value: `"1"`, Applier: "sysctl",
			From: config.Origin{Layer: "low.yml", Line: 3, Value: `"1"`}},
		{Key: "rancher.password", Path: []string{"rancher", "password"}, Value: "(hidden)", Secret: true, Applier: "logins",
			From:     config.Origin{Layer: "high.yml", Line: 5, Value: "(hidden)"},
			Overrode: []config.Origin{{Layer: "low.yml", Line: 2, Value: "(hidden)"}}},
		{Key: "rancher.shutdown_timeout", Path: []string{"rancher", "shutdown_timeout"}, Value: "90", Applier: "power",
			From:     config.Origin{Layer: "high.yml", Line: 6, Value: "90"},
			Overrode: []config.Origin{{Layer: "defaults", Value: "60"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Entries (-want +got):\n%s", diff)
	}
}

func TestChanges(t *testing.T) {
	old := load(t, "hostname: a\nrancher:\n  password: one\n  debug: true\n  sysctl: {a: 1, b: 1}\n  network: {interfaces: {eth0: {mtu: 1400}, eth1: {}}}\n  services: {w: {image: x}}\n  log: true\n")
	now := load(t, "hostname: b\ntimezone: UTC\nrancher:\n  password: two\n  sysctl: {a: 2, c: 1}\n  network: {interfaces: {eth0: {mtu: 1400, dhcp: false}, eth2: {}}}\n  services: {w: {image: y}}\n  log: false\n")
	want := []config.Change{
		{Key: "hostname", Old: "a", New: "b", Applier: "hostname"},
		{Key: "timezone", New: "UTC", Applier: "timezone"},
		{Key: "rancher.services.w", Old: "image: x", New: "image: y", Applier: "services"},
		{Key: "rancher.network.interfaces.eth0.dhcp", New: "false", Applier: "network"},
		{Key: "rancher.network.interfaces.eth1", Old: "{}", Applier: "network"},
		{Key: "rancher.network.interfaces.eth2", New: "{}", Applier: "network"},
		{Key: "rancher.sysctl.a", Old: `"1"`, New: `"2"`, Applier: "sysctl"},
		{Key: "rancher.sysctl.b", Old: `"1"`, Applier: "sysctl"},
		{Key: "rancher.sysctl.c", New: `"1"`, Applier: "sysctl"},
		{Key: "rancher.debug", Old: "true", Applier: "log"},
		{Key: "rancher.log", Old: "true", New: "false"},
		{Key: "rancher.password", Old: "(hidden)", New: "(hidden)", Applier: "logins"},
	}
	if diff := cmp.Diff(want, config.Changes(old, now)); diff != "" {
		t.Errorf("Changes (-want +got):\n%s", diff)
	}
	if same := config.Changes(old, old); same != nil {
		t.Errorf("Changes of a config to itself = %v, want none", same)
	}
}

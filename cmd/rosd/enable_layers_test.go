package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/console"
)

// cloudConfig is the operator's file.
func (s *station) cloudConfig(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.configs.store.File())
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// A layer above cloud-config.yml says otherwise: nothing is written that counts
// when it is gone.
func TestEnableUnderALayerAbove(t *testing.T) {
	s := newStation(t)
	const address = "http://x/shop.yml"
	s.site[address] = shop
	s.configs.settings = []config.Setting{{Key: "rancher.services_include.ntp", Value: "false"}}
	if _, err := s.configs.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := s.cloudConfig(t)
	const want = "cannot enable ntp: a layer of the config that counts more says something else about rancher.services_include.ntp"
	if err := s.ask("enable", "ntp"); err == nil || err.Error() != want {
		t.Errorf("enable: %v\nwant %s", err, want)
	}
	if now := s.cloudConfig(t); now != before {
		t.Errorf("cloud-config.yml is\n%s\nwas\n%s", now, before)
	}
}

// The config takes the services in, and they cannot be made so: nobody fetches them
// again behind the operator's back.
func TestEnableThatCannotBeApplied(t *testing.T) {
	s := newStation(t)
	const address = "http://x/shop.yml"
	s.site[address] = shop
	real := s.configs.driver.Appliers["services"]
	s.configs.driver.Appliers["services"] = func(ctx context.Context, h *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		o, err := real(ctx, h, cfg)
		if cfg.Rancher.ServicesInclude[address] {
			err = errors.New("it does not stop")
		}
		return o, err
	}
	before := s.states()
	const want = "cannot enable http://x/shop.yml: it does not stop"
	if err := s.ask("enable", address); err == nil || err.Error() != want {
		t.Errorf("enable: %v\nwant %s", err, want)
	}
	if text := s.cloudConfig(t); strings.Contains(text, address) {
		t.Errorf("cloud-config.yml is\n%s", text)
	}
	s.provision(t.Context())
	if got := s.states(); got != before || len(s.store.All()) > 0 {
		t.Errorf("afterwards: %s, kept %+v\nwant %s", got, s.store.All(), before)
	}
}

// What another layer names cannot be deleted: it would be fetched again. Neither can
// what is part of the OS.
func TestDeleteOfWhatIsNamedElsewhere(t *testing.T) {
	s := newStation(t)
	const address = "http://x/shop.yml"
	s.site[address] = shop
	layer := filepath.Join(s.configs.store.FileDir(), "50.yml")
	write(t, layer, "#cloud-config\nrancher: {services_include: {'"+address+"': true}}\n")
	if _, err := s.configs.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.provision(t.Context()) {
		t.Fatal("it is missing")
	}
	for what, want := range map[string]string{
		address: "cannot delete " + address + ": " + layer + " names it, and it would come back; what keeps it from running is: ros service disable",
		"ntp":   "cannot delete ntp: it is part of the OS; what keeps it from running is: ros service disable",
	} {
		if err := s.ask("delete", what); err == nil || err.Error() != want {
			t.Errorf("delete %s: %v\nwant %s", what, err, want)
		}
	}
	if kept := s.store.All(); len(kept) != 1 {
		t.Errorf("kept is %+v", kept)
	}
	s.must(t, "disable", address)
	s.must(t, "enable", address)
	s.must(t, "disable", address)
}

// A console that a layer above does not let be named is not started, and nothing
// of it is written.
func TestConsoleUnderALayerAbove(t *testing.T) {
	h := newHall(t)
	h.configs0().settings = []config.Setting{{Key: "rancher.console", Value: console.Default}}
	if _, err := h.configs0().Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := h.cloudConfig(t)
	h.gives = func(context.Context, string) error { t.Error("it was started"); return nil }
	for verb, want := range map[string]string{
		"switch": "cannot switch to console debian: a layer of the config that counts more says rancher.console is default",
		"enable": "cannot enable console debian: a layer of the config that counts more says rancher.console is default",
	} {
		if err := h.ask(verb, "debian"); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", verb, err, want)
		}
		if got := h.looks(); got != asBooted {
			t.Errorf("after %s: %s", verb, got)
		}
	}
	if now := h.cloudConfig(t); now != before {
		t.Errorf("cloud-config.yml is\n%s\nwas\n%s", now, before)
	}
}

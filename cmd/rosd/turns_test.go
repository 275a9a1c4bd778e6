package main

import (
	"context"
	"errors"
	"testing"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/control"
)

// An operator who has gone away while he waited for his turn gets nothing done.
func TestAskedByNobody(t *testing.T) {
	s := newStation(t)
	const address = "http://x/shop.yml"
	s.site[address] = shop
	s.must(t, "enable", address)
	before := s.states()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, verb := range []string{"disable", "delete"} {
		err := s.Do(gone, verb, control.CatalogNames{Names: []string{address}}, func(control.ImageStep) {})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if got := s.states(); got != before || !s.configs.config().Rancher.ServicesInclude[address] {
		t.Errorf("afterwards: %s, cloud-config.yml\n%s", got, s.cloudConfig(t))
	}
	s.must(t, "delete", address)
}

// One who goes away when it has begun gets all of it: a service that is stopped
// half way would leave its container in the engine, and its file in the store.
func TestGoneInTheMiddle(t *testing.T) {
	s := newStation(t)
	const address = "http://x/shop.yml"
	s.site[address] = shop
	before := s.states()
	s.must(t, "enable", address)
	gone, cancel := context.WithCancel(t.Context())
	real := s.configs.driver.Appliers["services"]
	s.configs.driver.Appliers["services"] = func(ctx context.Context, h *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		cancel()
		return real(ctx, h, cfg)
	}
	if err := s.Do(gone, "delete", control.CatalogNames{Names: []string{address}}, func(control.ImageStep) {}); err != nil {
		t.Error(err)
	}
	if got := s.states(); got != before || len(s.store.All()) > 0 {
		t.Errorf("afterwards: %s, kept %+v\nwant %s", got, s.store.All(), before)
	}
}

package main

import (
	"context"
	"errors"
	"testing"

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

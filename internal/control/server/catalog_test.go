package server_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/servicelog"
)

type fakeCatalog struct{}

func (fakeCatalog) List(_ context.Context, refresh bool) []control.CatalogEntry {
	if refresh {
		return []control.CatalogEntry{{Name: "fresh"}}
	}
	return []control.CatalogEntry{{Name: "shop", State: control.Enabled}}
}

func (fakeCatalog) Missing(_ context.Context, services []string) []string { return services[1:] }

func (fakeCatalog) Do(_ context.Context, verb string, names control.CatalogNames, say func(control.ImageStep)) error {
	say(control.ImageStep{Text: verb + " " + strings.Join(names.Names, " ")})
	if verb == "delete" {
		return errors.New("cannot delete it")
	}
	return nil
}

func fakeLog(_ context.Context, svc compose.Service, lines int, follow bool, emit func(servicelog.Line) error) error {
	if err := emit(servicelog.Line{Time: time.Unix(1, 0).UTC(), Stream: "stdout", Text: svc.Name}); err != nil || !follow {
		return err
	}
	return errors.New("cannot follow it")
}

// asRoot leaves a test out that asks for changes, unless it is root.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("the routes that change something are for root")
		}
		t.Skip("the routes that change something are for root")
	}
}

func TestCatalogRoutes(t *testing.T) {
	asRoot(t)
	socket, _ := serve(t)
	for _, tt := range []struct{ method, path, body, want string }{
		{"GET", "/v1/catalog", "", `[{"name":"shop","state":"enabled"}]`},
		{"GET", "/v1/catalog?refresh=1", "", `[{"name":"fresh","state":""}]`},
		{"POST", "/v1/catalog/missing", `{"names":["ntp","shop"]}`, `["shop"]`},
		{"POST", "/v1/catalog/enable", `{"names":["shop"]}`, `{"text":"enable shop"}` + "\n" + `{"done":true}`},
		{"POST", "/v1/catalog/delete", `{"names":["shop"]}`, `{"text":"delete shop"}` + "\n" + `{"error":"cannot delete it"}`},
		{"GET", "/v1/services/ntp/log?lines=5", "", `{"time":"1970-01-01T00:00:01Z","stream":"stdout","text":"ntp"}`},
		{"GET", "/v1/services/ntp/log?follow=1", "", `{"time":"1970-01-01T00:00:01Z","stream":"stdout","text":"ntp"}` + "\n" + `{"text":"","error":"cannot follow it"}`},
	} {
		_, got := ask(t, socket, tt.method, tt.path, tt.body)
		if diff := cmp.Diff(tt.want, strings.TrimSpace(got)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.path, diff)
		}
	}
}

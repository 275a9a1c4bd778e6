package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/control"
)

type fakeEngines struct{}

func (fakeEngines) List(_ context.Context, refresh bool) []control.EngineEntry {
	return []control.EngineEntry{{Name: fmt.Sprint("refreshed ", refresh), State: control.EngineCurrent}}
}

func (fakeEngines) Do(_ context.Context, verb string, ask control.EngineAsk, say func(control.ImageStep)) error {
	say(control.ImageStep{Text: verb + " " + ask.Name})
	if verb == "rm" {
		return errors.New("cannot remove it")
	}
	return nil
}

func fakeCertificate(_ context.Context, ask control.TLSAsk) (control.TLSMade, error) {
	if ask.Server && len(ask.Hosts) == 0 {
		return control.TLSMade{}, errors.New("cannot make a certificate: no hosts")
	}
	return control.TLSMade{CA: "ca", Cert: ask.Name, Key: "key"}, nil
}

func TestEngineRoutes(t *testing.T) {
	asRoot(t)
	socket, _ := serve(t)
	for _, tt := range []struct{ method, path, body, want string }{
		{"GET", "/v1/engines", "", `[{"name":"refreshed false","state":"current"}]`},
		{"GET", "/v1/engines?refresh=1", "", `[{"name":"refreshed true","state":"current"}]`},
		{"POST", "/v1/engines/switch", `{"name":"none"}`, `{"text":"switch none"}` + "\n" + `{"done":true}`},
		{"POST", "/v1/engines/rm", `{"name":"x","timeout_seconds":3}`, `{"text":"rm x"}` + "\n" + `{"error":"cannot remove it"}`},
		{"POST", "/v1/tls", `{"name":"rancher"}`, `{"ca":"ca","cert":"rancher","key":"key"}`},
		{"POST", "/v1/tls", `{"server":true}`, `{"error":"cannot make a certificate: no hosts"}`},
	} {
		_, got := ask(t, socket, tt.method, tt.path, tt.body)
		if diff := cmp.Diff(tt.want, strings.TrimSpace(got)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.path, diff)
		}
	}
}

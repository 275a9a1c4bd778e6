package loader_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecurityOptions(t *testing.T) {
	const beside = `shop.yml:1: services.a.security_opt: "seccomp:./prof.json" is not supported: the file came from an address, alone: there are no files beside it`
	for _, tt := range []struct {
		options string
		remote  bool
		want    []string
		open    bool // no path of the system is masked
		fault   string
	}{
		{options: "no-new-privileges, label=disable, seccomp=unconfined", want: []string{"no-new-privileges", "label:disable", "seccomp:unconfined"}},
		{options: "seccomp:builtin", want: []string{"seccomp:builtin"}},
		{options: "seccomp:./prof.json", want: []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`}},
		{options: "seccomp=prof.json", want: []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`}},
		{options: "systempaths=unconfined, no-new-privileges", want: []string{"no-new-privileges"}, open: true},
		{options: "systempaths:unconfined", open: true},
		{options: "seccomp:none.json", fault: `shop.yml:1: services.a.security_opt: the seccomp profile: open DIR/none.json: no such file or directory`},
		{options: "seccomp:bad.json", fault: `shop.yml:1: services.a.security_opt: the seccomp profile DIR/bad.json: unexpected end of JSON input`},
		{options: "seccomp:./prof.json", remote: true, fault: beside},
	} {
		c, fault := ask(t, "services: {a: {image: x, security_opt: ['"+strings.ReplaceAll(tt.options, ", ", "', '")+"']}}", tt.remote)
		if fault != tt.fault {
			t.Errorf("%s:\nfaults %q\nwant   %q", tt.options, fault, tt.fault)
		}
		if fault != "" || tt.fault != "" {
			continue
		}
		var body struct {
			HostConfig struct{ SecurityOpt, MaskedPaths, ReadonlyPaths []string }
		}
		if err := json.Unmarshal(c.Create, &body); err != nil {
			t.Fatal(err)
		}
		h := body.HostConfig
		if diff := cmp.Diff(tt.want, h.SecurityOpt); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.options, diff)
		}
		// Empty and not nil: nil is what the engine has by itself.
		if open := h.MaskedPaths != nil && h.ReadonlyPaths != nil; open != tt.open || len(h.MaskedPaths)+len(h.ReadonlyPaths) > 0 {
			t.Errorf("%s: masked %v, read-only %v", tt.options, h.MaskedPaths, h.ReadonlyPaths)
		}
	}
}

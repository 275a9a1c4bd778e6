package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/project"
)

func TestRun(t *testing.T) {
	ask := func(text string) project.Result {
		t.Helper()
		in, err := json.Marshal(project.Request{Path: "/x/shop.yml", Text: []byte(text), Dir: "/x", Name: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := run(bytes.NewReader(in), &out); err != nil {
			t.Fatal(err)
		}
		var result project.Result
		if err := json.Unmarshal(out.Bytes(), &result); err != nil {
			t.Fatal(err)
		}
		return result
	}
	result := ask("services: {web: {image: nginx, ports: ['80:80']}}")
	if len(result.Services) != 1 || len(result.Faults) > 0 {
		t.Fatalf("result = %+v", result)
	}
	c, err := project.Of(result.Services[0])
	if err != nil || c.Name != "shop-web-1" || len(c.Ports) != 1 || c.Ports[0] != "tcp/:80" {
		t.Errorf("container = %+v, %v", c, err)
	}
	result = ask("services: {web: {image: nginx, portss: ['80:80']}}")
	if want := `/x/shop.yml:1: services.web.portss: unknown key (did you mean "ports"?)`; len(result.Faults) != 1 || result.Faults[0].Error() != want {
		t.Errorf("faults = %v, want %s", result.Faults, want)
	}
	if err := run(strings.NewReader("{"), &bytes.Buffer{}); err == nil || err.Error() != "cannot read the request: unexpected EOF" {
		t.Errorf("half a request: %v", err)
	}
}

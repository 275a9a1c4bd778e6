package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// ros starts for every question an operator or a script has, so what costs
// start-up time or megabytes stays out: an HTTP stack of which a unix socket
// needs nothing, the whole Compose loader, anything that talks to containerd.
func TestImportsStayLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	heavy := []string{
		"net/http", "crypto/tls", "google.golang.org/grpc",
		"github.com/containerd", "github.com/compose-spec/compose-go/v2/loader",
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if slices.ContainsFunc(heavy, func(h string) bool { return dep == h || strings.HasPrefix(dep, h+"/") }) {
			t.Errorf("ros imports %s", dep)
		}
	}
}

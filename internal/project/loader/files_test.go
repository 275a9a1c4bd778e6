package loader_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/project/loader"
)

// ask reads a file in a folder with a seccomp profile, and the text of the
// faults.
func ask(t *testing.T, text string, remote bool) (project.Container, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"prof.json": "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n", "bad.json": "{"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	result := loader.Load(context.Background(), project.Request{
		Path: "shop.yml", Dir: dir, Name: "shop", Text: []byte(text), Remote: remote, Env: map[string]string{"GIVEN": "yes", "EMPTY": ""},
	})
	var faults []string
	for _, f := range result.Faults {
		faults = append(faults, strings.ReplaceAll(f.Error(), dir, "DIR"))
	}
	if len(result.Services) == 0 {
		return project.Container{}, strings.Join(faults, "\n")
	}
	c, err := project.Of(result.Services[0])
	if err != nil {
		t.Fatal(err)
	}
	return c, strings.Join(faults, "\n")
}

func TestSecretsAndConfigsOfVariables(t *testing.T) {
	for _, tt := range []struct{ file, want, fault string }{
		{file: "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {environment: GIVEN}}", want: "yes"},
		{file: "services: {a: {image: x, configs: [s]}}\nconfigs: {s: {environment: EMPTY}}"},
		{file: "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {environment: NONE}}", fault: `shop.yml:1: services.a.secrets: secret "s": variable NONE is not set`},
		{file: "services: {a: {image: x, read_only: true, configs: [s]}}\nconfigs: {s: {content: y}}", fault: `shop.yml:1: services.a.configs: config "s": with "read_only" it must be a file`},
		{file: "services: {a: {image: x, configs: [s]}}\nconfigs: {s: {environment: NONE}}", fault: `shop.yml:1: services.a.configs: config "s": variable NONE is not set`},
	} {
		c, fault := ask(t, tt.file, false)
		switch {
		case fault != tt.fault:
			t.Errorf("%s:\nfaults %q\nwant   %q", tt.file, fault, tt.fault)
		case fault == "" && (len(c.Files) != 1 || string(c.Files[0].Text) != tt.want):
			t.Errorf("%s: files %+v, want one with %q", tt.file, c.Files, tt.want)
		}
	}
}

// A pipe in the place of .env must not hold up whoever asks.
func TestDotEnvThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, ".env"), 0o600); err != nil {
		t.Fatal(err)
	}
	result := loader.Load(context.Background(), project.Request{Path: "shop.yml", Dir: dir, Name: "shop", Text: []byte("services: {a: {image: x}}")})
	want := "shop.yml: cannot read " + dir + "/.env: is not a regular file"
	if len(result.Faults) != 1 || result.Faults[0].Error() != want {
		t.Errorf("faults %v, want %s", result.Faults, want)
	}
}

package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/config"
)

// TestSchema holds the JSON Schema to what Validate takes and refuses.
func TestSchema(t *testing.T) {
	text := config.Schema()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("cloud-config.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("cloud-config.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("x", doc); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/examples/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, wrong := range []string{
		"hostnme: a", "hostname: a_b", "hostname: [a]", "rancher: {debug: maybe}", "rancher: {shutdown_timeout: 1}", "rancher: {disable: [all]}",
		"rancher: {network: {interfaces: {eth0: {mtu: 1}}}}", "users: [{shell: /bin/sh}]", "users: [{name: a, shel: b}]", "write_files: {path: /a}",
		"write_files: [{path: /a, permissions: rw}]", "mounts: [a]", "mounts: [[a]]", "rancher: {services: {a: nginx}}", "swap: {size: huge}",
	} {
		if schema.Validate(asJSON(t, []byte(wrong))) == nil {
			t.Errorf("the schema takes %q", wrong)
		}
		if _, warnings := config.Load(config.Layer{Data: []byte(wrong)}); len(warnings) == 0 {
			t.Errorf("Load takes %q", wrong)
		}
	}
}

// asJSON reads YAML as an editor does.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return plain(value)
}

// plain turns the types that only YAML has into text.
func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case time.Time:
		return v.Format(time.DateOnly)
	case []byte:
		return string(v)
	}
	return value
}

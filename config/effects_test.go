package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/config"
)

// elsewhere are the appliers whose keys are tested where their work is.
var elsewhere = []string{"use"}

// later are the appliers whose keys wait for the next boot. The others have a
// case in tests/vm/live/live.yml, which the test there holds complete.
var later = []string{"boot", "kernel"}

// effects are the tests that show what a key does: "FILE FUNCTION".
func effects(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/effects.yml")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]string{}
	if err := yaml.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	return table
}

// effective are the keys that have an effect of their own.
func effective() []config.Key {
	return slices.DeleteFunc(config.Keys(), func(k config.Key) bool {
		return k.Section || k.None != "" || k.Applier == "" || slices.Contains(elsewhere, k.Applier)
	})
}

// TestEffects: of every key that does something a test shows what. It is there,
// and stands in a file that has something to do with the key.
func TestEffects(t *testing.T) {
	table := effects(t)
	for _, k := range effective() {
		tests := table[k.Name]
		delete(table, k.Name)
		unit := false
		for _, test := range tests {
			file, function, _ := strings.Cut(test, " ")
			unit = unit || !strings.HasPrefix(file, "tests/vm/")
			text, err := os.ReadFile(filepath.Join("..", file))
			if err != nil {
				t.Errorf("%s: %v", k.Name, err)
				continue
			}
			if !strings.Contains(string(text), "\nfunc "+function+"(") {
				t.Errorf("%s: %s has no %s", k.Name, file, function)
			}
			if !mentions(string(text), k.Name) {
				t.Errorf("%s: nothing in %s has its name", k.Name, file)
			}
		}
		if !unit {
			t.Errorf("%s: no unit test shows what it does; testdata/effects.yml names them", k.Name)
		}
	}
	for name := range table {
		t.Errorf("testdata/effects.yml: %s is no key, or has no effect", name)
	}
}

// mentions says whether a text has a key by its name in YAML or in Go.
func mentions(text, key string) bool {
	parts := strings.Split(key, ".")
	names := regexp.QuoteMeta(parts[len(parts)-1])
	if field := fieldOf(reflect.TypeFor[config.Config](), parts); field != "" {
		names += "|" + field
	}
	return regexp.MustCompile(`\b(` + names + `)\b`).MatchString(text)
}

// fieldOf is the field of a key: that of the last of its parts.
func fieldOf(of reflect.Type, parts []string) string {
	for of.Kind() == reflect.Slice || of.Kind() == reflect.Map || of.Kind() == reflect.Pointer {
		if of.Kind() == reflect.Map && len(parts) > 1 {
			parts = parts[1:] // NAME
		}
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return ""
	}
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Tag.Get("yaml") != strings.TrimSuffix(parts[0], "[]") {
			continue
		}
		if len(parts) == 1 {
			return f.Name
		}
		return fieldOf(f.Type, parts[1:])
	}
	return ""
}

// effectTable has a row for each key.
func effectTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| key | unit test | on a booted machine |\n|---|---|---|\n")
	table := effects(t)
	for _, k := range effective() {
		var unit, machine []string
		for _, test := range table[k.Name] {
			file, function, _ := strings.Cut(test, " ")
			if rest, ok := strings.CutPrefix(file, "tests/vm/"); ok {
				machine = append(machine, fmt.Sprintf("`%s` in `%s`", function, rest))
			} else {
				unit = append(unit, fmt.Sprintf("`%s` in `%s`", function, file))
			}
		}
		if !slices.Contains(later, k.Applier) {
			machine = append(machine, "live")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.Name, strings.Join(unit, ", "), strings.Join(machine, ", "))
	}
	return b.String()
}

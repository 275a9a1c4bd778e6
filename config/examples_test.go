package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/config"
)

var update = flag.Bool("update", false, "write the golden files and docs/config.md")

// TestExamples reads every example of the kinds of config that people have.
// Beside NAME.yml stand NAME.golden, what comes of it, and NAME.notes, what
// Validate says about it, if it says anything.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/examples/*.yml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d examples, want 60 or more; %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cfg, warnings := config.Load(config.Layer{Name: name + ".yml", Data: text})
			if len(warnings) > 0 {
				t.Errorf("warnings = %v, want none", warnings)
			}
			whole := document(t, cfg)
			golden(t, strings.TrimSuffix(path, "yml")+"golden", whole)

			var notes strings.Builder
			for _, w := range config.Validate(name+".yml", text) {
				if w.Severity == config.Wrong {
					t.Errorf("Validate says %q is wrong", w)
				}
				notes.WriteString(string(w.Severity) + ": " + w.String() + "\n")
			}
			golden(t, strings.TrimSuffix(path, "yml")+"notes", notes.String())

			again, warnings := config.Load(config.Layer{Name: name + ".golden", Data: []byte(whole)})
			if diff := cmp.Diff(cfg, again, cmpopts.IgnoreUnexported(config.Config{})); diff != "" || len(warnings) > 0 {
				t.Errorf("what comes of it is another config when it is read again (-want +got):\n%s\nwarnings %v", diff, warnings)
			}
		})
	}
}

// document is all that is not a default.
func document(t *testing.T, cfg *config.Config) string {
	t.Helper()
	var set []config.Entry
	for _, e := range cfg.Entries(true) {
		if e.From.Layer != "defaults" {
			set = append(set, e)
		}
	}
	text, err := config.Document(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// golden compares with a file that is not there when the text is empty.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if got == "" {
			_ = os.Remove(path)
		} else if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s\ngo test ./config -update writes it", path, diff)
	}
}

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/config"
)

// addExamples seeds a fuzzer with every example.
func addExamples(f *testing.F, add func(text []byte)) {
	files, err := filepath.Glob("testdata/examples/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		add(text)
	}
}

// FuzzLoad: whatever two layers hold, they become a config that can be written
// and read again.
func FuzzLoad(f *testing.F) {
	addExamples(f, func(text []byte) { f.Add(text, []byte(some)) })
	f.Add([]byte("a: &a {b: c}\nrancher: {<<: *a}\n"), []byte("rancher: &r {services: {a: *r}}\n"))
	f.Fuzz(func(t *testing.T, low, high []byte) {
		cfg, warnings := config.Load(config.Layer{Name: "low.yml", Data: low}, config.Layer{Name: "high.yml", Data: high})
		checkConfig(t, cfg, warnings, 2)
	})
}

func FuzzCommandLine(f *testing.F) {
	f.Add("rancher.debug rancher.autologin=tty1")
	f.Add(`rancher.state.autoformat=[/dev/sda] cc.hostname=x -- rancher.password="a b"`)
	f.Add("rancher.network.interfaces.eth0.100.mtu=1400 rancher.sysctl.net.ipv4.ip_forward=1 rancher.services.a.image=b")
	f.Add(`rancher.registry_auths."a.b".auth=x cc.users=[{name: a}] cc.write_files=[{path:/a}] rancher.services.a={b:[c]}`)
	f.Fuzz(func(t *testing.T, line string) {
		layer := kernel(line)
		cfg, warnings := config.Load(layer)
		checkConfig(t, cfg, warnings, 1)
		for _, s := range layer.Settings {
			config.Split(s.Key)
		}
	})
}

func FuzzValidate(f *testing.F) {
	addExamples(f, func(text []byte) { f.Add(text) })
	f.Fuzz(func(t *testing.T, text []byte) {
		strict := config.Validate("c.yml", text)
		_, lenient := config.Load(config.Layer{Name: "c.yml", Data: text})
		var wrong int
		for i, w := range strict {
			if w.Message == "" || strings.ContainsRune(w.Message, '\n') {
				t.Errorf("warning %q is not one line", w)
			}
			if w.Severity == config.Wrong {
				wrong++
			}
			if i > 0 && w.Line < strict[i-1].Line {
				t.Errorf("line %d stands behind line %d", w.Line, strict[i-1].Line)
			}
		}
		if len(strict) < 50 && wrong != len(lenient) {
			t.Errorf("Validate finds %d faults, Load %d: %v, %v", wrong, len(lenient), strict, lenient)
		}
	})
}

// checkConfig holds what is true of every config.
func checkConfig(t *testing.T, cfg *config.Config, warnings []config.Warning, layers int) {
	t.Helper()
	if len(warnings) > layers*52 {
		t.Errorf("%d warnings", len(warnings))
	}
	for _, w := range warnings {
		if w.Message == "" || w.Severity != config.Wrong {
			t.Errorf("warning %+v", w)
		}
	}
	text, err := config.Document(cfg.Entries(true))
	if err != nil {
		t.Fatal(err)
	}
	again, warnings := config.Load(config.Layer{Name: "again.yml", Data: text})
	if len(warnings) > 0 && len(text) < 1<<20 {
		t.Errorf("written as\n%s\nit has faults: %v", text, warnings)
	}
	if diff := cmp.Diff(cfg, again, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty()); diff != "" && len(text) < 1<<20 {
		t.Errorf("written and read it is another config (-want +got):\n%s", diff)
	}
	if changes := config.Changes(cfg, cfg); changes != nil {
		t.Errorf("a config differs from itself: %v", changes)
	}
}

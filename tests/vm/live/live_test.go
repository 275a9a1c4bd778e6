package live_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/yamledit"
	"github.com/rosteros/ros/tests/vm/live"
)

// later are the appliers whose keys are for the next boot or the next use, such
// as an upgrade, whenever they are set.
var later = []string{"boot", "kernel", "use"}

// elsewhere are appliers whose keys need images: the scenario of that name in
// tests/vm sets them.
var elsewhere = []string{"console"}

// TestTable holds the table complete: every key that takes effect at once has a
// change that sets it and a look at what came of it.
func TestTable(t *testing.T) {
	cases, err := live.Cases(nil)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	for _, c := range cases {
		if len(c.Set) == 0 || len(c.Looks) == 0 && !c.Cuts {
			t.Errorf("a case without a change or a look: %+v", c)
		}
		for _, l := range c.Looks {
			if l.After != nil && *l.After == l.Prints && !strings.Contains(l.Run, "/opt/") && l.Prints == "" {
				t.Errorf("%q shows nothing", l.Run)
			}
		}
		for _, s := range c.Set {
			for _, key := range s.Keys() {
				set[key] = true
			}
		}
	}
	known := map[string]bool{}
	for _, k := range config.Keys() {
		known[k.Name] = true
		if k.Section || k.None != "" || k.Applier == "" || slices.Contains(later, k.Applier) || slices.Contains(elsewhere, k.Applier) {
			continue
		}
		if !set[k.Name] {
			t.Errorf("%s takes effect at once (%s), and live.yml has no case for it", k.Name, k.Applier)
		}
	}
	for key := range set {
		if !known[key] {
			t.Errorf("live.yml sets %s, which is no key", key)
		}
	}
}

// TestValues: what the table sets is right as far as a file can be.
func TestValues(t *testing.T) {
	const certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	cases, err := live.Cases(map[string]string{"KEY": "ssh-ed25519 AAAA me", "CA": certificate, "CERT": certificate, "CERTKEY": "key", "HOSTKEY": "key", "REGISTRY": "10.0.2.2:5000"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for _, s := range c.Set {
			text, err := s.Text()
			if err != nil {
				t.Fatal(err)
			}
			file, err := yamledit.Set([]byte("#cloud-config\n"), config.Split(s.Key), []byte(text))
			if err != nil {
				t.Errorf("%s: %v", s.Key, err)
			}
			if _, warnings := config.Load(config.Layer{Name: s.Key, Data: file}); len(warnings) > 0 {
				t.Errorf("%v", warnings)
			}
		}
	}
}

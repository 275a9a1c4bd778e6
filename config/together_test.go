package config_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
)

func layer(name, upgrade string) config.Layer {
	return config.Layer{Name: name, Data: []byte("rancher:\n  upgrade: {" + upgrade + "}\n")}
}

// TestTrialTimes: a commit window that is not over before the deadline would
// make every upgrade fail. It does not stop the boot, and does not count.
func TestTrialTimes(t *testing.T) {
	for _, tt := range []struct {
		name             string
		layers           []config.Layer
		window, deadline int
		warnings         []string
	}{
		{"in order", []config.Layer{layer("a.yml", "commit_window: 599")}, 599, 600, nil},
		{"window", []config.Layer{layer("a.yml", "commit_window: 600")}, 120, 600,
			[]string{"a.yml:2: rancher.upgrade.commit_window: must be less than rancher.upgrade.deadline, which is 600 (defaults)"}},
		{"deadline", []config.Layer{layer("a.yml", "deadline: 60")}, 120, 600,
			[]string{"a.yml:2: rancher.upgrade.deadline: must be more than rancher.upgrade.commit_window, which is 120 (defaults)"}},
		{"both", []config.Layer{layer("a.yml", "commit_window: 7200, deadline: 7200")}, 120, 7200,
			[]string{"a.yml:2: rancher.upgrade.commit_window: must be less than rancher.upgrade.deadline, which is 7200"}},
		{"both, and the default of one is too long as well", []config.Layer{layer("a.yml", "commit_window: 90, deadline: 60")}, 120, 600,
			[]string{"a.yml:2: rancher.upgrade.commit_window: must be less than rancher.upgrade.deadline, which is 60",
				"a.yml:2: rancher.upgrade.deadline: must be more than rancher.upgrade.commit_window, which is 120 (defaults)"}},
		{"in order as a whole", []config.Layer{layer("a.yml", "deadline: 1800"), layer("b.yml", "commit_window: 900")}, 900, 1800, nil},
		{"the layers below count", []config.Layer{layer("a.yml", "commit_window: 30, deadline: 90"), layer("b.yml", "commit_window: 300")}, 30, 90,
			[]string{"b.yml:2: rancher.upgrade.commit_window: must be less than rancher.upgrade.deadline, which is 90 (a.yml:2)"}},
		{"the higher layer is at fault", []config.Layer{layer("a.yml", "commit_window: 300"), layer("b.yml", "deadline: 200")}, 300, 600,
			[]string{"b.yml:2: rancher.upgrade.deadline: must be more than rancher.upgrade.commit_window, which is 300 (a.yml:2)"}},
		{"the kernel command line", []config.Layer{layer("a.yml", "commit_window: 100"), kernel("rancher.upgrade.commit_window=86400")}, 100, 600,
			[]string{"kernel command line: rancher.upgrade.commit_window: must be less than rancher.upgrade.deadline, which is 600 (defaults)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, warnings := config.Load(tt.layers...)
			if diff := cmp.Diff(tt.warnings, texts(warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if u := cfg.Rancher.Upgrade; u.CommitWindowSeconds != tt.window || u.DeadlineSeconds != tt.deadline {
				t.Errorf("window %d, deadline %d; want %d, %d", u.CommitWindowSeconds, u.DeadlineSeconds, tt.window, tt.deadline)
			}
			for _, w := range warnings {
				if w.Severity != config.Wrong {
					t.Errorf("%v is %s, want wrong", w, w.Severity)
				}
			}
		})
	}
}

// TestDroppedHasNoOrigin: what does not count is shown as what does.
func TestDroppedHasNoOrigin(t *testing.T) {
	cfg, _ := config.Load(layer("a.yml", "commit_window: 30"), layer("b.yml", "commit_window: 900"))
	for _, e := range cfg.Entries(true) {
		if e.Key == "rancher.upgrade.commit_window" && (e.Value != "30" || e.From.Layer != "a.yml") {
			t.Errorf("it is %s from %+v, want 30 from a.yml", e.Value, e.From)
		}
	}
}

// TestValidateAmong: of a file among others those say what its keys stand
// beside, and only what is wrong in the file is said.
func TestValidateAmong(t *testing.T) {
	below, above := layer("below.yml", "deadline: 1800"), kernel("rancher.upgrade.deadline=3600")
	for _, tt := range []struct {
		text   string
		others []config.Layer
		want   []string
	}{
		{"rancher: {upgrade: {commit_window: 900}}", nil,
			[]string{"c.yml:1: rancher.upgrade.commit_window: must be less than rancher.upgrade.deadline, which is 600 (defaults)"}},
		{"rancher: {upgrade: {commit_window: 900}}", []config.Layer{below}, nil},
		{"rancher: {upgrade: {commit_window: 2700}}", []config.Layer{below},
			[]string{"c.yml:1: rancher.upgrade.commit_window: must be less than rancher.upgrade.deadline, which is 1800 (below.yml:2)"}},
		{"rancher: {upgrade: {commit_window: 2700}}", []config.Layer{below, above}, nil},
		{"hostname: a", []config.Layer{layer("below.yml", "deadline: 60"), {Name: "c.yml", Data: []byte("hostname: [b]")}}, nil},
		{"swap: {filename: /a}", []config.Layer{{Name: "below.yml", Data: []byte("swap: {size: 1G}")}}, nil},
		{"hostname: a", []config.Layer{{Name: "below.yml", Data: []byte("swap: {filename: /a}\nrancher: {password: a}")}}, nil},
	} {
		t.Run(fmt.Sprintf("%.40q among %d", tt.text, len(tt.others)), func(t *testing.T) {
			if diff := cmp.Diff(tt.want, texts(config.Validate("c.yml", []byte(tt.text), tt.others...))); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

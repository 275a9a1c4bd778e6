package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/supervise"
)

// TestPreview: what a change would do to services is what the applier does, and
// asking changes nothing.
func TestPreview(t *testing.T) {
	b := newBox(t, t.TempDir(), "b1")
	b.put(t, "rancher:\n  environment: {ZONE: one}\n  services_include: {off: false}\n  services: {mine: {image: ros/x, labels: {io.rancher.os.scope: system}}}\n")
	f := files(t, "cron", "ntp", "off", "zoned: "+"    restart: always\n    environment: [\"IN=${ZONE:-}\"]\n    x-ros: {scope: system}\n")
	b.services = f
	b.driver.Appliers["services"] = f.applier(supervise.New(supervise.Config{}))
	b.start(t.Context())
	for _, tt := range []struct {
		name, text string
		want       control.ConfigPreview
	}{
		{"the same", "", control.ConfigPreview{}},
		{"nothing of it", "{}\n", control.ConfigPreview{Start: []string{"off"}, Stop: []string{"mine"}, Recreate: []string{"zoned"}}},
		{"switched off", "rancher:\n  environment: {ZONE: one}\n  services_include: {off: false}\n  services: {mine: {image: ros/y, labels: {io.rancher.os.scope: system}}}\nntp: {enabled: false}\n",
			control.ConfigPreview{Stop: []string{"ntp"}, Recreate: []string{"mine"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, err := os.ReadFile(b.store.File())
			if err != nil {
				t.Fatal(err)
			}
			text := []byte(tt.text)
			if tt.text == "" {
				text = before
			}
			if diff := cmp.Diff(tt.want, b.Preview(text)); diff != "" {
				t.Errorf("Preview() (-want +got):\n%s", diff)
			}
			if after, err := os.ReadFile(b.store.File()); err != nil || string(after) != string(before) {
				t.Errorf("the file has changed: %s, %v", after, err)
			}
		})
	}
}

// TestPreviewOfProjects: what the engine runs is made anew by the changes that
// mean it, and by no other.
func TestPreviewOfProjects(t *testing.T) {
	s := newStation(t)
	const web = "rancher:\n  services: {web: {image: \"test/busybox:1\", restart: always}}\n"
	if _, err := s.configs.Write(t.Context(), control.ConfigWrite{Text: []byte(web)}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		want       control.ConfigPreview
	}{
		{"something else", web + "hostname: other\n", control.ConfigPreview{}},
		{"something else that files are filled with", web + "  environment: {ZONE: two}\n", control.ConfigPreview{}},
		{"another image", strings.Replace(web, "busybox:1", "busybox:2", 1), control.ConfigPreview{Recreate: []string{"web"}}},
		{"without it", "{}\n", control.ConfigPreview{Stop: []string{"web"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, s.configs.Preview([]byte(tt.text))); diff != "" {
				t.Errorf("Preview() (-want +got):\n%s", diff)
			}
		})
	}
}

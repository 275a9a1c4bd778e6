package main

import (
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

// What is said about dockerd and changes nothing stands among the warnings, with
// its key and the reason.
func TestFixedOptionsOfDocker(t *testing.T) {
	s := newStation(t)
	for text, want := range map[string]string{
		"graph: /mnt/docker":       "rancher.docker.graph: has no effect: it is fixed: /var/lib/docker; ",
		"data_root: /mnt/docker":   "rancher.docker.graph: has no effect: it is fixed: /var/lib/docker; ",
		"exec_root: /run/d":        "rancher.docker.exec_root: has no effect: it is fixed: /run/docker",
		"config_file: /etc/d.json": "rancher.docker.config_file: has no effect: dockerd's options are put together from this config",
		"args: [--debug]":          "rancher.docker.args: has no effect: RancherOS had the key and did nothing with it; use extra_args",
		"userland_proxy: true":     "rancher.docker.userland_proxy: has no effect: there is no program for it in the image; ",
		"userland_proxy: false":    "",
		"graph: /var/lib/docker":   "",
	} {
		was, err := s.configs.store.Sum()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.configs.Write(t.Context(), control.ConfigWrite{Was: was, Text: []byte("#cloud-config\nrancher: {docker: {" + text + "}}\n")}); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(s.configs.currentWarnings(), "\n")
		if want != "" {
			want = s.configs.store.File() + ": " + want
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: warnings %q, want %q", text, got, want)
		}
	}
}

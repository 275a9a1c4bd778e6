package upgrade_test

import (
	"errors"
	"testing"

	"github.com/rosteros/ros/internal/upgrade"
)

func TestResolve(t *testing.T) {
	some := []string{"host/os:v2", "host/os:v1", "https://host/roster-v0.tar"}
	for _, tt := range []struct {
		name, word, image string
		current           string
		available         []string
		listErr           error
		want, wantErr     string
	}{
		{name: "a reference", word: "host/os:v3", current: "host/os:v2", want: "host/os:v3"},
		{name: "a file", word: "./roster.tar", want: "./roster.tar"},
		{name: "an address", word: "https://host/roster.tar", want: "https://host/roster.tar"},
		{name: "nothing: the current one", current: "host/os:v2", want: "host/os:v2"},
		{name: "nothing, and no list", wantErr: "cannot tell which release: name one, or set rancher.upgrade.url to a list of releases"},
		{name: "nothing, and a list that cannot be read", listErr: errors.New("no route"), wantErr: "no route"},
		{name: "a version of the list", word: "v1", image: "other/os", available: some, want: "host/os:v1"},
		{name: "the version of a file of the list", word: "v0", available: some, want: "https://host/roster-v0.tar"},
		{name: "a version of the repository", word: "v9", image: "other/os", available: some, want: "other/os:v9"},
		{name: "a version, though the list cannot be read", word: "v9", image: "other/os", listErr: errors.New("no route"), want: "other/os:v9"},
		{name: "a version, and no list", word: "v9", listErr: errors.New("no route"), wantErr: "no route"},
		{name: "no such version", word: "v9", available: some, wantErr: "the list has no release v9; it has v2, v1, v0"},
		{name: "a version and nowhere to look", word: "v9",
			wantErr: "cannot tell where release v9 is: there is no list of releases (rancher.upgrade.url) and no repository (rancher.upgrade.image)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := upgrade.Resolve(tt.word, tt.image, func() (string, []string, error) { return tt.current, tt.available, tt.listErr })
			msg := ""
			if err != nil {
				msg = err.Error()
			}
			if got != tt.want || msg != tt.wantErr {
				t.Errorf("Resolve = %q, %q; want %q, %q", got, msg, tt.want, tt.wantErr)
			}
		})
	}
}

func TestVersionOf(t *testing.T) {
	for ref, want := range map[string]string{
		"host:5000/os:v1": "v1", "host/os:v1@sha256:0": "v1", "host/os": "os", "/a/roster-v1.2.tar": "v1.2", "https://h/x#v3": "v3", "./dir": "dir",
	} {
		if got := upgrade.VersionOf(ref); got != want {
			t.Errorf("VersionOf(%q) = %q, want %q", ref, got, want)
		}
	}
}

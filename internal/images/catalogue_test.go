package images_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/images"
)

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "base.json", `{"name":"ros/base","layers":["base"],"config":{"env":["PATH=/bin"]},"digest":"sha256:00"}`)
	write(t, dir, "ntp.json", `{"name":"ros/ntp","layers":["base","ntp"],"config":{"cmd":["chronyd","-d"]},"digest":"sha256:01"}`)
	write(t, dir, "README", `not an image`)

	got, err := images.Load(dir)
	if err != nil {
		t.Fatalf("Load(%q) = %v", dir, err)
	}
	want := images.Catalogue{
		"ros/base": {Name: "ros/base", Layers: []string{"base"}, Config: images.Config{Env: []string{"PATH=/bin"}}, Digest: "sha256:00"},
		"ros/ntp":  {Name: "ros/ntp", Layers: []string{"base", "ntp"}, Config: images.Config{Cmd: []string{"chronyd", "-d"}}, Digest: "sha256:01"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load(%q) (-want +got):\n%s", dir, diff)
	}
}

func TestLoadKeepsTheGoodFiles(t *testing.T) {
	for _, tt := range []struct{ name, content, wantErr string }{
		{"cut off", `{"name":"ros/bad","lay`, "unexpected EOF"},
		{"no name", `{"layers":["base"]}`, "it has no name"},
		{"no layers", `{"name":"ros/bad"}`, "it has no layers"},
		{"layer outside", `{"name":"ros/bad","layers":["../etc"]}`, `layer "../etc" is not the name of a directory`},
		{"layer is the parent", `{"name":"ros/bad","layers":[".."]}`, `layer ".." is not the name of a directory`},
		{"layer that splits the mount option", `{"name":"ros/bad","layers":["a:b"]}`, `layer "a:b" is not the name of a directory`},
		{"key that nobody reads", `{"name":"ros/bad","layers":["bad"],"labels":{}}`, `json: unknown field "labels"`},
		{"name twice", `{"name":"ros/a","layers":["bad"]}`, `image "ros/a" has another file`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "a.json", `{"name":"ros/a","layers":["base"]}`)
			write(t, dir, "bad.json", tt.content)
			got, err := images.Load(dir)
			want := "cannot use image file " + filepath.Join(dir, "bad.json") + ": " + tt.wantErr
			if text(err) != want {
				t.Errorf("Load error = %q, want %q", text(err), want)
			}
			if names := got.Names(); !cmp.Equal(names, []string{"ros/a"}) {
				t.Errorf("Load kept %q, want ros/a", names)
			}
		})
	}
}

func TestLoadNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	c, err := images.Load(dir)
	if !strings.HasPrefix(text(err), "cannot read the image catalogue: ") {
		t.Errorf("Load(%q) error = %v", dir, err)
	}
	if _, err := c.Find("ros/a"); text(err) != `image "ros/a" is not in this OS image (it has none)` {
		t.Errorf("Find in no catalogue = %v", err)
	}
}

func TestFind(t *testing.T) {
	c := images.Catalogue{"ros/base": {Name: "ros/base"}, "ros/ntp": {Name: "ros/ntp"}}
	const has = " is not in this OS image (it has ros/base, ros/ntp)"
	for _, tt := range []struct{ ref, want, wantErr string }{
		{ref: "ros/ntp", want: "ros/ntp"},
		{ref: "ros/ntp:latest", want: "ros/ntp"},
		{ref: "ros/ntp:v1.2@sha256:abcd", want: "ros/ntp"},
		{ref: "ros/ntp@sha256:abcd", want: "ros/ntp"},
		{ref: "ros/foo", wantErr: `image "ros/foo"` + has},
		{ref: "host:5000/ntp", wantErr: `image "host:5000/ntp"` + has},
		{ref: "ntp", wantErr: `image "ntp"` + has},
		{ref: "", wantErr: `image ""` + has},
	} {
		got, err := c.Find(tt.ref)
		if got.Name != tt.want || text(err) != tt.wantErr {
			t.Errorf("Find(%q) = %q, %q, want %q, %q", tt.ref, got.Name, text(err), tt.want, tt.wantErr)
		}
	}
}

package datasource_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
	"github.com/rosteros/ros/internal/userdata"
)

// tree is every file below dir with its permissions and content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text := ""
		if !d.IsDir() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(content)
		}
		found[name] = info.Mode().Perm().String() + "\n" + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestStore(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "conf/datasource")
	at := time.Date(2026, 11, 24, 3, 4, 5, 6, time.UTC)
	d := datasource.Data{
		Source: "ec2", InstanceID: "i-1", Hostname: "edge.example.org", SSHKeys: []string{"ssh-rsa AAAA a"}, ResizeDevice: "/dev/vda",
		Network: []byte("interfaces:\n  eth0: {dhcp: true}\n"), Notes: []string{"one thing"},
	}
	decoded := datasource.Decoded{
		User: userdata.Parts{
			{Kind: userdata.CloudConfig, Data: []byte("a: 1\n")}, {Kind: userdata.Script, Data: []byte("#!/bin/sh\n")},
			{Kind: userdata.Compose, Data: []byte("web: {image: nginx}\n")}, {Kind: userdata.Compose, Data: []byte("- x\n")},
			{Kind: userdata.CloudConfig, Data: []byte("b: 2\n")}},
		Vendor:    userdata.Parts{{Kind: userdata.CloudConfig, Data: []byte("v: 1\n")}, {Kind: userdata.Script, Data: []byte("#!vendor\n")}},
		UserErr:   errors.New("first line\nsecond line"),
		VendorErr: errors.New("bad part"),
	}
	record, err := d.Store(dir, decoded, at)
	if err != nil {
		t.Fatal(err)
	}
	want := datasource.Record{Source: "ec2", InstanceID: "i-1", Fetched: at.Truncate(time.Second), Errors: []string{
		"one thing", "vendor-data: bad part", "user-data: first line", "user-data: second line",
		`user-data: compose file, line 1: must be a mapping ("key: value" on its first line)`}}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	wantTree := map[string]string{
		".": "-rwx------\n",
		"10-metadata.yml": "-rw-------\n#cloud-config\nhostname: edge\nssh_authorized_keys:\n    - ssh-rsa AAAA a\n" +
			"rancher:\n    resize_device: /dev/vda\n",
		"15-network.yml":        "-rw-------\n#cloud-config\nrancher:\n    network:\n        interfaces:\n            eth0: {dhcp: true}\n",
		"20-vendor-data-01.yml": "-rw-------\nv: 1\n",
		"30-user-data-01.yml":   "-rw-------\na: 1\n",
		"30-user-data-02.yml":   "-rw-------\nb: 2\n",
		"40-compose-01.yml":     "-rw-------\n#cloud-config\nrancher:\n    services:\n        web: {image: nginx}\n",
		"script-01":             "-rwx------\n#!vendor\n",
		"script-02":             "-rwx------\n#!/bin/sh\n",
		"source.json": "-rw-------\n{\n  \"source\": \"ec2\",\n  \"instance_id\": \"i-1\",\n  \"fetched\": \"2026-11-24T03:04:05Z\",\n  \"errors\": [\n" +
			"    \"one thing\",\n    \"vendor-data: bad part\",\n    \"user-data: first line\",\n    \"user-data: second line\",\n" +
			"    \"user-data: compose file, line 1: must be a mapping (\\\"key: value\\\" on its first line)\"\n  ]\n}",
	}
	if diff := cmp.Diff(wantTree, tree(t, dir)); diff != "" {
		t.Errorf("directory (-want +got):\n%s", diff)
	}

	// What a power cut has left of another attempt is in nobody's way.
	write(t, filepath.Join(dir+".new", "junk"), "x")
	next := datasource.Data{Source: "nocloud"}
	if _, err := next.Store(dir, datasource.Decoded{}, at); err != nil {
		t.Fatal(err)
	}
	wantTree = map[string]string{
		".":               "-rwx------\n",
		"10-metadata.yml": "-rw-------\n#cloud-config\n{}\n",
		"source.json":     "-rw-------\n{\n  \"source\": \"nocloud\",\n  \"fetched\": \"2026-11-24T03:04:05Z\"\n}",
	}
	if diff := cmp.Diff(wantTree, tree(t, dir)); diff != "" {
		t.Errorf("the next directory (-want +got):\n%s", diff)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
	if !datasource.Stored(dir, &next) || datasource.Stored(dir, &d) || datasource.Stored(dir+"-none", &next) {
		t.Error("Stored() takes another answer for the one that is there")
	}
}

func TestStoreFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	write(t, dir, "x")
	_, err := (&datasource.Data{Source: "ec2"}).Store(filepath.Join(dir, "datasource"), datasource.Decoded{}, time.Now())
	want := "cannot keep the answer of datasource ec2: unlinkat " + dir + "/datasource.new: not a directory"
	if text(err) != want {
		t.Errorf("Store() error = %v, want %s", err, want)
	}
}

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
)

// What keepKeys writes has to be a layer of the config that says just that.
func TestKeepKeys(t *testing.T) {
	data := t.TempDir()
	if err := keepKeys(data, nil); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) > 0 {
		t.Fatalf("without keys: %v, %v", entries, err)
	}
	keys := []string{`command="echo 'a: b' # c" ssh-rsa AAAAB3NzaC1yc2E= one`, "ssh-ed25519 AAAAC3NzaC1lZDI= two"}
	if err := keepKeys(data, keys); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(data, "var/lib/rancher/conf/cloud-config.d")
	layers, warnings := config.Read(config.Files{Dir: dir}, nil)
	if len(layers) != 1 || len(warnings) > 0 {
		t.Fatalf("layers %v, warnings %v", layers, warnings)
	}
	c, warnings := config.Load(layers...)
	if diff := cmp.Diff(keys, c.SSHAuthorizedKeys); diff != "" || len(warnings) > 0 {
		t.Errorf("keys (-want +got):\n%s\nwarnings %v", diff, warnings)
	}
	info, err := os.Stat(filepath.Join(dir, "machine.yml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

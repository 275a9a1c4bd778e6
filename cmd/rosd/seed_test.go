package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/internal/blockdev"
)

// disks makes a machine with the disk vda, which is empty, and vdb with an ISO
// 9660 file system of that label.
func disks(t *testing.T, label string) blockdev.Host {
	t.Helper()
	dir := t.TempDir()
	h := blockdev.Host{Sys: filepath.Join(dir, "sys"), Dev: filepath.Join(dir, "dev")}
	iso := make([]byte, 40<<10)
	copy(iso[32<<10:], "\x01CD001\x01\x00")
	copy(iso[32<<10+40:], label+strings.Repeat(" ", 32-len(label)))
	for name, content := range map[string][]byte{"vda": make([]byte, 64<<10), "vdb": iso} {
		device := filepath.Join(h.Sys, "devices", name)
		err := errors.Join(
			os.MkdirAll(device, 0o755), os.MkdirAll(filepath.Join(h.Sys, "class/block"), 0o755), os.MkdirAll(h.Dev, 0o755),
			os.WriteFile(filepath.Join(device, "size"), []byte("128\n"), 0o644),
			os.WriteFile(filepath.Join(device, "uevent"), []byte("DEVNAME="+name+"\n"), 0o644),
			os.Symlink(device, filepath.Join(h.Sys, "class/block", name)),
			os.WriteFile(filepath.Join(h.Dev, name), content, 0o644))
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestSeed(t *testing.T) {
	for _, tt := range []struct {
		name, label, userData string
		mountErr              error
		want                  string // the copy; "-": none
		wantErr               string // with DEV for the folder of devices
	}{
		{name: "label of cloud-init", label: "cidata", userData: "#cloud-config\n", want: "#cloud-config\n"},
		{name: "in capitals, as tools for FAT write it", label: "CIDATA", userData: "#cloud-config\n", want: "#cloud-config\n"},
		{name: "another disk", label: "ROSTER", userData: "#cloud-config\n", want: "-"},
		{name: "nothing but meta-data", label: "cidata", want: "-"},
		{name: "too much", label: "cidata", userData: strings.Repeat("x", maxUserData+1), want: "-",
			wantErr: "cannot read seed disk DEV/vdb: user-data is larger than 1024 KiB"},
		{name: "cannot be mounted", label: "cidata", mountErr: errors.New("mount iso9660: i/o error"), want: "-",
			wantErr: "cannot read seed disk DEV/vdb: mount iso9660: i/o error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := disks(t, tt.label)
			mounted, mounts := 0, 0
			s := seed{devices: h, dir: t.TempDir(), mount: func(d blockdev.Device, fstype, target string) (func() error, error) {
				if tt.mountErr != nil {
					return nil, tt.mountErr
				}
				if d.Name != "vdb" || fstype != "iso9660" {
					t.Errorf("mounted %s as %s", d.Name, fstype)
				}
				mounted++
				mounts++
				if tt.userData != "" {
					if err := os.WriteFile(filepath.Join(target, "user-data"), []byte(tt.userData), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				return func() error { mounted--; return nil }, nil
			}}
			err := s.fetch()
			text := ""
			if err != nil {
				text = strings.ReplaceAll(err.Error(), h.Dev, "DEV")
			}
			if text != tt.wantErr {
				t.Errorf("fetch() error = %q, want %q", text, tt.wantErr)
			}
			if mounted != 0 {
				t.Error("the seed disk stays mounted")
			}
			got := "-"
			if copied, err := os.ReadFile(s.userData()); err == nil {
				got = string(copied)
			}
			if got != tt.want {
				t.Errorf("user-data is %q, want %q", got, tt.want)
			}
			if tt.want == "-" {
				return
			}
			if info, err := os.Stat(s.userData()); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("user-data: %v, %v; want mode 0600, there may be a password in it", info.Mode(), err)
			}
			if err := s.fetch(); err != nil || mounts != 1 {
				t.Errorf("the next rosd: error %v, %d mounts, want 1: the first copy is the machine's", err, mounts)
			}
		})
	}
}

func TestWithinIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		err := within(3*time.Second, func() error { <-hang; return nil })
		if want := "cannot look for a seed disk: no answer from the disks within 3s"; err == nil || err.Error() != want {
			t.Errorf("within() error = %v, want %s", err, want)
		}
		close(hang)
	})
}

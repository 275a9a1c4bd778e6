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

func TestOEM(t *testing.T) {
	for _, tt := range []struct {
		name, label, text string
		device            string // what rancher.state.oem_dev says
		mountErr          error
		want              string // the copy; "-": none
		wantErr           string // with DEV for the folder of devices
	}{
		{name: "by its label", label: "RANCHER_OEM", text: "hostname: x\n", want: "hostname: x\n"},
		{name: "another disk", label: "ROSTER", text: "hostname: x\n", want: "-"},
		{name: "by the device that was asked for", label: "ROSTER", device: "DEV/vdb", text: "hostname: x\n", want: "hostname: x\n"},
		{name: "which is not there", label: "RANCHER_OEM", device: "DEV/vdc", want: "-",
			wantErr: `no config from the OEM partition: cannot find device "DEV/vdc": no such device`},
		{name: "nothing of ours on it", label: "RANCHER_OEM", want: "-"},
		{name: "too much", label: "RANCHER_OEM", text: strings.Repeat("x", 2<<20), want: "-",
			wantErr: "no config from the OEM partition: oem-config.yml of DEV/vdb: is larger than 1 MiB"},
		{name: "cannot be mounted", label: "RANCHER_OEM", mountErr: errors.New("i/o error"), want: "-",
			wantErr: "no config from the OEM partition: cannot mount DEV/vdb: i/o error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := disks(t, tt.label)
			mounted, mounts := 0, 0
			o := oem{devices: h, dir: t.TempDir(), mount: func(device, fstype, target string) (func() error, error) {
				if tt.mountErr != nil {
					return nil, tt.mountErr
				}
				if device != filepath.Join(h.Dev, "vdb") || fstype != "iso9660" {
					t.Errorf("mounted %s as %s", device, fstype)
				}
				mounted++
				mounts++
				if tt.text != "" {
					if err := os.WriteFile(filepath.Join(target, "oem-config.yml"), []byte(tt.text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				return func() error { mounted--; return nil }, nil
			}}
			device := strings.ReplaceAll(tt.device, "DEV", h.Dev)
			text := ""
			if err := o.fetch(device); err != nil {
				text = strings.ReplaceAll(err.Error(), h.Dev, "DEV")
			}
			if text != tt.wantErr {
				t.Errorf("fetch() error = %q, want %q", text, tt.wantErr)
			}
			if mounted != 0 {
				t.Error("the partition stays mounted")
			}
			got := "-"
			if copied, err := os.ReadFile(o.file()); err == nil {
				got = string(copied)
			}
			if got != tt.want {
				t.Errorf("the copy is %q, want %q", got, tt.want)
			}
			if tt.want == "-" {
				return
			}
			if info, err := os.Stat(o.file()); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the copy: %v, %v; want mode 0600, there may be a password in it", info.Mode(), err)
			}
			if err := o.fetch(device); err != nil || mounts != 1 {
				t.Errorf("the next rosd: error %v, %d mounts, want 1: the first copy is the machine's", err, mounts)
			}
		})
	}
}

func TestWithinIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		err := within(3*time.Second, func() error { <-hang; return nil })
		if want := "no config from the OEM partition: no answer from the disks within 3s"; err == nil || err.Error() != want {
			t.Errorf("within() error = %v, want %s", err, want)
		}
		close(hang)
	})
}

//go:build vm

package vm

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// autoformat is a machine without an installed system, as RancherOS users start
// them from an ISO or by iPXE. Its first disk has something on it, the second
// was made by docker-machine, and no other medium has the ssh key.
func autoformat(t *testing.T, l lab) {
	const precious = "not to be lost"
	cfg := l.direct("rancher.state.autoformat=[/dev/sda,/dev/vda,/dev/vdb]")
	cfg.Disks = []string{l.beginning(t, []byte(precious)), l.beginning(t, dockerMachineDisk(t, l.key.Authorized))}
	g := l.startAlone(t, cfg)
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.settle(t)
	formatted := g.step(t, "formatted", func(t *testing.T) {
		s := g.status(t)
		if want := "disk /dev/vdb"; s.State != want {
			t.Errorf("ros status: state is on %q, want %q", s.State, want)
		}
		const left = `rancher.state.autoformat: "/dev/vda" is left alone: its first MiB is not all zero`
		if text := strings.Join(s.Warnings, "\n"); !strings.Contains(text, left) {
			t.Errorf("ros status warns of %q, want %s", text, left)
		}
		g.prints(t, map[string]string{
			"sudo head -c 14 /dev/vda":                                         precious,
			"sudo ros config get ssh_authorized_keys":                          "- " + l.key.Authorized,
			"sudo stat -c %a /var/lib/rancher/conf/cloud-config.d/machine.yml": "600",
		})
		g.sh(t, "echo kept > kept")
	})
	if !formatted {
		t.Fatal("no state disk, so there is nothing to find again")
	}
	g.step(t, "reboot", func(t *testing.T) {
		g.reboot(t, "sudo reboot")
		g.prints(t, map[string]string{"cat kept": "kept"})
		g.settle(t)
		g.powerOff(t)
	})
}

// beginning is a disk of 2 GiB that begins with data and is empty otherwise.
func (l lab) beginning(t *testing.T, data []byte) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	if err := l.build.BlankDisk(disk, 2048); err != nil {
		t.Fatal(err)
	}
	l.onDisk(t, disk, func(raw string) error {
		f, err := os.OpenFile(raw, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt(data, 0)
		return err
	})
	return disk
}

// dockerMachineDisk is how docker-machine's drivers begin a disk.
func dockerMachineDisk(t *testing.T, key string) []byte {
	t.Helper()
	const words = "boot2docker, please format-me"
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct{ name, text string }{{words, words}, {".ssh/authorized_keys", key + "\n"}, {".ssh/authorized_keys2", key + "\n"}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

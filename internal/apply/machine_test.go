package apply_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

// machine is a box with a kernel that mounts, swaps and loads modules in its
// files.
type machine struct {
	*box
	calls []string
	fail  map[string]error // what a call answers, by its beginning
	ended bool             // a program was run in a context that had ended
}

func newMachine(t *testing.T) *machine {
	m := &machine{box: newBox(t), fail: map[string]error{}}
	m.Host.System = m
	m.write("proc/self/mountinfo", "20 1 253:0 / / ro - erofs /dev/dm-0 ro\n21 20 254:1 / /var rw shared:1 - ext4 /dev/vda1 rw\n")
	m.write("proc/swaps", "Filename Type Size Used Priority\n")
	return m
}

// call records a call, with paths from the machine's root.
func (m *machine) call(format string, args ...any) error {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), m.Root, "")
	m.calls = append(m.calls, text)
	for start, err := range m.fail {
		if strings.HasPrefix(text, start) {
			return err
		}
	}
	return nil
}

// called wants these calls and forgets them.
func (m *machine) called(want ...string) {
	m.t.Helper()
	if diff := cmp.Diff(want, m.calls); diff != "" {
		m.t.Errorf("calls (-want +got):\n%s", diff)
	}
	m.calls = nil
}

func (m *machine) Mount(source, target, fstype string, flags uintptr, options string) error {
	if err := m.call("mount %s %s %s %#x %s", source, target, fstype, flags, options); err != nil || source == "" {
		return err
	}
	line := fmt.Sprintf("30 20 0:9 / %s rw - %s %s rw\n", strings.TrimPrefix(target, m.Root), fstype, source)
	m.write("proc/self/mountinfo", m.read("proc/self/mountinfo")+line)
	return nil
}

func (m *machine) Unmount(target string) error {
	if err := m.call("unmount %s", target); err != nil {
		return err
	}
	all := strings.SplitAfter(m.read("proc/self/mountinfo"), "\n")
	for i, line := range slices.Backward(all) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == strings.TrimPrefix(target, m.Root) {
			m.write("proc/self/mountinfo", strings.Join(slices.Delete(all, i, i+1), ""))
			return nil
		}
	}
	return unix.EINVAL
}

func (m *machine) Swapon(path string) error {
	if err := m.call("swapon %s", path); err != nil {
		return err
	}
	// The kernel knows the file from its own root.
	name := path
	if strings.Contains(path, "/var/") {
		name = strings.TrimPrefix(path, m.Root)
	}
	m.write("proc/swaps", m.read("proc/swaps")+name+" file 1 0 -2\n")
	return nil
}

func (m *machine) Swapoff(path string) error {
	if err := m.call("swapoff %s", path); err != nil {
		return err
	}
	m.write("proc/swaps", "Filename Type Size Used Priority\n")
	return nil
}

func (m *machine) LoadModule(name, params string) error {
	if err := m.call("load %s %s", name, params); err != nil {
		return err
	}
	m.write("sys/module/"+strings.ReplaceAll(name, "-", "_")+"/initstate", "live\n")
	if name == "br_netfilter" {
		m.write("proc/sys/net/bridge/bridge-nf-call-iptables", "1\n")
	}
	return nil
}

func (m *machine) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	m.ended = m.ended || ctx.Err() != nil
	err := m.call("run %s %s", name, strings.Join(args, " "))
	if err == nil && len(args) == 2 && args[0] == "mkswap" {
		f, err := os.OpenFile(args[1], os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte("SWAPSPACE2"), 4086)
		return nil, err
	}
	return []byte("said something\n"), err
}

// disk adds a disk with a file system of that label.
func (m *machine) disk(name, label string) {
	m.t.Helper()
	ext4 := make([]byte, 64<<10)
	super := ext4[1024:]
	copy(super[0x38:], "\x53\xef")     // magic
	copy(super[0x5c:], "\x04\x00")     // a journal
	copy(super[0x60:], "\x40\x00")     // extents
	copy(super[0x78:], label)          // volume name
	super[0x04], super[0x18] = 0x40, 0 // 64 blocks of 1 KiB
	m.write("dev/"+name, string(ext4))
	m.write("sys/devices/"+name+"/size", "128\n")
	m.write("sys/devices/"+name+"/uevent", "DEVNAME="+name+"\n")
	dir := m.Path("sys/class/block")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(m.Path("sys/devices", name), filepath.Join(dir, name)); err != nil {
		m.t.Fatal(err)
	}
}

// load reads a cloud-config as rosd does.
func load(t *testing.T, text string) config.Config {
	return loadFrom(t, "/var/lib/rancher/conf/cloud-config.yml", text)
}

func loadFrom(t *testing.T, layer, text string) config.Config {
	t.Helper()
	cfg, warnings := config.Load(config.Layer{Name: layer, Data: bytes.TrimLeft([]byte(text), "\n")})
	for _, w := range warnings {
		t.Fatal(w)
	}
	return *cfg
}

func did(what ...string) apply.Outcome { return apply.Outcome{Did: what} }

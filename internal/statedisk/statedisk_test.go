package statedisk_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/statedisk"
)

const mib = 1 << 20

// machine is one of files: disks are images, and what is called and mounted is
// written down.
type machine struct {
	t     *testing.T
	host  blockdev.Host
	did   []string
	exits map[string][]int // program -> its next exit codes
	fail  map[string]error // first word of what is done -> error
}

func newMachine(t *testing.T) *machine {
	dir := t.TempDir()
	m := &machine{t: t, host: blockdev.Host{Sys: filepath.Join(dir, "sys"), Dev: filepath.Join(dir, "dev")}, exits: map[string][]int{}, fail: map[string]error{}}
	m.write(filepath.Join(m.host.Sys, "class/block/.d/keep"), nil)
	m.write(filepath.Join(m.host.Dev, "null"), nil)
	if err := os.RemoveAll(filepath.Join(m.host.Sys, "class/block/.d")); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) write(path string, data []byte) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// disk adds a disk, or a partition of the disk called parent.
func (m *machine) disk(name, parent string, size int, content []byte) {
	m.t.Helper()
	at := filepath.Join(m.host.Sys, "devices", parent, name)
	m.write(at+"/size", []byte(strconv.Itoa(size/512)+"\n"))
	m.write(at+"/ro", []byte("0\n"))
	m.write(at+"/uevent", []byte("DEVNAME="+name+"\n"))
	if parent != "" {
		m.write(at+"/partition", []byte(strings.TrimPrefix(name, parent)+"\n"))
	}
	if err := os.Symlink(at, filepath.Join(m.host.Sys, "class/block", name)); err != nil {
		m.t.Fatal(err)
	}
	path := filepath.Join(m.host.Dev, name)
	m.write(path, content)
	if err := os.Truncate(path, int64(size)); err != nil {
		m.t.Fatal(err)
	}
}

// installed adds a disk with a slot and a state disk, which may have been
// emptied.
func (m *machine) installed(name string, state bool) {
	m.t.Helper()
	content := []byte(nil)
	if state {
		content = ext4("RANCHER_STATE", 100*mib)
	}
	m.disk(name, "", 300*mib, nil)
	m.disk(name+"3", name, 100*mib, nil)
	m.disk(name+"6", name, 100*mib, content)
	m.write(filepath.Join(m.host.Sys, "devices", name, name+"6/uevent"), []byte("DEVNAME="+name+"6\nPARTNAME=RANCHER_STATE\n"))
}

func (m *machine) path(name string) string { return filepath.Join(m.host.Dev, name) }

// do writes down what is done, without the directories of this test.
func (m *machine) do(what string) error {
	what = strings.ReplaceAll(what, m.host.Dev, "/dev")
	m.did = append(m.did, what)
	verb, _, _ := strings.Cut(what, " ")
	return m.fail[verb]
}

func (m *machine) run(_ context.Context, argv ...string) ([]byte, int, error) {
	program := strings.TrimPrefix(argv[0], "/usr/sbin/")
	if err := m.do(program + " " + strings.Join(argv[1:], " ")); err != nil {
		return nil, 0, err
	}
	if exits := m.exits[program]; len(exits) > 0 {
		m.exits[program] = exits[1:]
		return []byte("says\n  " + program), exits[0], nil
	}
	if program == "mke2fs" {
		f, err := os.OpenFile(argv[len(argv)-1], os.O_WRONLY, 0)
		if err != nil {
			m.t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(ext4(argv[len(argv)-2], 100*mib), 0); err != nil {
			m.t.Fatal(err)
		}
	}
	return nil, 0, nil
}

func (m *machine) Mount(source, target, fstype string, flags uintptr, data string) error {
	return m.do(fmt.Sprintf("mount %s %s %s %s", source, filepath.Base(target), fstype, data))
}

func (m *machine) Unmount(target string, _ int) error { return m.do("unmount " + target) }

func (m *machine) options() statedisk.Options {
	return statedisk.Options{
		Target: filepath.Join(m.t.TempDir(), "state"), Run: m.run, Host: m.host, Sys: m, Log: slog.New(slog.DiscardHandler),
		Resize: func(_ string, size int64) error { return m.do(fmt.Sprintf("resize %d", size/mib)) },
	}
}

// ext4 is the superblock of a file system of size bytes.
func ext4(label string, size int) []byte {
	b := make([]byte, 4096)
	sb := b[1024:]
	binary.LittleEndian.PutUint32(sb[0x4:], uint32(size/4096))
	binary.LittleEndian.PutUint32(sb[0x18:], 2)
	binary.LittleEndian.PutUint16(sb[0x38:], 0xef53)
	binary.LittleEndian.PutUint32(sb[0x60:], 0x40)
	copy(sb[0x78:0x88], label)
	return b
}

func signature(offset int, text string) []byte {
	return append(make([]byte, offset), text...)
}

// marked is how a disk begins that a driver of docker-machine made.
func marked(t *testing.T, keys string) []byte {
	t.Helper()
	const words = "boot2docker, please format-me"
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct{ name, text string }{{words, words}, {".ssh/authorized_keys", keys}, {".ssh/authorized_keys2", keys}} {
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

func TestOpen(t *testing.T) {
	type result = statedisk.Result
	const (
		fsck      = "e2fsck -p /dev/vda"
		mountDisk = "mount /dev/vda state ext4 errors=remount-ro"
		mountRAM  = "mount state state tmpfs mode=0755"
		inMemory  = "; going on in memory, nothing will survive a reboot"
	)
	for _, tt := range []struct {
		name    string
		prepare func(m *machine, o *statedisk.Options)
		want    result
		wantErr string
		wantDid []string
	}{
		{
			name:    "a live system has none, which is no news",
			prepare: func(*machine, *statedisk.Options) {},
			want:    result{Kind: "RAM", FSType: "tmpfs"},
			wantDid: []string{mountRAM},
		},
		{
			name: "the one beside the slot that runs goes first",
			prepare: func(m *machine, o *statedisk.Options) {
				m.installed("sda", true)
				m.installed("vda", true)
				o.Image = m.path("vda3")
			},
			want:    result{Kind: "disk", Device: "/dev/vda6", FSType: "ext4"},
			wantDid: []string{"e2fsck -p /dev/vda6", "mount /dev/vda6 state ext4 errors=remount-ro"},
		},
		{
			name: "another has the label",
			prepare: func(m *machine, o *statedisk.Options) {
				m.installed("sda", true)
				m.installed("vda", false)
				o.Image = m.path("vda3")
			},
			want:    result{Kind: "disk", Device: "/dev/sda6", FSType: "ext4"},
			wantDid: []string{"e2fsck -p /dev/sda6", "mount /dev/sda6 state ext4 errors=remount-ro"},
		},
		{
			name: "none is wanted",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				o.Device, o.Wait = "none", time.Hour
				o.Autoformat = []string{m.path("vda")}
			},
			want:    result{Kind: "RAM", FSType: "tmpfs"},
			wantDid: []string{mountRAM},
		},
		{
			name: "none is wanted, and one is required",
			prepare: func(m *machine, o *statedisk.Options) {
				o.Device, o.Required = "none", true
			},
			wantErr: "cannot open the state disk, and rancher.state.required is set: rancher.state.dev is none",
		},
		{
			name: "a release on trial cannot open it",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				m.exits["e2fsck"] = []int{4}
				o.Trial = true
			},
			wantErr: `cannot open the state disk, and a release that cannot is not kept: check "/dev/vda": e2fsck exit code 4: says e2fsck`,
			wantDid: []string{fsck},
		},
		{
			name:    "a release on trial does not find it",
			prepare: func(m *machine, o *statedisk.Options) { o.Trial = true },
			wantErr: `cannot open the state disk, and a release that cannot is not kept: cannot find device "LABEL=RANCHER_STATE": no such device`,
		},
		{
			name:    "none is wanted of a release on trial",
			prepare: func(m *machine, o *statedisk.Options) { o.Device, o.Trial = "none", true },
			want:    result{Kind: "RAM", FSType: "tmpfs"},
			wantDid: []string{mountRAM},
		},
		{
			name:    "found, sound, and as large as its disk",
			prepare: func(m *machine, o *statedisk.Options) { m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib)) },
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "ext4"},
			wantDid: []string{fsck, mountDisk},
		},
		{
			name: "grown",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 200*mib, ext4("RANCHER_STATE", 100*mib))
			},
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "ext4", Grown: true},
			wantDid: []string{fsck, mountDisk, "resize 200"},
		},
		{
			name: "cannot be grown: no reason to go without it",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 200*mib, ext4("RANCHER_STATE", 100*mib))
				m.fail["resize"] = unix.EOPNOTSUPP
			},
			want: result{Kind: "disk", Device: "/dev/vda", FSType: "ext4", Warnings: []string{
				`cannot grow the file system on "/dev/vda" from 104857600 to 209715200 bytes: operation not supported`}},
			wantDid: []string{fsck, mountDisk, "resize 200"},
		},
		{
			name: "repaired",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				m.exits["e2fsck"] = []int{1}
			},
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "ext4"},
			wantDid: []string{fsck, mountDisk},
		},
		{
			name: "reboot asked for: looked at again instead",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				m.exits["e2fsck"] = []int{3, 0}
			},
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "ext4"},
			wantDid: []string{fsck, fsck, mountDisk},
		},
		{
			name: "reboot asked for twice",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				m.exits["e2fsck"] = []int{2, 2}
			},
			want:    result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{`no state disk: check "/dev/vda": e2fsck exit code 2: says e2fsck` + inMemory}},
			wantDid: []string{fsck, fsck, mountRAM},
		},
		{
			name: "damaged beyond repair",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				m.exits["e2fsck"] = []int{4}
			},
			want:    result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{`no state disk: check "/dev/vda": e2fsck exit code 4: says e2fsck` + inMemory}},
			wantDid: []string{fsck, mountRAM},
		},
		{
			name: "damaged, and required",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				m.exits["e2fsck"] = []int{4}
				o.Required = true
			},
			wantErr: `cannot open the state disk, and rancher.state.required is set: check "/dev/vda": e2fsck exit code 4: says e2fsck`,
			wantDid: []string{fsck},
		},
		{
			name: "no e2fsck",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				m.fail["e2fsck"] = errors.New("no such program")
			},
			want:    result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{`no state disk: check "/dev/vda": no such program` + inMemory}},
			wantDid: []string{fsck, mountRAM},
		},
		{
			name:    "required and not there",
			prepare: func(m *machine, o *statedisk.Options) { o.Required = true },
			wantErr: `cannot open the state disk, and rancher.state.required is set: cannot find device "LABEL=RANCHER_STATE": no such device`,
		},
		{
			name:    "named and not there",
			prepare: func(m *machine, o *statedisk.Options) { o.Device = "LABEL=DATA" },
			want:    result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{`no state disk: cannot find device "LABEL=DATA": no such device` + inMemory}},
			wantDid: []string{mountRAM},
		},
		{
			name: "named, but holds something else",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, signature(0, "LUKS\xba\xbe"))
				o.Device = m.path("vda")
			},
			want:    result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{`no state disk: "/dev/vda" holds crypto_LUKS, want ext4, btrfs, xfs or f2fs` + inMemory}},
			wantDid: []string{mountRAM},
		},
		{
			name: "another file system is mounted as it is",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, signature(0, "XFSB"))
				o.Device = m.path("vda")
			},
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "xfs"},
			wantDid: []string{"mount /dev/vda state xfs "},
		},
		{
			name: "formatted: the first that is there and empty",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("sdb", "", 100*mib, ext4("PHOTOS", 100*mib))
				m.disk("sdc", "", 100*mib, nil)
				m.disk("sdc1", "sdc", 50*mib, nil)
				m.disk("sdd", "", 100*mib, signature(700, "x"))
				m.disk("vda", "", 100*mib, nil)
				m.disk("vdb", "", 100*mib, nil)
				o.Autoformat = []string{m.path("sda"), m.path("sdb"), m.path("sdc"), m.path("sdd"), m.path("vda"), m.path("vdb")}
			},
			want: result{Kind: "disk", Device: "/dev/vda", FSType: "ext4", Formatted: true, Warnings: []string{
				`rancher.state.autoformat: "/dev/sdb" is left alone: it holds ext4 labelled "PHOTOS"`,
				`rancher.state.autoformat: "/dev/sdc" is left alone: it has partitions`,
				`rancher.state.autoformat: "/dev/sdd" is left alone: its first MiB is not all zero`,
			}},
			wantDid: []string{"mke2fs -q -F -t ext4 -L RANCHER_STATE /dev/vda", fsck, mountDisk},
		},
		{
			name: "formatted: marked for boot2docker, with keys",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, marked(m.t, "# made by a driver\nssh-ed25519 AAAA one\n\nssh-rsa BBBB two"))
				o.Autoformat = []string{m.path("vda")}
			},
			want: result{Kind: "disk", Device: "/dev/vda", FSType: "ext4", Formatted: true,
				Keys: []string{"ssh-ed25519 AAAA one", "ssh-rsa BBBB two"}},
			wantDid: []string{"mke2fs -q -F -t ext4 -L RANCHER_STATE /dev/vda", fsck, mountDisk},
		},
		{
			name: "formatted: marked by the words alone",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, []byte("boot2docker, please format-me\n"))
				o.Autoformat = []string{m.path("vda")}
			},
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "ext4", Formatted: true},
			wantDid: []string{"mke2fs -q -F -t ext4 -L RANCHER_STATE /dev/vda", fsck, mountDisk},
		},
		{
			name: "a mark does not count on a disk that nobody named",
			prepare: func(m *machine, _ *statedisk.Options) {
				m.disk("vda", "", 100*mib, marked(m.t, "ssh-ed25519 AAAA one\n"))
			},
			want:    result{Kind: "RAM", FSType: "tmpfs"},
			wantDid: []string{mountRAM},
		},
		{
			name: "a mark before partitions is none",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, append(marked(m.t, "ssh-ed25519 AAAA one\n")[:510], "\x55\xaa"...))
				o.Autoformat = []string{m.path("vda")}
			},
			want: result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{
				`rancher.state.autoformat: "/dev/vda" is left alone: it holds a partition table (dos)`,
				`no state disk: cannot find device "LABEL=RANCHER_STATE": no such device, and rancher.state.autoformat names no empty device` + inMemory}},
			wantDid: []string{mountRAM},
		},
		{
			name: "marked, formatted, and cannot be mounted: who may log in still may",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, marked(m.t, "ssh-ed25519 AAAA one\n"))
				m.exits["e2fsck"] = []int{4}
				o.Autoformat = []string{m.path("vda")}
			},
			want: result{Kind: "RAM", FSType: "tmpfs", Keys: []string{"ssh-ed25519 AAAA one"},
				Warnings: []string{`no state disk: check "/dev/vda": e2fsck exit code 4: says e2fsck` + inMemory}},
			wantDid: []string{"mke2fs -q -F -t ext4 -L RANCHER_STATE /dev/vda", fsck, mountRAM},
		},
		{
			name: "formatted with the label that is looked for",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, nil)
				o.Device, o.Autoformat = "LABEL=DATA", []string{m.path("vda")}
			},
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "ext4", Formatted: true},
			wantDid: []string{"mke2fs -q -F -t ext4 -L DATA /dev/vda", fsck, mountDisk},
		},
		{
			name: "formatted, named by its path both times",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, nil)
				o.Device, o.Autoformat = m.path("vda"), []string{m.path("vda")}
			},
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "ext4", Formatted: true},
			wantDid: []string{"mke2fs -q -F -t ext4 -L RANCHER_STATE /dev/vda", fsck, mountDisk},
		},
		{
			name: "not formatted when there is a state disk",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, ext4("RANCHER_STATE", 100*mib))
				m.disk("sda", "", 100*mib, nil)
				o.Autoformat = []string{m.path("sda")}
			},
			want:    result{Kind: "disk", Device: "/dev/vda", FSType: "ext4"},
			wantDid: []string{fsck, mountDisk},
		},
		{
			name: "not formatted when the list does not name it",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, nil)
				m.disk("sda", "", 100*mib, nil)
				o.Device, o.Autoformat = m.path("vda"), []string{m.path("sda")}
			},
			want: result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{
				`no state disk: "/dev/vda" holds nothing that is known, want ext4, btrfs, xfs or f2fs` + inMemory}},
			wantDid: []string{mountRAM},
		},
		{
			name: "nothing empty to format",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, signature(510, "\x55\xaa"))
				o.Autoformat = []string{m.path("vda")}
			},
			want: result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{
				`rancher.state.autoformat: "/dev/vda" is left alone: it holds a partition table (dos)`,
				`no state disk: cannot find device "LABEL=RANCHER_STATE": no such device, and rancher.state.autoformat names no empty device` + inMemory}},
			wantDid: []string{mountRAM},
		},
		{
			name: "formatting fails",
			prepare: func(m *machine, o *statedisk.Options) {
				m.disk("vda", "", 100*mib, nil)
				m.exits["mke2fs"] = []int{1}
				o.Autoformat = []string{m.path("vda")}
			},
			want:    result{Kind: "RAM", FSType: "tmpfs", Warnings: []string{`no state disk: format "/dev/vda": mke2fs exit code 1: says mke2fs` + inMemory}},
			wantDid: []string{"mke2fs -q -F -t ext4 -L RANCHER_STATE /dev/vda", mountRAM},
		},
		{
			name: "not even memory",
			prepare: func(m *machine, o *statedisk.Options) {
				m.fail["mount"] = unix.ENOMEM
			},
			want:    result{Kind: "RAM", FSType: "tmpfs"},
			wantErr: `cannot mount state at "TARGET": cannot allocate memory`,
			wantDid: []string{mountRAM},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			o := m.options()
			tt.prepare(m, &o)
			got, err := statedisk.Open(t.Context(), o)
			if msg := strings.NewReplacer(m.host.Dev, "/dev", o.Target, "TARGET").Replace(text(err)); msg != tt.wantErr {
				t.Errorf("Open() error = %q, want %q", msg, tt.wantErr)
			}
			got.Device = strings.ReplaceAll(got.Device, m.host.Dev, "/dev")
			for i, w := range got.Warnings {
				got.Warnings[i] = strings.ReplaceAll(w, m.host.Dev, "/dev")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Open() differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantDid, m.did); diff != "" {
				t.Errorf("done differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResultString(t *testing.T) {
	for want, r := range map[string]statedisk.Result{
		"disk /dev/vda4": {Kind: "disk", Device: "/dev/vda4"},
		"RAM":            {Kind: "RAM", FSType: "tmpfs"},
	} {
		if got := r.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

// TestOpenReal has the real programs make and check a file system in a file.
func TestOpenReal(t *testing.T) {
	for _, program := range []string{"mke2fs", "e2fsck"} {
		need(t, program)
	}
	m := newMachine(t)
	m.disk("vda", "", 64*mib, nil)
	o := m.options()
	o.Autoformat = []string{m.path("vda")}
	o.Run = func(ctx context.Context, argv ...string) ([]byte, int, error) {
		cmd := exec.CommandContext(ctx, filepath.Base(argv[0]), argv[1:]...)
		out, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return out, exit.ExitCode(), nil
		}
		return out, 0, err
	}
	want := statedisk.Result{Kind: "disk", Device: m.path("vda"), FSType: "ext4", Formatted: true}
	got, err := statedisk.Open(t.Context(), o)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("Open() = %v (-want +got):\n%s", err, diff)
	}
	// The next boot finds it by its label and formats nothing.
	want.Formatted = false
	got, err = statedisk.Open(t.Context(), o)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("second Open() = %v (-want +got):\n%s", err, diff)
	}
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs %s (package e2fsprogs)", program)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/release"
)

// installBench is a machine with one disk, /dev/vda, whose programs only say what they
// were called for.
type installBench struct {
	installer
	t    *testing.T
	top  string
	out  bytes.Buffer
	mark string // on the disk
}

func newInstallBench(t *testing.T) *installBench {
	b := &installBench{t: t, top: t.TempDir()}
	b.installer = installer{
		machine: install.Machine{
			Host:   blockdev.Host{Sys: filepath.Join(b.top, "sys"), Dev: filepath.Join(b.top, "dev")},
			Mounts: filepath.Join(b.top, "mountinfo"), Swaps: filepath.Join(b.top, "swaps"), Medium: "/run/ros/medium",
		},
		source: func(context.Context) (install.Source, func(), error) {
			return install.Source{Manifest: release.Manifest{Version: "v0.2.0"}, Bundle: release.Bundle{Release: []byte("v0.2.0")}}, func() {}, nil
		},
		datasource: filepath.Join(b.top, "datasource"),
		kernel:     cmdline.Parse("ros.slot=iso console=tty0 console=ttyS0,115200"),
		run: func(_ context.Context, _ io.Reader, out io.Writer, argv ...string) error {
			if argv[0] != "mcopy" || b.mark == "" {
				return errors.New("no such file")
			}
			_, err := io.WriteString(out, b.mark)
			return err
		},
		fetch: func(_ context.Context, url string) ([]byte, error) {
			if url == "https://example.com/good.yml" {
				return []byte("#cloud-config\nhostname: fetched\nssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7yLZ3J6eLIjaZI3XbaItGBRTA6V8ygsyQlgPk3vF8B x]\n"), nil
			}
			return nil, fmt.Errorf("%s answers 404 Not Found", url)
		},
		log: slog.New(slog.DiscardHandler),
	}
	b.events = osupdate.NewEvents(&b.out, nil)
	b.write("sys/class/block/.keep", "")
	b.disk("vda", "", 8<<30, nil)
	return b
}

func (b *installBench) write(path, text string) {
	b.t.Helper()
	path = filepath.Join(b.top, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		b.t.Fatal(err)
	}
}

// disk adds a disk or a partition of the disk called parent.
func (b *installBench) disk(name, parent string, size int64, files map[string]string) {
	b.t.Helper()
	dir := "sys/devices/" + parent + "/" + name + "/"
	b.write(dir+"size", strconv.FormatInt(size/512, 10))
	b.write(dir+"uevent", "DEVNAME="+name+"\n")
	for file, text := range files {
		b.write(dir+file, text)
	}
	if err := os.Symlink(filepath.Join(b.top, dir), filepath.Join(b.top, "sys/class/block", name)); err != nil {
		b.t.Fatal(err)
	}
	b.write("dev/"+name, "")
	if err := os.Truncate(filepath.Join(b.top, "dev", name), size); err != nil {
		b.t.Fatal(err)
	}
}

// roster puts an installed system onto the disk.
func (b *installBench) roster() {
	b.t.Helper()
	for n, label := range []string{"BIOS", "ESP", "ROOT_A", "ROOT_B", "BOOT_NOTE", "RANCHER_STATE"} {
		name := fmt.Sprintf("vda%d", n+1)
		b.disk(name, "vda", 1<<20, map[string]string{
			"partition": strconv.Itoa(n + 1), "start": strconv.Itoa(2048 * (n + 1)), "uevent": "DEVNAME=" + name + "\nPARTNAME=" + label + "\n",
		})
	}
}

func (b *installBench) try(o osupdate.InstallOptions) (any, string) {
	b.t.Helper()
	if strings.HasPrefix(o.Device, "/dev/") {
		o.Device = b.top + o.Device
	}
	result, err := b.install(b.t.Context(), o)
	if err != nil {
		return nil, strings.ReplaceAll(err.Error(), b.top, "")
	}
	return result, ""
}

func TestInstallCheck(t *testing.T) {
	b := newInstallBench(t)
	got, err := b.try(osupdate.InstallOptions{Device: "/dev/vda", ConfigURL: "https://example.com/good.yml", Check: true})
	want := osupdate.InstallPlan{Version: "v0.2.0", Device: b.top + "/dev/vda", Size: 8 << 30}
	if diff := cmp.Diff(want, got); diff != "" || err != "" {
		t.Errorf("an empty disk: %s (-want +got):\n%s", err, diff)
	}
	b.roster()
	got, err = b.try(osupdate.InstallOptions{Device: "/dev/vda", Check: true})
	plan, _ := got.(osupdate.InstallPlan)
	if err != "" || !plan.Lost || len(plan.Found) != 7 || plan.Found[0] != "Roster, with its state disk" ||
		!cmp.Equal(plan.Notes, []string{"no config is given (-c): nobody will be able to log in"}) {
		t.Errorf("a disk with Roster: %s, %+v", err, plan)
	}
	got, err = b.try(osupdate.InstallOptions{Device: "/dev/vda", Type: "noformat", Check: true})
	if plan, _ = got.(osupdate.InstallPlan); err != "" || plan.Lost || len(plan.Notes) > 0 {
		t.Errorf("noformat: %s, %+v", err, plan)
	}
}

func TestInstallRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options osupdate.InstallOptions
		prepare func(*installBench)
		want    string
	}{
		{name: "no disk", want: "cannot install: no disk is named"},
		{name: "type", options: osupdate.InstallOptions{Device: "/dev/vda", Type: "raid"}, want: `cannot install: there is no installation type "raid" here: this version knows no RAID`},
		{
			name: "a fault in the config", options: osupdate.InstallOptions{Device: "/dev/vda", ConfigName: "edge.yml", Config: "#cloud-config\nhostnam: x\nrancher: {debug: maybe}\n"},
			want: "cannot use the config: edge.yml:2:1: hostnam: unknown key (did you mean \"hostname\"?)\nedge.yml:3:18: rancher.debug: must be true or false",
		},
		{
			name: "no config there", options: osupdate.InstallOptions{Device: "/dev/vda", ConfigURL: "https://example.com/bad.yml"},
			want: "cannot get the config: https://example.com/bad.yml answers 404 Not Found",
		},
		{name: "state directory", options: osupdate.InstallOptions{Device: "/dev/vda", StateDir: "../x"}, want: `cannot install: "../x" is no folder of the state disk`},
		{
			name: "noformat on an empty disk", options: osupdate.InstallOptions{Device: "/dev/vda", Type: "noformat"},
			want: `cannot install on "/dev/vda": it has no partition 1 called BIOS, as a disk of Roster has; noformat keeps those, generic makes them`,
		},
		{
			name: "automatic, not the live system", options: osupdate.InstallOptions{Device: "/dev/vda", Automatic: true},
			prepare: func(b *installBench) { b.kernel = cmdline.Parse("ros.slot=A") },
			want:    `cannot install on "/dev/vda": rancher.install is for the live ISO, this system runs from slot A`,
		},
		{
			name: "automatic, not empty", options: osupdate.InstallOptions{Device: "/dev/vda", Automatic: true},
			prepare: func(b *installBench) { b.disk("vda1", "vda", 1<<20, map[string]string{"partition": "1"}) },
			want:    `cannot install on "/dev/vda": it is not empty and rancher.install.force is not set; on it: nothing that is known; /dev/vda1: 1.0 MiB, nothing that is known`,
		},
		{
			name: "automatic, Roster is there", options: osupdate.InstallOptions{Device: "/dev/vda", Automatic: true},
			prepare: func(b *installBench) { b.roster() },
			want:    `cannot install on "/dev/vda": Roster is on it already: take the medium out, or let the machine start from the disk first`,
		},
		{
			name: "automatic, this order has been carried out", options: osupdate.InstallOptions{Device: "/dev/vda", Automatic: true, Force: true},
			prepare: func(b *installBench) {
				b.roster()
				b.mark = order(osupdate.InstallOptions{Device: b.top + "/dev/vda"}, install.Source{Bundle: release.Bundle{Release: []byte("v0.2.0")}}, nil)
			},
			want: `cannot install on "/dev/vda": Roster is on it already: take the medium out, or let the machine start from the disk first`,
		},
		{
			name: "automatic, by force: goes on to the next check", options: osupdate.InstallOptions{Device: "/dev/vda", Automatic: true, Force: true},
			prepare: func(b *installBench) {
				b.roster()
				b.mark = "another order"
				b.write("mountinfo", "36 35 98:0 / /state rw shared:1 - ext4 "+b.top+"/dev/vda6 rw\n")
			},
			want: `cannot install on "/dev/vda": /dev/vda6 is the state disk of this system (boot the ISO with rancher.state.dev=none, which leaves it alone)`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newInstallBench(t)
			if tt.prepare != nil {
				tt.prepare(b)
			}
			if _, err := b.try(tt.options); err != tt.want {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}

func TestInstallSeed(t *testing.T) {
	b := newInstallBench(t)
	files, notes, err := b.seed(t.Context(), osupdate.InstallOptions{ConfigName: "edge.yml", StateDir: "/a/b/", Config: "#cloud-config\n# mine\nhostname: edge\nrancher:\n  install:\n    device: /dev/vda\n  debug: true\n"})
	if err == nil {
		files, err = below("/a/b/", files)
	}
	want := []install.File{{Path: "a/b/var/lib/rancher/conf/cloud-config.d/user_config.yml", Mode: 0o600, Data: []byte("#cloud-config\n# mine\nhostname: edge\nrancher:\n  debug: true\n")}}
	if diff := cmp.Diff(want, files); diff != "" || err != nil {
		t.Errorf("a config: %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"edge.yml: no ssh_authorized_keys, no users and no password: nobody will be able to log in over ssh"}, notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}

	b.write("datasource/10-metadata.yml", "#cloud-config\nhostname: edge\n")
	b.write("datasource/30-user-data-01.yml", "#cloud-config\nrancher:\n  install: {device: /dev/vda}\n")
	b.write("datasource/script-01", "#!/bin/sh\n")
	files, _, err = b.seed(t.Context(), osupdate.InstallOptions{Automatic: true})
	const dir = "var/lib/rancher/conf/datasource/"
	want = []install.File{
		{Path: dir + "10-metadata.yml", Mode: 0o600, Data: []byte("#cloud-config\nhostname: edge\n")},
		{Path: dir + "30-user-data-01.yml", Mode: 0o600, Data: []byte("#cloud-config\n")},
		{Path: dir + "script-01", Mode: 0o600, Data: []byte("#!/bin/sh\n")},
	}
	if diff := cmp.Diff(want, files); diff != "" || err != nil {
		t.Errorf("what the datasource found: %v (-want +got):\n%s", err, diff)
	}
}

func TestInstallArgs(t *testing.T) {
	b := newInstallBench(t)
	for want, o := range map[string]osupdate.InstallOptions{
		"console=tty0 console=ttyS0,115200":                                     {},
		"console=tty0 console=ttyS0,115200 quiet":                               {Append: " quiet "},
		"quiet console=ttyS1":                                                   {Append: "quiet console=ttyS1"},
		"console=tty0 console=ttyS0,115200 rancher.state.directory=a/b panic=1": {StateDir: "/a/b/", Append: "panic=1"},
	} {
		if got, err := b.args(o, ""); err != nil || got != want {
			t.Errorf("args(%+v) = %q, %v, want %q", o, got, err, want)
		}
	}
	const kept = "console=ttyS2 rancher.state.directory=x -- more"
	o := osupdate.InstallOptions{Append: "quiet"}
	if got, err := b.args(o, kept); err != nil || got != "console=ttyS2 rancher.state.directory=x quiet -- more" {
		t.Errorf("the arguments of a disk that keeps its own are %q, %v", got, err)
	}
	if dir := stateDir(o, kept); dir != "x" {
		t.Errorf("its config would be put below %q", dir)
	}
}

func TestCopyPart(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	part := release.Part{File: "os.img", Size: int64(len(content)), Digest: digest.FromBytes(content)}
	var out bytes.Buffer
	var last int64
	// The partition is longer than what is in it.
	err := copyPart(t.Context(), bootloader.Bytes(append(bytes.Clone(content), "more"...)), part, &out, func(done, _ int64) { last = done })
	if err != nil || !bytes.Equal(out.Bytes(), content) || last != part.Size {
		t.Errorf("copyPart() = %v, %d bytes, progress up to %d", err, out.Len(), last)
	}
	content[5]++
	err = copyPart(t.Context(), bootloader.Bytes(content), part, io.Discard, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "os.img is damaged: its digest is sha256:") {
		t.Errorf("copyPart() of something else = %v", err)
	}
	if err := copyPart(t.Context(), bootloader.Bytes(content[:100]), part, io.Discard, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("copyPart() of too little = %v", err)
	}
}

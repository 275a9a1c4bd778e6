package install_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/install"
)

// machine is a machine whose disks are files.
type machine struct {
	t    *testing.T
	top  string
	real install.Machine
}

func newMachine(t *testing.T) *machine {
	top := t.TempDir()
	m := &machine{t: t, top: top, real: install.Machine{
		Host:   blockdev.Host{Sys: filepath.Join(top, "sys"), Dev: filepath.Join(top, "dev")},
		Mounts: filepath.Join(top, "mountinfo"), Swaps: filepath.Join(top, "swaps"), Medium: "/run/ros/medium", Scratch: top,
	}}
	for _, dir := range []string{"sys/class/block", "dev"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	path = filepath.Join(m.top, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// disk adds a disk with what content has at its beginning; attributes are files
// of its folder in sysfs.
func (m *machine) disk(name string, size int64, content string, attributes map[string]string) {
	m.t.Helper()
	m.add("devices/"+name, name, size, content, attributes)
}

// partition adds a partition to a disk.
func (m *machine) partition(disk string, number int, size int64, label, content string, attributes map[string]string) {
	m.t.Helper()
	name := fmt.Sprintf("%s%d", disk, number)
	dir := "devices/" + disk + "/" + name
	m.write("sys/"+dir+"/partition", strconv.Itoa(number))
	m.add(dir, name, size, content, attributes)
	m.write("sys/"+dir+"/uevent", fmt.Sprintf("DEVNAME=%s\nPARTNAME=%s\nPARTUUID=%d\n", name, label, number))
}

func (m *machine) add(dir, name string, size int64, content string, attributes map[string]string) {
	m.t.Helper()
	m.sysfs(dir, name, size, attributes)
	m.write("dev/"+name, content)
	if err := os.Truncate(filepath.Join(m.top, "dev", name), size); err != nil {
		m.t.Fatal(err)
	}
}

// sysfs makes the kernel show a device.
func (m *machine) sysfs(dir, name string, size int64, attributes map[string]string) {
	m.t.Helper()
	m.write("sys/"+dir+"/size", strconv.FormatInt(size/512, 10))
	m.write("sys/"+dir+"/ro", "0\n")
	m.write("sys/"+dir+"/uevent", "DEVNAME="+name+"\n")
	for file, text := range attributes {
		m.write("sys/"+dir+"/"+file, text)
	}
	if err := os.Symlink(filepath.Join(m.top, "sys", dir), filepath.Join(m.top, "sys/class/block", name)); err != nil {
		m.t.Fatal(err)
	}
}

// mounts are lines of mountinfo: device and target.
func (m *machine) mounts(pairs ...[2]string) {
	m.t.Helper()
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, "36 35 98:0 / %s rw shared:1 - ext4 %s rw\n", p[1], filepath.Join(m.top, p[0]))
	}
	m.write("mountinfo", b.String())
}

// roster gives a disk the partitions of an installed one.
func (m *machine) roster(name string) {
	m.t.Helper()
	m.disk(name, 8<<30, strings.Repeat("\x00", 512)+"EFI PART", map[string]string{"device/model": "SAMSUNG SSD\n", "device/vendor": "ATA\n"})
	start := 2048
	for n, label := range []string{"BIOS", "ESP", "ROOT_A", "ROOT_B", "BOOT_NOTE", "RANCHER_STATE"} {
		m.partition(name, n+1, mib, label, "", map[string]string{"start": strconv.Itoa(start)})
		start += 2048
	}
}

func (m *machine) plain(text string) string { return strings.ReplaceAll(text, m.top, "") }

func TestLook(t *testing.T) {
	m := newMachine(t)
	m.roster("sda")
	m.disk("vda", 4<<30, "", nil)
	m.disk("nvme0n1", 500<<30, strings.Repeat("\x00", 510)+"\x55\xaa", map[string]string{"device/model": "WD  Black \n"})
	m.disk("mmcblk0", 32<<30, "rubbish", map[string]string{"device/name": "SD32G\n"})
	for _, tt := range []struct {
		device, model string
		found         []string
		roster        bool
	}{
		{device: "vda"},
		{device: "nvme0n1", model: "WD Black", found: []string{"a partition table (dos)"}},
		{device: "mmcblk0", model: "SD32G", found: []string{"nothing that is known"}},
		{device: "sda", model: "SAMSUNG SSD", roster: true, found: []string{
			"Roster, with its state disk",
			"/dev/sda1: 1.0 MiB, BIOS, nothing that is known",
			"/dev/sda2: 1.0 MiB, ESP, nothing that is known",
			"/dev/sda3: 1.0 MiB, ROOT_A, nothing that is known",
			"/dev/sda4: 1.0 MiB, ROOT_B, nothing that is known",
			"/dev/sda5: 1.0 MiB, BOOT_NOTE, nothing that is known",
			"/dev/sda6: 1.0 MiB, RANCHER_STATE, nothing that is known",
		}},
	} {
		target, err := m.real.Look(filepath.Join(m.top, "dev", tt.device))
		if err != nil {
			t.Error(err)
			continue
		}
		var found []string
		for _, line := range target.Found() {
			found = append(found, m.plain(line))
		}
		if diff := cmp.Diff(tt.found, found); diff != "" || target.Model != tt.model || target.IsRoster() != tt.roster {
			t.Errorf("%s: model %q, Roster %v, found (-want +got):\n%s", tt.device, target.Model, target.IsRoster(), diff)
		}
	}
}

func TestFree(t *testing.T) {
	type disks = func(m *machine)
	vda := func(m *machine) { m.disk("vda", 8<<30, "", nil) }
	for _, tt := range []struct {
		name   string
		disks  disks
		device string
		keep   bool
		want   string
	}{
		{name: "a disk that may be written", disks: vda},
		{
			name: "no such disk", device: "/dev/sdx",
			disks: func(m *machine) {
				vda(m)
				m.disk("sr0", 1<<30, "", nil)
				m.disk("nvme0n1", 500<<30, "", nil)
			},
			want: "there is no such disk; there are: /dev/vda (8.0 GiB), /dev/nvme0n1 (500.0 GiB)",
		},
		{name: "no disk at all", device: "/dev/sda", disks: func(*machine) {}, want: "there is no such disk; there are: none"},
		{name: "nonsense", device: "sda", disks: vda, want: `cannot find device "sda": want LABEL=, UUID=, PARTLABEL=, PARTUUID= or a path below /dev`},
		{
			name: "a partition", device: "/dev/vda1",
			disks: func(m *machine) {
				vda(m)
				m.partition("vda", 1, 4<<30, "data", "", nil)
			},
			want: "it is a partition of /dev/vda; name the disk",
		},
		{name: "a CD", device: "/dev/sr0", disks: func(m *machine) { m.disk("sr0", 8<<30, "", nil) }, want: "it is a CD drive"},
		{name: "a RAID", device: "/dev/md127", disks: func(m *machine) { m.disk("md127", 8<<30, "", nil) }, want: "it is a RAID array, which this version does not know"},
		{
			name: "the boot area of an eMMC", device: "/dev/mmcblk0boot0",
			disks: func(m *machine) { m.disk("mmcblk0boot0", 8<<30, "", nil) },
			want:  "it is a part of an eMMC with a purpose of its own",
		},
		{
			name:  "read-only",
			disks: func(m *machine) { m.disk("vda", 8<<30, "", map[string]string{"ro": "1\n"}) },
			want:  "it is read-only",
		},
		{name: "too small", disks: func(m *machine) { m.disk("vda", 1<<30, "", nil) }, want: "it has 1.0 GiB, at least 2.0 GiB are needed"},
		{
			name:  "odd sectors",
			disks: func(m *machine) { m.disk("vda", 8<<30, "", map[string]string{"queue/logical_block_size": "2048\n"}) },
			want:  "its sectors have 2048 bytes, only 512 and 4096 are known",
		},
		{
			name: "the medium",
			disks: func(m *machine) {
				vda(m)
				m.mounts([2]string{"dev/vda", "/run/ros/medium"})
			},
			want: "/dev/vda is the medium that this system runs from",
		},
		{
			name: "a partition is mounted",
			disks: func(m *machine) {
				vda(m)
				m.partition("vda", 1, 4<<30, "data", "", nil)
				m.mounts([2]string{"dev/other", "/"}, [2]string{"dev/vda1", "/mnt/data"}, [2]string{"dev/vda1", "/mnt/again"})
			},
			want: "/dev/vda1 is mounted at /mnt/data",
		},
		{
			name: "the state disk",
			disks: func(m *machine) {
				m.roster("vda")
				m.mounts([2]string{"dev/vda6", "/state"}, [2]string{"dev/vda6", "/var"})
			},
			want: "/dev/vda6 is the state disk of this system (boot the ISO with rancher.state.dev=none, which leaves it alone)",
		},
		{
			name: "the state disk, which is kept", keep: true,
			disks: func(m *machine) {
				m.roster("vda")
				m.mounts([2]string{"dev/vda6", "/state"})
			},
		},
		{
			name: "swap",
			disks: func(m *machine) {
				vda(m)
				m.partition("vda", 2, 1<<30, "swap", "", nil)
				m.write("swaps", "Filename Type Size Used Priority\n"+m.top+"/dev/vda2 partition 1 0 -2\n")
			},
			want: "/dev/vda2 is swapped to",
		},
		{
			name: "nothing to keep", keep: true, disks: vda,
			want: "it has no partition 1 called BIOS, as a disk of Roster has; noformat keeps those, generic makes them",
		},
		{
			name: "the running slot", keep: true,
			disks: func(m *machine) {
				m.roster("vda")
				m.write("sys/devices/vda/vda3/holders/dm-0/x", "")
				m.write("sys/class/block/dm-0/dm/name", "ros-root\n")
			},
			want: "/dev/vda3 is a part of dm-0 (ros-root)",
		},
		{
			name:  "a disk of a RAID",
			disks: func(m *machine) { m.disk("vda", 8<<30, "", map[string]string{"holders/md0/x": ""}) },
			want:  "/dev/vda is a part of md0",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			tt.disks(m)
			device := tt.device
			if device == "" {
				device = "/dev/vda"
			}
			spec := device
			if strings.HasPrefix(device, "/") {
				spec = m.top + device
			}
			want := ""
			if tt.want != "" {
				want = fmt.Sprintf("cannot install on %q: %s", device, tt.want)
			}
			target, err := m.real.Look(spec)
			if err == nil {
				err = m.real.Free(target, tt.keep)
			}
			got := ""
			if err != nil {
				got = m.plain(err.Error())
			}
			if got != want {
				t.Errorf("Free(%q) = %q, want %q", device, got, want)
			}
		})
	}
}

package containers_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/images"
)

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// withUsers is a machine whose images have these files.
func withUsers(passwd, group string) containers.Machine {
	m := noMachine
	m.ReadFile = func(path string) ([]byte, error) {
		switch path {
		case "etc/passwd":
			return []byte(passwd), nil
		case "etc/group":
			return []byte(group), nil
		}
		return nil, fs.ErrNotExist
	}
	return m
}

func spec(t *testing.T, change func(*compose.Service)) *specs.Spec {
	t.Helper()
	svc := box("box")
	change(&svc)
	s, err := containers.Spec(svc, boxImage, noMachine)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestArguments(t *testing.T) {
	entry := images.Config{Entrypoint: []string{"/entry", "-e"}, Cmd: []string{"image-cmd"}}
	for _, tt := range []struct {
		name                string
		config              images.Config
		entrypoint, command []string
		want                []string
		wantErr             string
	}{
		{name: "the image's command", config: images.Config{Cmd: []string{"a", "b"}}, want: []string{"a", "b"}},
		{name: "the image's both", config: entry, want: []string{"/entry", "-e", "image-cmd"}},
		{name: "command replaces command", config: entry, command: []string{"x"}, want: []string{"/entry", "-e", "x"}},
		{name: "empty command takes it away", config: entry, command: []string{}, want: []string{"/entry", "-e"}},
		{name: "entrypoint takes the command away", config: entry, entrypoint: []string{"/mine"}, want: []string{"/mine"}},
		{name: "both replaced", config: entry, entrypoint: []string{"/mine"}, command: []string{"x"}, want: []string{"/mine", "x"}},
		{name: "entrypoint emptied", config: entry, entrypoint: []string{}, command: []string{"x"}, want: []string{"x"}},
		{name: "nothing", wantErr: `there is nothing to run: neither the service nor image "ros/box" has an entrypoint or a command`},
		{name: "nothing left", config: entry, entrypoint: []string{}, wantErr: `there is nothing to run: neither the service nor image "ros/box" has an entrypoint or a command`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := box("box")
			svc.Entrypoint, svc.Command = tt.entrypoint, tt.command
			s, err := containers.Spec(svc, images.Image{Name: "ros/box", Config: tt.config}, noMachine)
			if text(err) != tt.wantErr {
				t.Fatalf("Spec error = %q, want %q", text(err), tt.wantErr)
			}
			if err == nil && !slices.Equal(s.Process.Args, tt.want) {
				t.Errorf("args = %q, want %q", s.Process.Args, tt.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, tt := range []struct {
		name string
		env  []string
		tty  bool
		want []string
	}{
		{name: "defaults and the image's", want: []string{path, "HOME=/", "FROM=image", "LANG=C"}},
		{name: "the service's win", env: []string{"FROM=file", "PATH=/opt", "X=a=b"}, want: []string{"PATH=/opt", "HOME=/", "FROM=file", "LANG=C", "X=a=b"}},
		{name: "terminal", tty: true, want: []string{path, "HOME=/", "TERM=xterm", "FROM=image", "LANG=C"}},
	} {
		s := spec(t, func(svc *compose.Service) { svc.Env, svc.TTY = tt.env, tt.tty })
		if diff := cmp.Diff(tt.want, s.Process.Env); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestUser(t *testing.T) {
	m := withUsers(
		"root:x:0:0::/root:/bin/sh\nclock:x:1201:1201::/var/lib/clock:/bin/sh\n",
		"root:x:0:\nclock:x:1201:\naudio:x:29:clock\ndocker:x:1101:\n")
	for _, tt := range []struct {
		user    string
		add     []string
		want    string // uid:gid groups home
		wantErr string
	}{
		{user: "", want: "0:0 [0] /root"},
		{user: "clock", want: "1201:1201 [29 1201] /var/lib/clock"},
		{user: "1201", want: "1201:1201 [29 1201] /var/lib/clock"},
		{user: "clock:docker", want: "1201:1101 [1101] /var/lib/clock"},
		{user: "5000:6000", want: "5000:6000 [6000] /"},
		{user: "clock", add: []string{"docker", "77"}, want: "1201:1201 [29 77 1101 1201] /var/lib/clock"},
		{user: "nobody", wantErr: `user "nobody": unable to find user nobody: no matching entries in passwd file`},
		{user: "clock", add: []string{"wheel"}, wantErr: `group_add: unable to find group wheel`},
	} {
		svc := box("box")
		svc.User, svc.GroupAdd = tt.user, tt.add
		s, err := containers.Spec(svc, boxImage, m)
		if !strings.HasPrefix(text(err), tt.wantErr) || (err == nil) != (tt.wantErr == "") {
			t.Errorf("user %q +%q: error = %v, want %q", tt.user, tt.add, err, tt.wantErr)
			continue
		}
		if err != nil {
			continue
		}
		u := s.Process.User
		home := ""
		for _, kv := range s.Process.Env {
			if v, ok := strings.CutPrefix(kv, "HOME="); ok {
				home = v
			}
		}
		if got := fmt.Sprintf("%d:%d %v %s", u.UID, u.GID, u.AdditionalGids, home); got != tt.want {
			t.Errorf("user %q +%q = %q, want %q", tt.user, tt.add, got, tt.want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	docker := "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP"
	for _, tt := range []struct {
		name       string
		add, drop  []string
		privileged bool
		want       string
		count      int // instead of want
	}{
		{name: "default", want: docker},
		{name: "none", drop: []string{"ALL"}, want: ""},
		{name: "only one", drop: []string{"ALL"}, add: []string{"SYS_TIME"}, want: "SYS_TIME"},
		{name: "one less", drop: []string{"MKNOD"}, want: strings.Replace(docker, " MKNOD", "", 1)},
		{name: "all", add: []string{"ALL"}, count: 41},
		{name: "all but one", add: []string{"ALL"}, drop: []string{"SYS_ADMIN"}, count: 40},
		{name: "privileged", privileged: true, count: 41},
		{name: "privileged with a short list", privileged: true, drop: []string{"ALL"}, add: []string{"SYS_ADMIN"}, want: "SYS_ADMIN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second time must not see what the first has changed
				s := spec(t, func(svc *compose.Service) {
					svc.CapAdd, svc.CapDrop, svc.Privileged = tt.add, tt.drop, tt.privileged
				})
				c := s.Process.Capabilities
				got := strings.ReplaceAll(strings.Join(c.Bounding, " "), "CAP_", "")
				if tt.count != 0 && len(c.Bounding) != tt.count || tt.count == 0 && got != tt.want {
					t.Errorf("bounding = %s (%d), want %s (%d)", got, len(c.Bounding), tt.want, tt.count)
				}
				if !slices.Equal(c.Effective, c.Bounding) || !slices.Equal(c.Permitted, c.Bounding) || c.Inheritable != nil || c.Ambient != nil {
					t.Errorf("root's sets differ: %+v", c)
				}
			}
		})
	}
	c := spec(t, func(svc *compose.Service) { svc.User = "1201" }).Process.Capabilities
	if len(c.Bounding) != 14 || c.Effective != nil || c.Permitted != nil {
		t.Errorf("another user than root has %+v, want the bounding set alone", c)
	}
}

func TestNamespacesAndHostname(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*compose.Service)
		want     string
		hostname string
	}{
		{"host network", func(*compose.Service) {}, "mount pid ipc cgroup", ""},
		{"no network", func(s *compose.Service) { s.NetworkMode = "none" }, "mount pid ipc cgroup network uts", "box"},
		{"hostname with host network", func(s *compose.Service) { s.Hostname = "h" }, "mount pid ipc cgroup uts", "h"},
		{"host names with no network", func(s *compose.Service) { s.NetworkMode, s.UtsMode = "none", "host" }, "mount pid ipc cgroup network", ""},
		{"all of the host", func(s *compose.Service) { s.PidMode, s.IpcMode, s.CgroupMode = "host", "host", "host" }, "mount", ""},
	} {
		s := spec(t, tt.change)
		var got []string
		for _, n := range s.Linux.Namespaces {
			got = append(got, string(n.Type))
		}
		if strings.Join(got, " ") != tt.want || s.Hostname != tt.hostname {
			t.Errorf("%s: %s, hostname %q, want %s, %q", tt.name, got, s.Hostname, tt.want, tt.hostname)
		}
	}
}

func TestPrivileged(t *testing.T) {
	s := spec(t, func(svc *compose.Service) { svc.Privileged = true })
	if s.Linux.Seccomp != nil || s.Linux.MaskedPaths != nil || s.Linux.ReadonlyPaths != nil {
		t.Error("a privileged service has a seccomp profile or hidden paths")
	}
	if diff := cmp.Diff([]specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, s.Linux.Resources.Devices); diff != "" {
		t.Error(diff)
	}
	for _, m := range s.Mounts {
		if slices.Contains(m.Options, "ro") {
			t.Errorf("%s is read-only", m.Destination)
		}
	}
	if spec(t, func(svc *compose.Service) { svc.Seccomp = "unconfined" }).Linux.Seccomp != nil {
		t.Error("seccomp: unconfined has a profile")
	}
}

func TestMounts(t *testing.T) {
	find := func(s *specs.Spec, target string) string {
		for _, m := range s.Mounts {
			if m.Destination == target {
				return m.Type + " " + m.Source + " " + strings.Join(m.Options, ",")
			}
		}
		return ""
	}
	s := spec(t, func(svc *compose.Service) {
		svc.Mounts = []compose.Mount{
			{Type: "bind", Source: "/a/b", Target: "/x/deep/er"},
			{Type: "bind", Source: "/a", Target: "/x", ReadOnly: true, Propagation: "rslave"},
			{Type: "volume", Source: "data", Target: "/data"},
			{Type: "tmpfs", Target: "/tmp", Size: 1 << 20, Mode: 0o700},
			{Type: "tmpfs", Target: "/dev/shm"},
			{Type: "volume", Source: "bound", Target: "/bound", Device: "/srv/x", ReadOnly: true},
		}
		svc.Files = []compose.File{{Target: "/page"}, {Target: "/run/secrets/word"}}
	})
	for target, want := range map[string]string{
		"/x":                "bind /a rbind,rslave,ro",
		"/bound":            "bind /srv/x rbind,rprivate,ro",
		"/page":             "bind /run/files/0 rbind,rprivate,ro,nosuid,nodev",
		"/run/secrets/word": "bind /run/files/1 rbind,rprivate,ro,nosuid,nodev",
		"/data":             "bind /var/lib/rancher/volumes/data rbind,rprivate,rw",
		"/tmp":              "tmpfs tmpfs noexec,nosuid,nodev,rw,mode=0700,size=1048576",
		"/dev/shm":          "tmpfs tmpfs noexec,nosuid,nodev,rw",
	} {
		if got := find(s, target); got != want {
			t.Errorf("%s = %q, want %q", target, got, want)
		}
	}
	if got := find(spec(t, func(svc *compose.Service) { svc.ShmBytes = 1 << 20 }), "/dev/shm"); !strings.HasSuffix(got, ",size=1048576") {
		t.Errorf("shm_size: 1m has /dev/shm = %q", got)
	}
	index := func(target string) int {
		return slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == target })
	}
	if index("/x") > index("/x/deep/er") {
		t.Error("a parent is mounted over its child")
	}
	if s.Linux.RootfsPropagation != "rslave" {
		t.Errorf("root propagation = %q, want rslave", s.Linux.RootfsPropagation)
	}

	s = spec(t, func(svc *compose.Service) {
		svc.Mounts = []compose.Mount{{Type: "bind", Source: "/dev", Target: "/dev"}, {Type: "bind", Source: "/sys", Target: "/sys"}}
	})
	for _, target := range []string{"/dev/pts", "/dev/shm", "/dev/mqueue"} {
		if find(s, target) != "" {
			t.Errorf("%s is mounted over the host's /dev", target)
		}
	}
	if got := find(s, "/sys/fs/cgroup"); !strings.Contains(got, ",ro") {
		t.Errorf("/sys/fs/cgroup = %q, want it read-only over the host's /sys", got)
	}
	if got := find(spec(t, func(svc *compose.Service) { svc.CgroupMode = "host" }), "/sys/fs/cgroup"); !strings.Contains(got, ",rw") {
		t.Errorf("cgroup: host has /sys/fs/cgroup = %q, want it writable", got)
	}
}

func TestHiddenCommandLine(t *testing.T) {
	m := noMachine
	m.Cmdline = "/run/ros/cmdline"
	for _, privileged := range []bool{false, true} {
		svc := box("box")
		svc.Privileged = privileged
		s, err := containers.Spec(svc, boxImage, m)
		if err != nil {
			t.Fatal(err)
		}
		proc := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/proc" })
		at := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/proc/cmdline" })
		if at < proc || at < 0 || s.Mounts[at].Source != m.Cmdline || !slices.Contains(s.Mounts[at].Options, "ro") {
			t.Errorf("privileged %v: mounts = %v, want /run/ros/cmdline over /proc/cmdline", privileged, s.Mounts)
		}
	}
}

func TestDevices(t *testing.T) {
	m := noMachine
	m.Devices = func(path string) ([]specs.LinuxDevice, error) {
		switch path {
		case "/dev/rtc0":
			return []specs.LinuxDevice{{Path: path, Type: "c", Major: 250}}, nil
		case "/dev/input":
			return []specs.LinuxDevice{{Path: "/dev/input/event0", Type: "c", Major: 13, Minor: 64}, {Path: "/dev/input/by/x", Type: "c", Major: 13, Minor: 65}}, nil
		}
		return nil, nil
	}
	svc := box("box")
	svc.Devices = []compose.Device{
		{Host: "/dev/rtc0", Container: "/dev/rtc", Permissions: "rw"},
		{Host: "/dev/input", Container: "/dev/in", Permissions: "r"},
		{Host: "/dev/none", Container: "/dev/none", Permissions: "rwm"},
	}
	svc.DeviceRules = []string{"c 188:* rw", "b *:5 m"}
	s, err := containers.Spec(svc, boxImage, m)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, d := range s.Linux.Devices {
		rule := s.Linux.Resources.Devices[len(s.Linux.Resources.Devices)-len(s.Linux.Devices)+i]
		got = append(got, fmt.Sprintf("%s %d:%d %s", d.Path, *rule.Major, *rule.Minor, rule.Access))
	}
	want := []string{"/dev/rtc 250:0 rw", "/dev/in/event0 13:64 r", "/dev/in/by/x 13:65 r"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	var rules []specs.LinuxDeviceCgroup
	for _, r := range s.Linux.Resources.Devices {
		if r.Major != nil && *r.Major == 188 || r.Minor != nil && *r.Minor == 5 && r.Type == "b" {
			rules = append(rules, r)
		}
	}
	major, minor := int64(188), int64(5)
	if diff := cmp.Diff([]specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: &major, Access: "rw"}, {Allow: true, Type: "b", Minor: &minor, Access: "m"}}, rules); diff != "" {
		t.Errorf("device_cgroup_rules (-want +got):\n%s", diff)
	}
	if first := s.Linux.Resources.Devices[0]; first.Allow || first.Access != "rwm" {
		t.Errorf("first rule = %+v, want that nothing is allowed", first)
	}
}

func TestLimits(t *testing.T) {
	s := spec(t, func(svc *compose.Service) {
		svc.MemoryBytes, svc.PidsLimit, svc.CPUs, svc.CPUShares, svc.OOMScoreAdj = 64<<20, 32, 1.5, 512, -500
		svc.Ulimits = []compose.Ulimit{{Name: "nproc", Soft: -1, Hard: -1}, {Name: "nofile", Soft: 10, Hard: 20}}
	})
	r := s.Linux.Resources
	if *r.Memory.Limit != 64<<20 || *r.Pids.Limit != 32 || *r.CPU.Quota != 150000 || *r.CPU.Period != 100000 || *r.CPU.Shares != 512 {
		t.Errorf("resources = %+v", r)
	}
	s2 := spec(t, func(svc *compose.Service) {
		svc.MemoryLow, svc.MemorySwap, svc.CPUQuota, svc.CPUPeriod, svc.CPUSet = 32<<20, -1, 5000, 10000, "0-1"
		svc.Annotations = map[string]string{"a": "b"}
	})
	r = s2.Linux.Resources
	if r.Memory.Limit != nil || *r.Memory.Reservation != 32<<20 || *r.Memory.Swap != -1 || *r.CPU.Quota != 5000 || *r.CPU.Period != 10000 || r.CPU.Cpus != "0-1" || r.CPU.Shares != nil {
		t.Errorf("resources = %+v %+v", r.Memory, r.CPU)
	}
	if s2.Annotations["a"] != "b" {
		t.Errorf("annotations = %v", s2.Annotations)
	}
	if *s.Process.OOMScoreAdj != -500 {
		t.Errorf("oom_score_adj = %d", *s.Process.OOMScoreAdj)
	}
	want := []specs.POSIXRlimit{
		{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20},
		{Type: "RLIMIT_NPROC", Soft: ^uint64(0), Hard: ^uint64(0)},
	}
	if diff := cmp.Diff(want, s.Process.Rlimits); diff != "" {
		t.Error(diff)
	}
	none := spec(t, func(*compose.Service) {}).Linux.Resources
	if none.Memory != nil || none.Pids != nil || none.CPU != nil {
		t.Errorf("without limits in the file: %+v", none)
	}
}

func TestSpecRefuses(t *testing.T) {
	for _, tt := range []struct {
		change func(*compose.Service)
		want   string
	}{
		{func(s *compose.Service) { s.Init = true }, "init: true: this OS image has no program for it"},
		{func(s *compose.Service) { s.CapAdd = []string{"SYS_TIM"} }, `"SYS_TIM" is not a capability`},
		{func(s *compose.Service) { s.NetworkMode = "bridge" }, `network_mode: "bridge" is not supported, only "host", "none" and "service:NAME"`},
		{func(s *compose.Service) { s.PidMode = "service:a" }, `pid: "service:a" is not supported, only "host"`},
		{func(s *compose.Service) { s.UtsMode, s.Hostname = "host", "h" }, `hostname: "h" cannot be set with uts: host`},
		{func(s *compose.Service) { s.Ulimits = []compose.Ulimit{{Name: "files"}} }, `ulimits: "files" is not one of as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack`},
	} {
		svc := box("box")
		tt.change(&svc)
		if _, err := containers.Spec(svc, boxImage, noMachine); text(err) != tt.want {
			t.Errorf("Spec error = %q, want %q", text(err), tt.want)
		}
	}
}

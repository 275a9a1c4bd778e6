package containers

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/images"
)

// mounts are the file systems that every program expects and those of the
// service file, parents before children. A mount of the service file takes
// the place of a default one on the same directory; one on /dev takes /dev/pts
// and the like along, because the host's come with it.
func mounts(svc compose.Service, img images.Image, m Machine) []specs.Mount {
	var list []specs.Mount
	for _, d := range defaultMounts(svc, m) {
		replaced := slices.ContainsFunc(svc.Mounts, func(s compose.Mount) bool {
			return s.Target == d.Destination ||
				s.Type == "bind" && s.Target == "/dev" && strings.HasPrefix(d.Destination, "/dev/")
		})
		if !replaced {
			list = append(list, d)
		}
	}
	list = append(list, imageVolumes(svc, img)...)
	for _, s := range svc.Mounts {
		list = append(list, mount(s, m))
	}
	for i, f := range svc.Files {
		list = append(list, specs.Mount{
			Destination: f.Target, Type: "bind", Source: filepath.Join(m.FilesDir, fileName(i)),
			Options: []string{"rbind", "rprivate", "ro", "nosuid", "nodev"},
		})
	}
	slices.SortStableFunc(list, func(a, b specs.Mount) int {
		return cmp.Compare(depth(a.Destination), depth(b.Destination))
	})
	return list
}

// imageVolumes keeps those paths writable that the image declares as volumes,
// where the root is not: in memory, with what the image has there. Where it is,
// they are part of it.
func imageVolumes(svc compose.Service, img images.Image) []specs.Mount {
	if !svc.ReadOnly {
		return nil
	}
	var list []specs.Mount
	for _, path := range img.Config.Volumes {
		path = filepath.Clean(path)
		if !filepath.IsAbs(path) || slices.ContainsFunc(svc.Mounts, func(s compose.Mount) bool { return s.Target == path }) {
			continue
		}
		list = append(list, specs.Mount{
			Destination: path, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "rw", "tmpcopyup"},
		})
	}
	return list
}

func depth(path string) int {
	return strings.Count(filepath.Clean(path), "/")
}

func defaultMounts(svc compose.Service, m Machine) []specs.Mount {
	sys, cgroup := "ro", "ro"
	if svc.Privileged {
		sys, cgroup = "rw", "rw"
	}
	if svc.CgroupMode == "host" {
		cgroup = "rw"
	}
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", sys}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", cgroup}},
	}
	if m.Cmdline != "" {
		list = append(list, specs.Mount{Destination: "/proc/cmdline", Type: "bind", Source: m.Cmdline, Options: []string{"bind", "ro", "nosuid", "noexec", "nodev"}})
	}
	list = append(list, networkFiles(svc, m)...)
	if svc.Init {
		list = append(list, specs.Mount{Destination: initTarget, Type: "bind", Source: m.Init, Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev"}})
	}
	if svc.Privileged {
		// Every device of the machine, also the one that is plugged in later.
		return append(list, specs.Mount{
			Destination: "/dev", Type: "bind", Source: "/dev", Options: []string{"rbind", "rslave", "nosuid", "rw"},
		})
	}
	shm := specs.Mount{
		Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
		Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"},
	}
	if svc.ShmBytes > 0 {
		shm.Options[4] = fmt.Sprintf("size=%d", svc.ShmBytes)
	}
	if svc.IpcMode == "host" {
		shm = specs.Mount{Destination: "/dev/shm", Type: "bind", Source: "/dev/shm", Options: []string{"rbind", "nosuid", "noexec", "nodev", "rw"}}
	}
	return append(list,
		specs.Mount{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		shm,
		specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	)
}

// networkFiles are by what a service finds names, in a network of its own. As
// with Docker it may change them, unless it may change nothing.
func networkFiles(svc compose.Service, m Machine) []specs.Mount {
	if svc.NetworkOf() == "" {
		return nil
	}
	access := "rw"
	if svc.ReadOnly {
		access = "ro"
	}
	var list []specs.Mount
	for _, f := range []struct{ source, target string }{
		{m.Network.Hosts, "/etc/hosts"}, {m.Network.ResolvConf, "/etc/resolv.conf"}, {m.Network.Hostname, "/etc/hostname"},
	} {
		list = append(list, specs.Mount{Destination: f.target, Type: "bind", Source: f.source, Options: []string{"bind", "rprivate", access}})
	}
	return list
}

// mount is one entry of volumes or tmpfs.
func mount(s compose.Mount, m Machine) specs.Mount {
	access := "rw"
	if s.ReadOnly {
		access = "ro"
	}
	switch s.Type {
	case "tmpfs":
		options := []string{"noexec", "nosuid", "nodev", access}
		if s.Mode != 0 {
			options = append(options, fmt.Sprintf("mode=%04o", s.Mode))
		}
		if s.Size > 0 {
			options = append(options, fmt.Sprintf("size=%d", s.Size))
		}
		return specs.Mount{Destination: s.Target, Type: "tmpfs", Source: "tmpfs", Options: options}
	case "volume":
		s.Source = firstOf(s.Device, filepath.Join(m.VolumesDir, s.Source))
	}
	return specs.Mount{
		Destination: s.Target, Type: "bind", Source: s.Source,
		Options: []string{"rbind", firstOf(s.Propagation, "rprivate"), access},
	}
}

// rootPropagation lets mounts of the host (and, with rshared, of the service)
// through to the other side: a mount can hand on only what the root of the
// container gets to see. "" is the runtime's default, private.
func rootPropagation(svc compose.Service) string {
	propagation := ""
	if svc.Privileged {
		propagation = "rslave" // for /dev
	}
	for _, m := range svc.Mounts {
		switch m.Propagation {
		case "shared", "rshared":
			return "rshared"
		case "slave", "rslave":
			propagation = "rslave"
		}
	}
	return propagation
}

package containers

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
)

// devices are the nodes that the service file names. A directory brings all
// nodes below it. What the host does not have is left out: the same service
// file serves machines with and without the device.
func devices(svc compose.Service, m Machine) ([]specs.LinuxDevice, error) {
	var list []specs.LinuxDevice
	for _, d := range svc.Devices {
		nodes, err := m.Devices(d.Host)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", d.Host, err)
		}
		for _, n := range nodes {
			n.Path = firstOf(d.Container, d.Host) + strings.TrimPrefix(n.Path, d.Host)
			list = append(list, n)
		}
	}
	return list, nil
}

// deviceRules allow what every program expects to be able to open: null,
// zero, full, random, urandom, tty, ptmx, terminals; and the service's own
// devices. Making a node needs no more than CAP_MKNOD, opening it does.
func deviceRules(svc compose.Service, nodes []specs.LinuxDevice) []specs.LinuxDeviceCgroup {
	if svc.Privileged {
		return []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	}
	rules := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	allow := func(kind string, major, minor int64, access string) {
		r := specs.LinuxDeviceCgroup{Allow: true, Type: kind, Access: access}
		if major >= 0 {
			r.Major = &major
		}
		if minor >= 0 {
			r.Minor = &minor
		}
		rules = append(rules, r)
	}
	const every = -1
	allow("c", every, every, "m")
	allow("b", every, every, "m")
	allow("c", 1, 3, "rwm")       // null
	allow("c", 1, 5, "rwm")       // zero
	allow("c", 1, 7, "rwm")       // full
	allow("c", 1, 8, "rwm")       // random
	allow("c", 1, 9, "rwm")       // urandom
	allow("c", 5, 0, "rwm")       // tty
	allow("c", 5, 2, "rwm")       // ptmx
	allow("c", 136, every, "rwm") // pts/*

	for _, rule := range svc.DeviceRules {
		rules = append(rules, deviceRule(rule))
	}
	access := map[string]string{}
	for _, d := range svc.Devices {
		access[firstOf(d.Container, d.Host)] = firstOf(d.Permissions, "rwm")
	}
	for _, n := range nodes {
		// A node of a directory has the permissions of the directory.
		dir := n.Path
		for access[dir] == "" && dir != "/" && dir != "." {
			dir = filepath.Dir(dir)
		}
		allow(n.Type, n.Major, n.Minor, access[dir])
	}
	return rules
}

// deviceRule is "c 1:3 mr", as package compose has checked it.
func deviceRule(text string) specs.LinuxDeviceCgroup {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ':' })
	r := specs.LinuxDeviceCgroup{Allow: true, Type: words[0], Access: words[3]}
	for i, to := range []**int64{&r.Major, &r.Minor} {
		if n, err := strconv.ParseInt(words[1+i], 10, 64); err == nil { // else "*"
			*to = &n
		}
	}
	return r
}

// hostDevices are the device nodes at or below path on this machine.
func hostDevices(path string) ([]specs.LinuxDevice, error) {
	var list []specs.LinuxDevice
	resolved, err := filepath.EvalSymlinks(path) // /dev/rtc, /dev/disk/by-id/…
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(resolved, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Type()&fs.ModeDevice == 0 {
			return err
		}
		var s unix.Stat_t
		if err := unix.Lstat(file, &s); err != nil {
			return err
		}
		kind := "b"
		if s.Mode&unix.S_IFMT == unix.S_IFCHR {
			kind = "c"
		}
		mode := e.Type().Perm()
		if info, err := e.Info(); err == nil {
			mode = info.Mode().Perm()
		}
		list = append(list, specs.LinuxDevice{
			Path:     path + strings.TrimPrefix(file, resolved),
			Type:     kind,
			Major:    int64(unix.Major(s.Rdev)),
			Minor:    int64(unix.Minor(s.Rdev)),
			FileMode: &mode,
			UID:      &s.Uid,
			GID:      &s.Gid,
		})
		return nil
	})
	return list, err
}

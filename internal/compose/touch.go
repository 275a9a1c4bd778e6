package compose

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

func (r *reader) cgroup(s *Service, v yamldoc.Value) {
	if word, ok := r.oneOf(v, "host", "private"); ok && word == "host" {
		s.CgroupMode = word
	}
}

// capabilityNames are those of capabilities(7).
var capabilityNames = []string{
	"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
	"DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
	"LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
	"NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT",
	"SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "WAKE_ALARM",
}

func (r *reader) capabilities(v yamldoc.Value) []string {
	var list []string
	for _, item := range r.items(v) {
		text, ok := r.word(item)
		if !ok {
			continue
		}
		name := strings.TrimPrefix(strings.ToUpper(text), "CAP_")
		switch {
		case name != "ALL" && !slices.Contains(capabilityNames, name):
			if meant := r.meant(name, capabilityNames); meant != "" {
				r.wrong(item, "%q is no capability (did you mean %q?)", text, meant)
			} else {
				r.wrong(item, "%q is no capability", text)
			}
		case slices.Contains(list, name):
			r.wrong(item, "%q is given twice", text)
		default:
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func (r *reader) securityOpt(s *Service, v yamldoc.Value) {
	seen := map[string]bool{}
	for _, item := range r.items(v) {
		text, ok := r.word(item)
		if !ok {
			continue
		}
		// Docker has both signs between name and value.
		name, value, _ := strings.Cut(strings.Replace(text, "=", ":", 1), ":")
		if seen[name] {
			r.wrong(item, "%q is given twice", name)
			continue
		}
		seen[name] = true
		switch {
		case name == "no-new-privileges" && (value == "" || value == "true"):
			s.NoNewPrivileges = true
		case name == "no-new-privileges" && value == "false":
			s.NoNewPrivileges = false
		case name == "seccomp" && value == "unconfined":
			s.Seccomp = value
		default:
			r.wrong(item, "%q is not supported: it must be %s", text, either([]string{"no-new-privileges:true", "no-new-privileges:false", "seccomp:unconfined"}))
		}
	}
}

var (
	propagations = []string{"rprivate", "rslave", "rshared"}
	// idle are options that change nothing here: there is no SELinux, and no
	// machine between the file system and the container.
	idle       = []string{"z", "Z", "cached", "consistent", "delegated"}
	volumeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]+$`) // at least two, as Docker has it: "c:/x" is a path elsewhere
)

func (r *reader) serviceVolumes(s *Service, v yamldoc.Value) {
	for _, item := range r.items(v) {
		before := len(r.faults)
		var m Mount
		if item.Kind() == yamldoc.Mapping {
			m = r.longVolume(item)
		} else {
			m = r.shortVolume(item)
		}
		if len(r.faults) == before {
			r.mount(item, &m)
		}
		if len(r.faults) == before {
			s.Mounts = append(s.Mounts, m)
		}
	}
}

// shortVolume is SOURCE:TARGET[:OPTION,OPTION]. compose-go's parser of it is
// not used: it passes over options that it does not know.
func (r *reader) shortVolume(v yamldoc.Value) Mount {
	text, ok := r.word(v)
	if !ok {
		return Mount{}
	}
	parts := strings.Split(text, ":")
	if len(parts) > 3 || slices.Contains(parts, "") {
		r.wrong(v, "%q must be SOURCE:TARGET or SOURCE:TARGET:OPTIONS", text)
		return Mount{}
	}
	if len(parts) == 1 {
		r.wrong(v, "%q has no source: write SOURCE:TARGET (a volume without a name would be lost with the container)", text)
		return Mount{}
	}
	m := Mount{Type: "volume", Source: parts[0], Target: parts[1]}
	if strings.ContainsAny(m.Source[:1], "./~") {
		m.Type, m.CreateHost = "bind", true
	}
	if len(parts) == 2 {
		return m
	}
	for _, option := range strings.Split(parts[2], ",") {
		switch {
		case option == "ro":
			m.ReadOnly = true
		case option == "rw":
			m.ReadOnly = false
		case slices.Contains(propagations, option):
			m.Propagation = option
		case slices.Contains(idle, option):
		case option == "nocopy" && m.Type == "volume":
		default:
			r.wrong(v, "option %q is not supported: it must be %s", option, either(append([]string{"ro", "rw"}, propagations...)))
		}
	}
	return m
}

func (r *reader) longVolume(v yamldoc.Value) Mount {
	var m Mount
	createHost := false
	r.mapping(v, map[string]func(yamldoc.Value){
		"type":      func(v yamldoc.Value) { m.Type, _ = r.oneOf(v, "bind", "volume", "tmpfs") },
		"source":    func(v yamldoc.Value) { m.Source, _ = r.word(v) },
		"target":    func(v yamldoc.Value) { m.Target, _ = r.word(v) },
		"read_only": func(v yamldoc.Value) { m.ReadOnly, _ = r.boolean(v) },
		"bind": func(v yamldoc.Value) {
			createHost = true // so does Compose: only with bind, and then by default
			r.mapping(v, map[string]func(yamldoc.Value){
				"propagation":      func(v yamldoc.Value) { m.Propagation, _ = r.oneOf(v, propagations...) },
				"create_host_path": func(v yamldoc.Value) { createHost, _ = r.boolean(v) },
				"selinux":          func(v yamldoc.Value) { r.oneOf(v, "z", "Z") },
				"recursive":        r.not("what is mounted below the source is always there"),
			})
		},
		"image":       r.not("an image is no volume here"),
		"consistency": func(v yamldoc.Value) { r.text(v) },
		"volume": func(v yamldoc.Value) {
			r.mapping(v, map[string]func(yamldoc.Value){
				// A new volume is empty, whatever the image has in its place.
				"nocopy": func(v yamldoc.Value) {
					if copied, ok := r.boolean(v); ok && !copied {
						r.wrong(v, "false is not supported: a new volume is empty")
					}
				},
				"subpath": r.not("name a volume for each part"),
				"labels":  func(v yamldoc.Value) { r.entries(v, nil) }, // a directory has none
			})
		},
		"tmpfs": func(v yamldoc.Value) {
			r.mapping(v, map[string]func(yamldoc.Value){
				"size": func(v yamldoc.Value) { m.Size, _ = r.size(v, 0) },
				"mode": func(v yamldoc.Value) { m.Mode = r.mode(v) },
			})
		},
	})
	for _, p := range v.Pairs() {
		if (p.Key == "bind" || p.Key == "tmpfs" || p.Key == "volume") && m.Type != "" && p.Key != m.Type {
			r.wrongKey(p, "has no meaning for a mount of type %q", m.Type)
		}
	}
	m.CreateHost = m.Type == "bind" && createHost
	return m
}

// mount checks a mount in whichever way it was written.
func (r *reader) mount(v yamldoc.Value, m *Mount) {
	switch m.Type {
	case "":
		r.wrong(v, `has no "type": it must be %s`, either([]string{"bind", "volume", "tmpfs"}))
	case "bind":
		switch {
		case m.Source == "":
			r.wrong(v, `has no "source"`)
		case strings.HasPrefix(m.Source, "~"):
			r.wrong(v, "%q: services of the OS have no home directory; write the path out", m.Source)
		case !path.IsAbs(m.Source):
			m.Source = filepath.Join(r.home, m.Source)
		}
		m.Source = path.Clean(m.Source)
	case "volume":
		named, listed := r.volumes[m.Source]
		switch {
		case !volumeName.MatchString(m.Source):
			r.wrong(v, "%q cannot be the name of a volume (a path begins with / or .)", m.Source)
		case !listed:
			r.wrong(v, `volume %q is not listed under "volumes" at the top of the file`, m.Source)
		case named.unfit != "":
			r.wrong(v, "volume %q: %s", m.Source, named.unfit)
		case m.Propagation != "":
			r.wrong(v, "propagation %q has no meaning for a volume", m.Propagation)
		}
		m.Source, m.External, m.Device = named.name, named.external, named.device
	case "tmpfs":
		if m.Source != "" {
			r.wrong(v, `a tmpfs has no "source"`)
		}
	}
	r.target(v, &m.Target)
}

// target checks where something is mounted.
func (r *reader) target(v yamldoc.Value, target *string) {
	switch {
	case *target == "":
		r.wrong(v, `has no "target"`)
	case !path.IsAbs(*target):
		r.wrong(v, "target %q must be an absolute path", *target)
	case path.Clean(*target) == "/":
		r.wrong(v, "target %q is the root of the container", *target)
	}
	*target = path.Clean(*target)
	if line, twice := r.targets[*target]; twice {
		r.wrong(v, "target %q is mounted already, on line %d", *target, line)
		return
	}
	r.targets[*target] = v.Line
}

// mode is a file mode, a number or what else the kinds allow. YAML takes 755 for
// a decimal number, and a mode nobody meant would come of it.
func (r *reader) mode(v yamldoc.Value, kinds ...string) uint32 {
	text, tag, ok := r.scalar(v, "a file mode like 0755")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if tag != "!!int" && !slices.Contains(kinds, tag) || err != nil || n > 0o7777 || !strings.HasPrefix(text, "0") {
		r.wrong(v, "%q must be a file mode like 0755", text)
		return 0
	}
	return uint32(n)
}

func (r *reader) tmpfs(s *Service, v yamldoc.Value) {
	items := []yamldoc.Value{v}
	if v.Kind() == yamldoc.List {
		items = v.Items()
	}
	for _, item := range items {
		text, ok := r.word(item)
		if !ok {
			continue
		}
		before := len(r.faults)
		target, options, has := strings.Cut(text, ":")
		if strings.HasPrefix(text, "size=") || strings.HasPrefix(text, "mode=") {
			r.wrong(item, "%q is an option, not an entry: an entry with a comma needs quotes inside [ ]", text)
			continue
		}
		m := Mount{Type: "tmpfs", Target: target}
		for _, option := range strings.Split(options, ",") {
			if !has {
				break
			}
			name, value, _ := strings.Cut(option, "=")
			var err error
			switch name {
			case "size":
				m.Size, err = parseSize(value)
			case "mode":
				var mode uint64
				if mode, err = strconv.ParseUint(value, 8, 32); mode > 0o7777 {
					err = strconv.ErrRange
				}
				m.Mode = uint32(mode)
			default:
				r.wrong(item, "option %q is not supported: it must be %s", option, either([]string{"size=64m", "mode=0755"}))
			}
			if err != nil || m.Size < 0 {
				r.wrong(item, "%q is no %s", value, name)
			}
		}
		r.target(item, &m.Target)
		if len(r.faults) == before {
			s.Mounts = append(s.Mounts, m)
		}
	}
}

func (r *reader) devices(s *Service, v yamldoc.Value) {
	for _, item := range r.items(v) {
		d := Device{Permissions: "rwm"}
		before := len(r.faults)
		if item.Kind() == yamldoc.Mapping {
			r.mapping(item, map[string]func(yamldoc.Value){
				"source":      func(v yamldoc.Value) { d.Host, _ = r.word(v) },
				"target":      func(v yamldoc.Value) { d.Container, _ = r.word(v) },
				"permissions": func(v yamldoc.Value) { d.Permissions, _ = r.word(v) },
			})
			if d.Container == "" && len(r.faults) == before { // Compose wants it in this form
				r.wrong(item, `has no "target"`)
			}
		} else if text, ok := r.word(item); ok {
			parts := strings.Split(text, ":")
			if len(parts) > 3 || slices.Contains(parts, "") {
				r.wrong(item, "%q must be HOST, HOST:CONTAINER or HOST:CONTAINER:PERMISSIONS", text)
			}
			d.Host = parts[0]
			if len(parts) > 1 {
				d.Container = parts[1]
			}
			if len(parts) > 2 {
				d.Permissions = parts[2]
			}
		}
		if d.Container == "" {
			d.Container = d.Host
		}
		if len(r.faults) == before {
			r.device(item, d)
		}
		if len(r.faults) == before {
			s.Devices = append(s.Devices, d)
		}
	}
}

func (r *reader) device(v yamldoc.Value, d Device) {
	if strings.Trim(d.Permissions, "rwm") != "" || len(d.Permissions) > 3 {
		r.wrong(v, `permissions %q must be some of "rwm"`, d.Permissions)
	}
	for _, p := range []string{d.Host, d.Container} {
		if !path.IsAbs(p) || path.Clean(p) != p {
			r.wrong(v, "%q must be the path of a device", p)
			return
		}
	}
}

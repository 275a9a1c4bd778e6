package containers

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rosteros/ros/internal/bridge"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/images"
)

// Machine is what a spec takes from the machine that it is for.
type Machine struct {
	// ReadFile reads a file of the image, such as etc/passwd. A file that is
	// not there gives fs.ErrNotExist.
	ReadFile func(path string) ([]byte, error)

	// Devices are the nodes at or below a path of the host; none when there is
	// no such path. Their Path is that of the host.
	Devices func(path string) ([]specs.LinuxDevice, error)

	Cmdline      string // a file to show as /proc/cmdline; "": the kernel's own text
	VolumesDir   string // named volumes are directories in it
	FilesDir     string // configs and secrets are files in it
	CgroupParent string // cgroup above those of the services; "": none is set

	Init    string       // program that is to be process 1 of a service with init: true; "": there is none
	Network bridge.Files // of the service whose network it is in
}

// specVersion is the oldest that has all we use: crun before 1.9 takes no
// other than 1.0.
const specVersion = "1.0.2"

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Spec is the OCI runtime spec of a service. It depends on nothing but its
// arguments. What the service file leaves open is as narrow as Docker has it.
func Spec(svc compose.Service, img images.Image, m Machine) (*specs.Spec, error) {
	args, err := arguments(svc, img)
	if err != nil {
		return nil, err
	}
	if svc.Init {
		if m.Init == "" {
			return nil, errors.New("init: true: this OS image has no program for it")
		}
		args = append([]string{initTarget, "--"}, args...)
	}
	account, err := lookUp(svc, img, m)
	if err != nil {
		return nil, err
	}
	capabilities, err := capabilities(svc, account.user.UID)
	if err != nil {
		return nil, err
	}
	namespaces, hostname, err := namespaces(svc, m.Network.Netns)
	if err != nil {
		return nil, err
	}
	devices, err := devices(svc, m)
	if err != nil {
		return nil, err
	}
	rlimits, err := rlimits(svc)
	if err != nil {
		return nil, err
	}

	oom := svc.OOMScoreAdj
	spec := &specs.Spec{
		Version:  specVersion,
		Hostname: hostname,
		Root:     &specs.Root{Path: "rootfs", Readonly: svc.ReadOnly},
		Process: &specs.Process{
			Terminal:        svc.TTY,
			User:            account.user,
			Args:            args,
			Env:             environment(svc, img, account.home),
			Cwd:             firstOf(svc.WorkingDir, img.Config.WorkingDir, "/"),
			Capabilities:    capabilities,
			Rlimits:         rlimits,
			NoNewPrivileges: svc.NoNewPrivileges,
			OOMScoreAdj:     &oom,
		},
		Mounts:      mounts(svc, img, m),
		Annotations: svc.Annotations,
		Linux: &specs.Linux{
			Namespaces:        namespaces,
			Devices:           devices,
			Resources:         resources(svc, devices),
			Sysctl:            svc.Sysctls,
			RootfsPropagation: rootPropagation(svc),
		},
	}
	if m.CgroupParent != "" {
		spec.Linux.CgroupsPath = filepath.Join(m.CgroupParent, svc.Name)
	}
	if !svc.Privileged {
		spec.Linux.MaskedPaths = slices.Clone(maskedPaths)
		spec.Linux.ReadonlyPaths = slices.Clone(readonlyPaths)
		if svc.Seccomp != "unconfined" {
			spec.Linux.Seccomp = seccomp.DefaultProfile(spec) // reads the bounding capabilities
		}
	}
	return spec, nil
}

// Paths of /proc and /sys that tell a container about the host, or let it
// change the host.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
		"/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// arguments joins entrypoint and command as Docker does: an entrypoint of the
// service file takes the image's command away with its entrypoint.
func arguments(svc compose.Service, img images.Image) ([]string, error) {
	entrypoint, command := svc.Entrypoint, svc.Command
	if entrypoint == nil {
		entrypoint = img.Config.Entrypoint
		if command == nil {
			command = img.Config.Cmd
		}
	}
	args := slices.Concat(entrypoint, command)
	if len(args) == 0 {
		return nil, fmt.Errorf("there is nothing to run: neither the service nor image %q has an entrypoint or a command", img.Name)
	}
	return args, nil
}

// environment is the image's, with the service's laid over it. A variable
// keeps the place of its first appearance.
func environment(svc compose.Service, img images.Image, home string) []string {
	base := []string{defaultPath, "HOME=" + home}
	if svc.TTY {
		base = append(base, "TERM=xterm")
	}
	var env []string
	at := map[string]int{}
	for _, kv := range slices.Concat(base, img.Config.Env, svc.Env) {
		key, _, _ := strings.Cut(kv, "=")
		if i, ok := at[key]; ok {
			env[i] = kv
			continue
		}
		at[key] = len(env)
		env = append(env, kv)
	}
	return env
}

// namespaces are the service's own, as far as its file does not share the
// host's. The hostname is "" when the host's UTS namespace is shared.
func namespaces(svc compose.Service, netns string) (list []specs.LinuxNamespace, hostname string, err error) {
	own := func(t specs.LinuxNamespaceType) { list = append(list, specs.LinuxNamespace{Type: t}) }
	own(specs.MountNamespace)
	for _, n := range []struct {
		key, mode string
		kind      specs.LinuxNamespaceType
	}{
		{"pid", svc.PidMode, specs.PIDNamespace},
		{"ipc", svc.IpcMode, specs.IPCNamespace},
		{"cgroup", svc.CgroupMode, specs.CgroupNamespace},
	} {
		switch n.mode {
		case "", "private":
			own(n.kind)
		case "host":
		default:
			return nil, "", fmt.Errorf("%s: %q is not supported, only \"host\"", n.key, n.mode)
		}
	}
	switch {
	case svc.NetworkMode == "none":
		own(specs.NetworkNamespace)
	case svc.NetworkMode == "host":
	case svc.NetworkOf() != "" && netns != "":
		list = append(list, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: netns})
	default:
		return nil, "", fmt.Errorf("network_mode: %q is not supported, only \"host\", \"none\" and \"service:NAME\"", svc.NetworkMode)
	}
	// A hostname in the file wants a namespace to be set in; it must never
	// rename the machine.
	switch {
	case svc.UtsMode == "host" && svc.Hostname != "":
		return nil, "", fmt.Errorf("hostname: %q cannot be set with uts: host", svc.Hostname)
	case svc.UtsMode != "host" && (svc.NetworkMode != "host" || svc.Hostname != ""):
		own(specs.UTSNamespace)
		hostname = firstOf(svc.Hostname, svc.Name)
	}
	return list, hostname, nil
}

func resources(svc compose.Service, nodes []specs.LinuxDevice) *specs.LinuxResources {
	r := &specs.LinuxResources{Devices: deviceRules(svc, nodes)}
	r.Memory = memory(svc)
	if svc.PidsLimit > 0 {
		r.Pids = &specs.LinuxPids{Limit: &svc.PidsLimit}
	}
	r.CPU = cpu(svc)
	return r
}

// memory is what the service file says of it; nil: nothing.
func memory(svc compose.Service) *specs.LinuxMemory {
	m := specs.LinuxMemory{}
	for _, limit := range []struct {
		to    **int64
		bytes int64
	}{{&m.Limit, svc.MemoryBytes}, {&m.Reservation, svc.MemoryLow}, {&m.Swap, svc.MemorySwap}} {
		if limit.bytes != 0 {
			*limit.to = &limit.bytes
		}
	}
	if m == (specs.LinuxMemory{}) {
		return nil
	}
	return &m
}

// cpu is what the service file says of it; nil: nothing.
func cpu(svc compose.Service) *specs.LinuxCPU {
	c := specs.LinuxCPU{Cpus: svc.CPUSet}
	period, quota, shares := uint64(svc.CPUPeriod), svc.CPUQuota, uint64(svc.CPUShares)
	if svc.CPUs > 0 {
		period = 100_000 // microseconds
		quota = int64(svc.CPUs * float64(period))
	}
	if period > 0 {
		c.Period = &period
	}
	if quota > 0 {
		c.Quota = &quota
	}
	if shares > 0 {
		c.Shares = &shares
	}
	if c == (specs.LinuxCPU{}) {
		return nil
	}
	return &c
}

// rlimitNames are the words of ulimits that the kernel knows.
var rlimitNames = []string{
	"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
	"nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
}

// rlimits always has nofile: containerd raises its own, and a program that
// walks through all possible file descriptors must not inherit that. The pair
// is what a service of systemd gets.
func rlimits(svc compose.Service) ([]specs.POSIXRlimit, error) {
	limits := []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 524288}}
	for _, u := range svc.Ulimits {
		if !slices.Contains(rlimitNames, u.Name) {
			return nil, fmt.Errorf("ulimits: %q is not one of %s", u.Name, strings.Join(rlimitNames, ", "))
		}
		l := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: limit(u.Soft), Hard: limit(u.Hard)}
		if l.Type == limits[0].Type {
			limits[0] = l
			continue
		}
		limits = append(limits, l)
	}
	slices.SortFunc(limits, func(a, b specs.POSIXRlimit) int { return strings.Compare(a.Type, b.Type) })
	return limits, nil
}

func limit(n int64) uint64 {
	if n < 0 {
		return ^uint64(0)
	}
	return uint64(n)
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

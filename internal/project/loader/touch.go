package loader

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// limits of memory, CPU and the rest.
func (t *translation) limits() {
	s, h := t.service, &t.out.HostConfig
	h.NanoCPUs = int64(float64(s.CPUS) * 1e9)
	h.CPUShares, h.CPUPeriod, h.CPUQuota, h.CpusetCpus = s.CPUShares, s.CPUPeriod, s.CPUQuota, s.CPUSet
	h.CPURealtimePeriod, h.CPURealtimeRuntime = s.CPURTPeriod, s.CPURTRuntime
	h.Memory, h.MemoryReservation, h.MemorySwap = int64(s.MemLimit), int64(s.MemReservation), int64(s.MemSwapLimit)
	if s.MemSwappiness != 0 {
		swappiness := int64(s.MemSwappiness)
		h.MemorySwappiness = &swappiness
	}
	h.PidsLimit, h.OomScoreAdj, h.ShmSize = s.PidsLimit, s.OomScoreAdj, int64(s.ShmSize)
	if s.OomKillDisable {
		h.OomKillDisable = &s.OomKillDisable
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		u := s.Ulimits[name]
		soft, hard := int64(u.Soft), int64(u.Hard)
		if u.Single != 0 {
			soft, hard = int64(u.Single), int64(u.Single)
		}
		h.Ulimits = append(h.Ulimits, ulimit{name, soft, hard})
	}
	t.blkio()
	for _, g := range s.Gpus {
		t.request(g, "gpu")
	}
	if s.Deploy == nil {
		return
	}
	if mode := s.Deploy.Mode; mode != "" && mode != "replicated" {
		t.wrongKey("deploy.mode", "%q is not supported in scope \"user\": it is for a swarm", mode)
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		if l.NanoCPUs != 0 {
			h.NanoCPUs = int64(float64(l.NanoCPUs) * 1e9)
		}
		if l.MemoryBytes != 0 {
			h.Memory = int64(l.MemoryBytes)
		}
		if l.Pids != 0 {
			h.PidsLimit = l.Pids
		}
	}
	if r := s.Deploy.Resources.Reservations; r != nil {
		if r.MemoryBytes != 0 {
			h.MemoryReservation = int64(r.MemoryBytes)
		}
		for _, d := range r.Devices {
			t.request(d, "")
		}
	}
}

// request asks for devices of a driver; capability is what a list of none means.
func (t *translation) request(d types.DeviceRequest, capability string) {
	r := deviceRequest{Driver: d.Driver, Count: int(d.Count), DeviceIDs: d.IDs, Options: d.Options}
	switch {
	case len(d.Capabilities) > 0:
		r.Capabilities = [][]string{d.Capabilities}
		if capability != "" && !slices.Contains(d.Capabilities, capability) {
			r.Capabilities[0] = append(slices.Clone(d.Capabilities), capability)
		}
	case capability != "":
		r.Capabilities = [][]string{{capability}}
	}
	t.out.HostConfig.DeviceRequests = append(t.out.HostConfig.DeviceRequests, r)
}

func (t *translation) blkio() {
	b, h := t.service.BlkioConfig, &t.out.HostConfig
	if b == nil {
		return
	}
	h.BlkioWeight = b.Weight
	for _, w := range b.WeightDevice {
		h.BlkioWeightDevice = append(h.BlkioWeightDevice, weight{w.Path, w.Weight})
	}
	throttles := func(list []types.ThrottleDevice) (out []throttle) {
		for _, d := range list {
			out = append(out, throttle{d.Path, uint64(d.Rate)})
		}
		return out
	}
	h.BlkioDeviceReadBps, h.BlkioDeviceWriteBps = throttles(b.DeviceReadBps), throttles(b.DeviceWriteBps)
	h.BlkioDeviceReadIOps, h.BlkioDeviceWriteIOps = throttles(b.DeviceReadIOps), throttles(b.DeviceWriteIOps)
}

// touch is what else the container may and sees.
func (t *translation) touch() {
	s, h := t.service, &t.out.HostConfig
	h.Privileged, h.ReadonlyRootfs = s.Privileged, s.ReadOnly
	h.CapAdd, h.CapDrop, h.GroupAdd = s.CapAdd, s.CapDrop, s.GroupAdd
	t.security()
	h.Annotations, h.Sysctls, h.StorageOpt = s.Annotations, s.Sysctls, s.StorageOpt
	h.Runtime, h.Init, h.CgroupParent = s.Runtime, s.Init, s.CgroupParent
	h.UsernsMode, h.UTSMode, h.CgroupnsMode = s.UserNSMode, s.Uts, s.Cgroup
	h.DNS, h.DNSOptions, h.DNSSearch = s.DNS, s.DNSOpts, s.DNSSearch
	h.ExtraHosts = s.ExtraHosts.AsList(":")
	slices.Sort(h.ExtraHosts)
	h.PidMode, h.IpcMode = t.borrowed(s.Pid), t.borrowed(s.Ipc)
	for _, from := range s.VolumesFrom {
		t.volumesFrom(from)
	}
	for _, d := range s.Devices {
		if d.Source == d.Target && strings.Contains(d.Source, "=") { // a CDI name: vendor.com/gpu=all
			h.DeviceRequests = append(h.DeviceRequests, deviceRequest{Driver: "cdi", DeviceIDs: []string{d.Source}})
			continue
		}
		h.Devices = append(h.Devices, device{d.Source, d.Target, d.Permissions})
	}
	h.DeviceCgroupRules = s.DeviceCgroupRules
	for _, entry := range s.Tmpfs {
		path, options, _ := strings.Cut(entry, ":")
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[path] = options
	}
}

// borrowed is a namespace of another service's container, or the mode as it is.
func (t *translation) borrowed(mode string) string {
	service, ok := strings.CutPrefix(mode, "service:")
	if !ok {
		return mode
	}
	return "container:" + t.peer(service)
}

// peer notes that another service's container has to be there first.
func (t *translation) peer(service string) string {
	name := t.containerName(service)
	if !slices.Contains(t.container.Peers, name) {
		t.container.Peers = append(t.container.Peers, name)
	}
	return name
}

// volumesFrom is SERVICE[:ro] or container:NAME[:ro].
func (t *translation) volumesFrom(from string) {
	if name, ok := strings.CutPrefix(from, "container:"); ok {
		t.out.HostConfig.VolumesFrom = append(t.out.HostConfig.VolumesFrom, name)
		return
	}
	service, mode, given := strings.Cut(from, ":")
	name := t.peer(service)
	if given {
		name += ":" + mode
	}
	t.out.HostConfig.VolumesFrom = append(t.out.HostConfig.VolumesFrom, name)
}

// ports are published on the machine.
func (t *translation) ports() {
	h := &t.out.HostConfig
	for _, p := range t.service.Ports {
		protocol := p.Protocol
		if protocol == "" {
			protocol = "tcp"
		}
		key := strconv.Itoa(int(p.Target)) + "/" + protocol
		t.expose(key)
		if h.PortBindings == nil {
			h.PortBindings = map[string][]binding{}
		}
		h.PortBindings[key] = append(h.PortBindings[key], binding{HostIP: p.HostIP, HostPort: p.Published})
		if _, err := strconv.Atoi(p.Published); err == nil { // no range, and not the engine's choice
			t.container.Ports = append(t.container.Ports, protocol+"/"+net.JoinHostPort(p.HostIP, p.Published))
		}
	}
}

package loader

// body is POST /containers/create, as far as Compose can fill it. Keys are
// those of the Docker API; what is not set is left out, so that the engine's
// own default counts and two equal services have the same text.
type body struct {
	Image        string              `json:",omitempty"`
	Entrypoint   []string            `json:",omitzero"` // empty, not nil: none instead of the image's
	Cmd          []string            `json:",omitzero"`
	Env          []string            `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	User         string              `json:",omitempty"`
	Hostname     string              `json:",omitempty"`
	Domainname   string              `json:",omitempty"`
	Tty          bool                `json:",omitempty"`
	OpenStdin    bool                `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
	StopTimeout  *int                `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	Healthcheck  *health             `json:",omitempty"`

	HostConfig       host
	NetworkingConfig *networking `json:",omitempty"`
}

type health struct {
	Test          []string `json:",omitempty"`
	Interval      int64    `json:",omitempty"` // nanoseconds, as all of these
	Timeout       int64    `json:",omitempty"`
	StartPeriod   int64    `json:",omitempty"`
	StartInterval int64    `json:",omitempty"`
	Retries       int      `json:",omitempty"`
}

type host struct {
	NetworkMode    string            `json:",omitempty"`
	PidMode        string            `json:",omitempty"`
	IpcMode        string            `json:",omitempty"`
	UTSMode        string            `json:",omitempty"`
	UsernsMode     string            `json:",omitempty"`
	CgroupnsMode   string            `json:",omitempty"`
	CgroupParent   string            `json:",omitempty"`
	Runtime        string            `json:",omitempty"`
	Init           *bool             `json:",omitempty"`
	Annotations    map[string]string `json:",omitempty"`
	Privileged     bool              `json:",omitempty"`
	ReadonlyRootfs bool              `json:",omitempty"`
	CapAdd         []string          `json:",omitempty"`
	CapDrop        []string          `json:",omitempty"`
	SecurityOpt    []string          `json:",omitempty"`
	MaskedPaths    []string          `json:",omitzero"` // empty, not nil: none instead of the engine's
	ReadonlyPaths  []string          `json:",omitzero"`
	GroupAdd       []string          `json:",omitempty"`
	DNS            []string          `json:"Dns,omitempty"`
	DNSOptions     []string          `json:"DnsOptions,omitempty"`
	DNSSearch      []string          `json:"DnsSearch,omitempty"`
	ExtraHosts     []string          `json:",omitempty"`
	Sysctls        map[string]string `json:",omitempty"`
	StorageOpt     map[string]string `json:",omitempty"`
	Tmpfs          map[string]string `json:",omitempty"`
	Binds          []string          `json:",omitempty"`
	Mounts         []mount           `json:",omitempty"`
	VolumesFrom    []string          `json:",omitempty"`
	ShmSize        int64             `json:",omitempty"`
	LogConfig      *logConfig        `json:",omitempty"`
	RestartPolicy  restart

	PortBindings map[string][]binding `json:",omitempty"`

	Devices           []device        `json:",omitempty"`
	DeviceRequests    []deviceRequest `json:",omitempty"`
	DeviceCgroupRules []string        `json:",omitempty"`
	Ulimits           []ulimit        `json:",omitempty"`
	OomScoreAdj       int64           `json:",omitempty"`
	OomKillDisable    *bool           `json:",omitempty"`
	PidsLimit         int64           `json:",omitempty"`

	NanoCPUs           int64  `json:"NanoCpus,omitempty"`
	CPUShares          int64  `json:"CpuShares,omitempty"`
	CPUPeriod          int64  `json:"CpuPeriod,omitempty"`
	CPUQuota           int64  `json:"CpuQuota,omitempty"`
	CPURealtimePeriod  int64  `json:"CpuRealtimePeriod,omitempty"`
	CPURealtimeRuntime int64  `json:"CpuRealtimeRuntime,omitempty"`
	CpusetCpus         string `json:",omitempty"`
	Memory             int64  `json:",omitempty"`
	MemoryReservation  int64  `json:",omitempty"`
	MemorySwap         int64  `json:",omitempty"`
	MemorySwappiness   *int64 `json:",omitempty"`

	BlkioWeight          uint16     `json:",omitempty"`
	BlkioWeightDevice    []weight   `json:",omitempty"`
	BlkioDeviceReadBps   []throttle `json:",omitempty"`
	BlkioDeviceWriteBps  []throttle `json:",omitempty"`
	BlkioDeviceReadIOps  []throttle `json:",omitempty"`
	BlkioDeviceWriteIOps []throttle `json:",omitempty"`
}

type (
	restart   struct{ Name string }
	logConfig struct {
		Type   string
		Config map[string]string `json:",omitempty"`
	}
	binding struct {
		HostIP   string `json:"HostIp,omitempty"`
		HostPort string
	}
	device struct {
		PathOnHost, PathInContainer, CgroupPermissions string
	}
	deviceRequest struct {
		Driver       string            `json:",omitempty"`
		Count        int               `json:",omitempty"`
		DeviceIDs    []string          `json:",omitempty"`
		Capabilities [][]string        `json:",omitempty"`
		Options      map[string]string `json:",omitempty"`
	}
	ulimit struct {
		Name       string
		Soft, Hard int64
	}
	weight struct {
		Path   string
		Weight uint16
	}
	throttle struct {
		Path string
		Rate uint64
	}
)

type mount struct {
	Type, Target  string
	Source        string         `json:",omitempty"`
	ReadOnly      bool           `json:",omitempty"`
	BindOptions   *bindOptions   `json:",omitempty"`
	VolumeOptions *volumeOptions `json:",omitempty"`
	TmpfsOptions  *tmpfsOptions  `json:",omitempty"`
	ImageOptions  *imageOptions  `json:",omitempty"`
}

type (
	bindOptions struct {
		Propagation            string `json:",omitempty"`
		CreateMountpoint       bool   `json:",omitempty"`
		NonRecursive           bool   `json:",omitempty"`
		ReadOnlyNonRecursive   bool   `json:",omitempty"`
		ReadOnlyForceRecursive bool   `json:",omitempty"`
	}
	volumeOptions struct {
		NoCopy  bool              `json:",omitempty"`
		Subpath string            `json:",omitempty"`
		Labels  map[string]string `json:",omitempty"`
	}
	tmpfsOptions struct {
		SizeBytes int64  `json:",omitempty"`
		Mode      uint32 `json:",omitempty"`
	}
	imageOptions struct {
		Subpath string `json:",omitempty"`
	}
)

type networking struct {
	EndpointsConfig map[string]endpoint
}

type endpoint struct {
	Aliases    []string          `json:",omitempty"`
	Links      []string          `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
	GwPriority int               `json:",omitempty"`
	MacAddress string            `json:",omitempty"`
	IPAMConfig *addresses        `json:",omitempty"`
}

type addresses struct {
	IPv4Address  string   `json:",omitempty"`
	IPv6Address  string   `json:",omitempty"`
	LinkLocalIPs []string `json:",omitempty"`
}

// network is POST /networks/create, volume POST /volumes/create.
type network struct {
	Name       string
	Driver     string            `json:",omitempty"`
	Options    map[string]string `json:",omitempty"`
	Internal   bool              `json:",omitempty"`
	Attachable bool              `json:",omitempty"`
	EnableIPv4 *bool             `json:",omitempty"`
	EnableIPv6 *bool             `json:",omitempty"`
	IPAM       *ipam             `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
}

type ipam struct {
	Driver  string            `json:",omitempty"`
	Options map[string]string `json:",omitempty"`
	Config  []pool            `json:",omitempty"`
}

type pool struct {
	Subnet             string            `json:",omitempty"`
	IPRange            string            `json:",omitempty"`
	Gateway            string            `json:",omitempty"`
	AuxiliaryAddresses map[string]string `json:",omitempty"`
}

type volume struct {
	Name       string
	Driver     string            `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
}

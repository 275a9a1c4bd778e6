package config

// The types are the schema. Of each key they say, in tags:
//
//	yaml    its name
//	is      what a text or a number must be, a name in the table of checks
//	when    what puts a change into effect, a name in the table Appliers
//	doc     its meaning, one sentence
//	none    why it has no effect here although it is accepted
//	also    other names it is known by
//	needed  an entry of a list that lacks the key is left out
//
// A struct whose key has a "when" hands it down to the keys in it. Loading,
// validation, docs/config.md and the JSON Schema all come from here.

// Config is the merged config. Its keys are those of RancherOS and, where
// RancherOS had none, those of cloud-init.
type Config struct {
	Hostname          string    `yaml:"hostname" is:"hostname" when:"hostname" doc:"Name of the machine. Without it the network names it, else rancher.defaults.hostname."`
	ManageEtcHosts    EtcHosts  `yaml:"manage_etc_hosts" when:"hostname" doc:"true: /etc/hosts names the machine (127.0.1.1). localhost: the same. false: only localhost is named."`
	SSHAuthorizedKeys []string  `yaml:"ssh_authorized_keys" is:"ssh-key" when:"logins" doc:"Public keys that log in as rancher and docker."`
	SSHImportID       []string  `yaml:"ssh_import_id" none:"keys fetched from a web site at boot would lock you out without a network; give them in ssh_authorized_keys" doc:"Names of accounts elsewhere whose keys may log in."`
	Users             []User    `yaml:"users" when:"logins" doc:"Accounts besides rancher and docker; an entry named rancher changes that account."`
	Groups            []Group   `yaml:"groups" when:"logins" doc:"Groups and their members: a name, or name: [members]."`
	WriteFiles        []File    `yaml:"write_files" when:"files" doc:"Files to write."`
	Mounts            []Mount   `yaml:"mounts" when:"mounts" doc:"File systems to mount: [device, path, type, options]. Type swap switches swap on; a path as device and the option bind mounts a directory again."`
	RunCmd            []Command `yaml:"runcmd" when:"boot" doc:"Commands run in the console at every boot, when it starts: a line for the shell, or a list of words."`
	BootCmd           []Command `yaml:"bootcmd" when:"boot" doc:"Commands run at every boot before the other services are started."`
	NTP               NTP       `yaml:"ntp" when:"ntp" doc:"Time servers."`
	Timezone          string    `yaml:"timezone" is:"timezone" when:"timezone" doc:"Time zone of logins, services and rancher.upgrade.window, as in the tz database; UTC without it."`
	Locale            string    `yaml:"locale" is:"locale" when:"logins" doc:"LANG of logins. C.UTF-8 and C are there; others need a console that has them."`
	CACerts           CACerts   `yaml:"ca_certs" also:"ca-certs" when:"trust" doc:"Certificate authorities to trust."`
	Swap              Swap      `yaml:"swap" when:"swap" doc:"A swap file."`
	Growpart          Growpart  `yaml:"growpart" when:"boot" doc:"Partitions that grow with their disk. The state partition always does."`
	PowerState        Power     `yaml:"power_state" when:"boot" doc:"What to do when the boot is done."`
	FinalMessage      string    `yaml:"final_message" is:"lines" when:"boot" doc:"Text for the console and the log when the boot is done. $uptime, $timestamp, $version and $datasource are filled in."`
	Rancher           Rancher   `yaml:"rancher" doc:"What RancherOS keeps apart."`

	origins map[string][]said // by key; the last one counts
}

// User is an account, in cloud-init's words.
type User struct {
	Name              string   `yaml:"name" is:"account" needed:"yes" doc:"Login name."`
	UID               int      `yaml:"uid" is:"id" doc:"User number; without it the next free one from 1500."`
	Gecos             string   `yaml:"gecos" is:"line" doc:"Full name."`
	HomeDir           string   `yaml:"homedir" also:"home" is:"path" doc:"Home directory; without it /home/NAME."`
	PrimaryGroup      string   `yaml:"primary_group" also:"primary-group" is:"account" doc:"Main group; without it one of the same name."`
	Groups            Words    `yaml:"groups" is:"account" doc:"More groups: a list, or a text with commas."`
	Shell             string   `yaml:"shell" is:"path" doc:"Login shell; without it /bin/bash."`
	Passwd            Password `yaml:"passwd" also:"hashed_passwd" is:"password" doc:"Password, as a hash of crypt(5)."`
	PlainTextPasswd   Password `yaml:"plain_text_passwd" is:"password" doc:"Password in clear."`
	LockPasswd        *bool    `yaml:"lock_passwd" also:"lock-passwd" doc:"No login with a password; true unless there is one."`
	Sudo              Sudo     `yaml:"sudo" doc:"Rules of sudoers(5), such as ALL=(ALL) NOPASSWD:ALL; false for none."`
	SSHAuthorizedKeys []string `yaml:"ssh_authorized_keys" also:"ssh-authorized-keys" is:"ssh-key" doc:"Public keys that log in."`
	SSHImportID       []string `yaml:"ssh_import_id" none:"see ssh_import_id" doc:"Names of accounts elsewhere whose keys may log in."`
	NoCreateHome      bool     `yaml:"no_create_home" also:"no-create-home" doc:"Do not make the home directory."`
	System            bool     `yaml:"system" doc:"An account for a program: number below 1000 and no home directory."`
	Inactive          string   `yaml:"inactive" none:"passwords do not age here" doc:"Days until an account with an old password is locked."`
	ExpireDate        string   `yaml:"expiredate" is:"date" doc:"Day from which the account cannot log in, 2027-01-31."`
}

// Group is a group and who is in it besides those who name it.
type Group struct {
	Name    string
	Members []string
}

// File is an entry of write_files.
type File struct {
	Path        string   `yaml:"path" is:"path" needed:"yes" doc:"Where, an absolute path."`
	Content     string   `yaml:"content" is:"text" doc:"What, in the encoding below."`
	Encoding    string   `yaml:"encoding" is:"encoding" doc:"How content is written: plain, b64 (base64), gzip (gz), gz+b64 and its spellings."`
	Owner       string   `yaml:"owner" is:"owner" doc:"user, user:group or numbers; root:root without it."`
	Permissions FileMode `yaml:"permissions" doc:"Octal, quoted or not: 0600 and \"0600\" are rw-------. 0644 without it."`
	Container   string   `yaml:"container" is:"name" doc:"The service that sees the file; without it the console (and ssh)."`
	Append      bool     `yaml:"append" doc:"Add to the end of the file once instead of replacing it."`
	Defer       bool     `yaml:"defer" none:"files are written when users exist already" doc:"Write the file later."`
}

// Mount is an entry of mounts.
type Mount struct {
	Device, Path, Type, Options string
}

// Command is an entry of runcmd: a line for sh -c, or words without a shell.
type Command struct {
	Line  string
	Words []string // nil: Line
}

// NTP are the time servers.
type NTP struct {
	Enabled *bool    `yaml:"enabled" doc:"false: the service ntp is not started."`
	Servers []string `yaml:"servers" is:"host" doc:"Time servers to use instead of the built-in pool."`
	Pools   []string `yaml:"pools" is:"host" doc:"Names that stand for many time servers."`
}

// CACerts are certificate authorities.
type CACerts struct {
	Trusted        []string `yaml:"trusted" is:"certificate" doc:"Certificates in PEM."`
	RemoveDefaults bool     `yaml:"remove_defaults" also:"remove-defaults" doc:"Trust no others."`
}

// Swap is a swap file.
type Swap struct {
	Filename string `yaml:"filename" is:"path" doc:"The file, on the state disk; /var/swapfile without it."`
	Size     Size   `yaml:"size" doc:"Its size: a number of bytes, 512M, 1G, or auto (as much as there is memory, at most maxsize)."`
	MaxSize  Size   `yaml:"maxsize" doc:"The most that auto may take."`
}

// Growpart names partitions that grow.
type Growpart struct {
	Mode    string   `yaml:"mode" is:"growpart-mode" doc:"auto: grow them. off: leave them."`
	Devices []string `yaml:"devices" is:"growpart-device" doc:"/ (the state partition), or partitions (/dev/vdb1, LABEL=DATA)."`
}

// Power is what to do when the boot is done.
type Power struct {
	Mode      string  `yaml:"mode" is:"power-mode" doc:"reboot, poweroff or halt."`
	Delay     string  `yaml:"delay" is:"power-delay" doc:"now, or +minutes."`
	Message   string  `yaml:"message" is:"line" doc:"Text for those who are logged in."`
	Timeout   int     `yaml:"timeout" is:"seconds" none:"it is done last, when all commands of the boot have ended" doc:"Seconds to wait for the boot to end first."`
	Condition Command `yaml:"condition" doc:"true, false, or a command: only if it succeeds."`
}

// Rancher is the part of the config that RancherOS keeps apart.
type Rancher struct {
	Console                string              `yaml:"console" is:"name" when:"console" doc:"Where logins are: default, or the name of a console that ros console list shows. It is fetched if it is not on the machine; until it runs, logins are in the default one."`
	Environment            map[string]string   `yaml:"environment" when:"environment" doc:"Variables for services: they fill ${NAME} in service files and environment entries without a value. REGISTRY_DOMAIN is the registry of images whose name has none."`
	Services               map[string]Service  `yaml:"services" when:"services" doc:"System services, as in a Compose file (version 1 or later)."`
	ServicesInclude        map[string]bool     `yaml:"services_include" when:"services" doc:"Services to run (true) or not (false), by name or by a file below /var/lib/rancher."`
	BootstrapServices      map[string]Service  `yaml:"bootstrap" none:"PID 1 does what bootstrap containers did: modules, state disk, growing it" doc:"Containers run before the state disk is mounted."`
	CloudInitServices      map[string]Service  `yaml:"cloud_init_services" none:"the service datasource does what they did" doc:"Containers run to fetch the cloud-config."`
	BootstrapDocker        Opaque              `yaml:"bootstrap_docker" none:"there is no Docker at that point of the boot" doc:"Options of the Docker that ran bootstrap."`
	SystemDocker           Opaque              `yaml:"system_docker" none:"system services run in containerd, which has no such options" doc:"Options of the system Docker."`
	Docker                 Docker              `yaml:"docker" when:"docker" doc:"Options of the user's Docker."`
	CloudInit              CloudInit           `yaml:"cloud_init" when:"boot" doc:"Where the cloud-config is looked for."`
	Repositories           map[string]Repo     `yaml:"repositories" when:"use" doc:"Catalogs of service files. core is the one of the OS unless it is given another address."`
	Network                Network             `yaml:"network" when:"network" doc:"Addresses, routes, name servers, proxies."`
	Modules                []string            `yaml:"modules" is:"module" when:"modules" doc:"Kernel modules to load, with their parameters: nbd nbds_max=4."`
	Sysctl                 map[string]string   `yaml:"sysctl" is:"sysctl" when:"sysctl" doc:"Kernel settings, net.ipv4.ip_forward: 1."`
	SSH                    SSH                 `yaml:"ssh" when:"ssh" doc:"The ssh server."`
	State                  State               `yaml:"state" when:"kernel" doc:"The disk that keeps what must survive a reboot."`
	Install                Install             `yaml:"install" when:"boot" doc:"Install on a disk by itself when the live ISO has started; an installed machine leaves it alone."`
	Upgrade                Upgrade             `yaml:"upgrade" when:"use" doc:"Where upgrades come from, when they happen, and when they count."`
	RegistryAuths          map[string]Registry `yaml:"registry_auths" when:"registries" doc:"Logins to registries, by their host."`
	Defaults               Defaults            `yaml:"defaults" doc:"Values for keys that nothing else sets."`
	ResizeDevice           string              `yaml:"resize_device" is:"device" when:"boot" doc:"A disk whose first partition and its file system grow to the end of the disk, once."`
	RestartServices        []string            `yaml:"restart_services" is:"name" when:"boot" doc:"Services to restart once the datasource has been read."`
	Disable                []string            `yaml:"disable" is:"login-way" when:"logins" doc:"password, autologin: ways to log in that are closed, whatever else says."`
	Debug                  bool                `yaml:"debug" when:"log" doc:"More in the logs of rosd."`
	Log                    bool                `yaml:"log" none:"rosd always logs, to /var/log/ros" doc:"Log the boot."`
	Password               Password            `yaml:"password" is:"password" when:"logins" doc:"Password of rancher: a hash of crypt(5), or in clear."`
	Autologin              []string            `yaml:"autologin" is:"terminal" when:"logins" doc:"Terminals without a login prompt: tty1, ttyS0. On the command line it may be given once for each."`
	ShutdownTimeoutSeconds int                 `yaml:"shutdown_timeout" is:"shutdown-timeout" when:"power" doc:"Seconds that all services together have to stop."`
	HTTPLoadRetries        int                 `yaml:"http_load_retries" is:"count" none:"what services_include names is asked for until it is there; ros service enable asks once" doc:"How often a file is asked for again over HTTP."`
	PreloadWait            bool                `yaml:"preload_wait" none:"an image counts as loaded only when the engine has read all of it" doc:"Wait for preloaded images."`
	HypervisorService      bool                `yaml:"hypervisor_service" none:"no guest agent is started by itself; name it in services_include" doc:"Start the agent of the hypervisor."`
	Recovery               bool                `yaml:"recovery" also:"rescue" when:"kernel" doc:"Stop in the rescue shell."`
	RmUsr                  bool                `yaml:"rm_usr" none:"the OS image is not copied to the state disk" doc:"Copy /usr anew."`
	NoSharedRoot           bool                `yaml:"no_sharedroot" none:"mounts are shared where a service asks for it" doc:"Do not share mounts."`
	ForceConsoleRebuild    bool                `yaml:"force_console_rebuild" when:"console" doc:"Make the console anew whenever it starts: nothing that is written to its files stays, also where its own file says so. The default console is always like that."`
	Autoformat             Opaque              `yaml:"autoformat" none:"RancherOS had the key and did nothing with it; use rancher.state.autoformat" doc:"Disks to format."`
	SELinux                Opaque              `yaml:"selinux" none:"services are confined by capabilities, seccomp and read-only roots" doc:"SELinux."`
}

// Docker are options of dockerd, in RancherOS's words.
type Docker struct {
	Engine         string            `yaml:"engine" is:"image" when:"engine" doc:"The engine to run: docker (of the OS), the name of one in a catalog, an image, or none. One that is not on the machine yet is fetched; docker runs meanwhile, and also when it does not start at boot."`
	Bridge         string            `yaml:"bridge" is:"line" doc:"Network bridge of containers; none for no bridge."`
	BIP            string            `yaml:"bip" is:"cidr" doc:"Address of the bridge docker0, 172.17.42.1/16."`
	ConfigFile     string            `yaml:"config_file" none:"dockerd's options are put together from this config" doc:"dockerd's config file."`
	Containerd     string            `yaml:"containerd" none:"dockerd has a containerd of its own, in the service docker-containerd" doc:"containerd's socket."`
	Debug          bool              `yaml:"debug" doc:"dockerd says more in its log."`
	Exec           bool              `yaml:"exec" none:"it belongs to RancherOS's system Docker" doc:"Become dockerd."`
	ExecRoot       string            `yaml:"exec_root" none:"it is fixed: /run/docker" doc:"Where dockerd keeps what lasts until reboot."`
	Group          string            `yaml:"group" is:"account" doc:"Group that may use the socket."`
	Graph          string            `yaml:"graph" also:"data_root" none:"it is fixed: /var/lib/docker; an entry of mounts with the option bind puts it elsewhere" doc:"Where images and containers are kept."`
	Host           []string          `yaml:"host" is:"docker-host" doc:"What dockerd listens on besides /run/docker.sock: tcp://0.0.0.0:2376."`
	InsecureReg    []string          `yaml:"insecure_registry" is:"line" doc:"Registries without (good) TLS; for images of system services too."`
	LiveRestore    bool              `yaml:"live_restore" doc:"Containers go on while dockerd restarts. On unless it is set to false."`
	LogDriver      string            `yaml:"log_driver" is:"name" doc:"Log driver of containers."`
	LogOpts        map[string]string `yaml:"log_opts" doc:"Its options."`
	PidFile        string            `yaml:"pid_file" none:"dockerd writes none" doc:"File for dockerd's process number."`
	RegistryMirror Words             `yaml:"registry_mirror" is:"url" doc:"Mirror of Docker Hub; a list for more than one. For images of system services too."`
	Restart        *bool             `yaml:"restart" none:"restart policies of containers decide" doc:"Restart containers with dockerd."`
	SELinuxEnabled *bool             `yaml:"selinux_enabled" none:"there is no SELinux here" doc:"SELinux for containers."`
	StorageDriver  string            `yaml:"storage_driver" is:"name" doc:"Storage driver of images."`
	UserlandProxy  *bool             `yaml:"userland_proxy" none:"there is no program for it in the image; the kernel forwards published ports" doc:"A process for each published port."`
	UsernsEnabled  *bool             `yaml:"userns_enabled" doc:"Users of containers are other users on the machine (userns-remap)."`
	TLS            bool              `yaml:"tls" doc:"Listen on port 2376, with TLS, for clients with a certificate."`
	TLSArgs        []string          `yaml:"tls_args" is:"line" doc:"Arguments of dockerd with tls instead of the usual ones."`
	Args           []string          `yaml:"args" is:"line" none:"RancherOS had the key and did nothing with it; use extra_args" doc:"All arguments of dockerd."`
	ExtraArgs      []string          `yaml:"extra_args" is:"line" doc:"More arguments of dockerd."`
	ServerCert     Secret            `yaml:"server_cert" doc:"Certificate of dockerd, PEM."`
	ServerKey      Secret            `yaml:"server_key" doc:"Its key, PEM."`
	CACert         Secret            `yaml:"ca_cert" doc:"Certificate of those whose clients may connect, PEM."`
	CAKey          Secret            `yaml:"ca_key" when:"use" doc:"Its key, PEM, with which \"ros tls gen\" signs; dockerd does not need it."`
	Environment    []string          `yaml:"environment" is:"variable" doc:"Environment of dockerd: NAME=value."`
	StorageContext string            `yaml:"storage_context" none:"Docker does not live in the console here" doc:"The container whose files dockerd sees."`
}

// Service is a service as Compose has it; package compose reads it.
type Service struct{ YAML []byte }

// Opaque is accepted and not looked at.
type Opaque struct{ YAML []byte }

// CloudInit says where to look for a cloud-config.
type CloudInit struct {
	Datasources []string `yaml:"datasources" is:"datasource" doc:"Datasources to ask, such as ec2 or url:http://…; without it those that disks and DMI name."`
	IMDSv1      bool     `yaml:"imdsv1" doc:"Ask EC2's metadata service the old way when it refuses the new one."`
	Timeout     int      `yaml:"timeout" is:"seconds" doc:"Seconds for all datasources together, with what their user-data includes; 300 without it."`
}

// Repo is a catalog of service files.
type Repo struct {
	URL string `yaml:"url" doc:"Its address, a folder of the machine, or oci:// and an artifact."`
	Key string `yaml:"key" is:"lines" doc:"A public key (PEM): the index has to be signed by it."`
}

// Network is the network of the machine.
type Network struct {
	PreCmds            []Command            `yaml:"pre_cmds" doc:"Commands run before any link is set up."`
	PostCmds           []Command            `yaml:"post_cmds" doc:"Commands run after all links are set up."`
	DHCPTimeoutSeconds int                  `yaml:"dhcp_timeout" is:"seconds" doc:"Seconds to wait for a lease before a link goes on without."`
	DNS                DNS                  `yaml:"dns" doc:"Name servers; they go before those of DHCP."`
	HTTPProxy          string               `yaml:"http_proxy" is:"proxy" when:"environment" doc:"Proxy of Docker, logins, services that name it in their environment, catalogs, releases, and the datasource for addresses that somebody gave it."`
	HTTPSProxy         string               `yaml:"https_proxy" is:"proxy" when:"environment" doc:"The same for https."`
	NoProxy            string               `yaml:"no_proxy" is:"line" when:"environment" doc:"Hosts that are reached without it."`
	Interfaces         map[string]Interface `yaml:"interfaces" doc:"Links, by name (eth0), pattern (eth*) or any name with match. Without any, every Ethernet link uses DHCP; with some, a link that none matches is left alone."`
	WifiNetworks       map[string]Opaque    `yaml:"wifi_networks" none:"this version has no Wi-Fi" doc:"Wi-Fi networks."`
	ModemNetworks      map[string]Opaque    `yaml:"modem_networks" none:"this version has no modems" doc:"Mobile networks."`
}

// DNS is how names are resolved.
type DNS struct {
	Nameservers []string `yaml:"nameservers" is:"ip" doc:"Name servers."`
	Search      []string `yaml:"search" is:"domain" doc:"Domains that short names are looked for in."`
}

// Interface is what is wanted of the links it matches. An exact name goes
// before a pattern, match: mac= before both; among patterns the longest wins.
type Interface struct {
	Match       string            `yaml:"match" is:"line" doc:"mac=52:54:* or a pattern of names; without it the key."`
	DHCP        *bool             `yaml:"dhcp" doc:"Ask for IPv4 and IPv6 addresses; true unless there is an address."`
	DHCPArgs    string            `yaml:"dhcp_args" none:"dhcpcd's arguments are not RancherOS's; use the other keys" doc:"Command line of dhcpcd."`
	Address     string            `yaml:"address" is:"cidr" doc:"An address, 192.168.1.10/24."`
	Addresses   []string          `yaml:"addresses" is:"cidr" doc:"More of them, IPv4 or IPv6."`
	IPv4LL      bool              `yaml:"ipv4ll" doc:"An address of 169.254.0.0/16 when there is no other."`
	Gateway     string            `yaml:"gateway" is:"ipv4" doc:"Default route of IPv4."`
	GatewayIPv6 string            `yaml:"gateway_ipv6" is:"ipv6" doc:"Default route of IPv6."`
	Routes      []Route           `yaml:"routes" doc:"More routes."`
	MTU         int               `yaml:"mtu" is:"mtu" doc:"Largest packet, in bytes."`
	PreUp       []Command         `yaml:"pre_up" doc:"Commands run before the link is set up; $iface is its name."`
	PostUp      []Command         `yaml:"post_up" doc:"Commands run after it; $iface is its name."`
	Bridge      string            `yaml:"bridge" none:"this version makes no bridges" doc:"true: make it a bridge. A name: put it into that bridge."`
	Bond        string            `yaml:"bond" none:"this version makes no bonds" doc:"The bond it is part of."`
	BondOpts    map[string]string `yaml:"bond_opts" none:"this version makes no bonds" doc:"Options of the bond."`
	VLANs       string            `yaml:"vlans" none:"this version makes no VLANs" doc:"VLANs on the link, 100,200:name."`
	WifiNetwork string            `yaml:"wifi_network" none:"this version has no Wi-Fi" doc:"The Wi-Fi network it joins."`
}

// Route is a route besides the default ones.
type Route struct {
	To     string `yaml:"to" is:"cidr" needed:"yes" doc:"Where to."`
	Via    string `yaml:"via" is:"ip" doc:"The next hop."`
	Metric int    `yaml:"metric" is:"count" doc:"The lowest wins."`
}

// SSH is the ssh server.
type SSH struct {
	Keys          map[string]Secret `yaml:"keys" doc:"Host keys: rsa, ecdsa, ed25519 (private) and rsa-pub and so on. Those that are missing are made and kept on the state disk."`
	Daemon        *bool             `yaml:"daemon" doc:"false: no ssh server."`
	Port          int               `yaml:"port" is:"port" doc:"Its port; 22 without it."`
	ListenAddress string            `yaml:"listen_address" is:"ip" doc:"The one address it listens on."`
}

// State is the disk that keeps what must survive a reboot.
type State struct {
	Dev        string   `yaml:"dev" is:"state-device" doc:"The disk: LABEL=RANCHER_STATE, /dev/vda1; none leaves every disk alone and keeps the state in memory."`
	FSType     string   `yaml:"fstype" is:"name" none:"the file system is recognised" doc:"Its file system."`
	Directory  string   `yaml:"directory" is:"directory" doc:"Keep the state below this directory of the disk."`
	Wait       bool     `yaml:"wait" doc:"Wait for the disk to appear."`
	Required   bool     `yaml:"required" doc:"Stop in the rescue shell rather than go on in memory."`
	Autoformat []string `yaml:"autoformat" is:"disk" doc:"Disks that may be formatted when there is no state disk and they are empty."`
	FormatZero bool     `yaml:"formatzero" none:"a disk is empty when nothing is found on it, zeros or not" doc:"Format disks that begin with zeros."`
	MdadmScan  bool     `yaml:"mdadm_scan" none:"this version knows no RAID" doc:"Assemble RAID arrays."`
	LvmScan    bool     `yaml:"lvm_scan" none:"this version knows no LVM" doc:"Activate volume groups."`
	Cryptsetup bool     `yaml:"cryptsetup" none:"this version knows no encrypted disks" doc:"Open LUKS devices."`
	RngD       bool     `yaml:"rngd" none:"the kernel seeds itself" doc:"Feed the random number generator."`
	Script     string   `yaml:"script" is:"text" none:"nothing of the user's runs before the state disk is mounted; use bootcmd" doc:"A script run before the disk is mounted."`
	OEMFSType  string   `yaml:"oem_fstype" is:"name" none:"the file system is recognised" doc:"File system of the OEM partition."`
	OEMDev     string   `yaml:"oem_dev" is:"device" doc:"The OEM partition, LABEL=RANCHER_OEM."`
	BootFSType string   `yaml:"boot_fstype" is:"name" none:"the boot partition is not mounted" doc:"File system of the boot partition."`
	BootDev    string   `yaml:"boot_dev" is:"device" none:"the boot partition is not mounted" doc:"The boot partition."`
}

// Install is an order to the live ISO.
type Install struct {
	Device   string `yaml:"device" is:"disk" doc:"The disk: /dev/vda, /dev/disk/by-id/… It must be empty. The config that the datasource found goes along."`
	Append   string `yaml:"append" is:"line" doc:"Arguments for the kernel of the installed machine."`
	Force    bool   `yaml:"force" doc:"Also on a disk with something on it, which is lost. What this same order has installed is left alone."`
	NoReboot bool   `yaml:"no_reboot" doc:"Go on with the live system when it is done, rather than restart."`
	PowerOff bool   `yaml:"poweroff" doc:"Turn the power off when it is done."`
}

// Upgrade is where upgrades come from, when they happen, and when they count.
type Upgrade struct {
	URL                 string   `yaml:"url" is:"line" doc:"The list of releases (releases.yml): an address, or a path on this machine."`
	Image               string   `yaml:"image" is:"line" doc:"The repository that a bare version is a tag of: with registry.example.com/os, \"ros os upgrade v1.2\" takes registry.example.com/os:v1.2."`
	Policy              string   `yaml:"policy" is:"upgrade-policy" doc:"none: upgrades happen by hand. download: a new current release is written to the other slot. auto: and tried, inside the window."`
	Window              string   `yaml:"window" is:"window" doc:"When a machine with policy auto may restart, in its own time zone (timezone; UTC without): 02:00-04:00, Sat,Sun 22:00-05:00. Any time without it."`
	JitterSeconds       int      `yaml:"jitter" is:"seconds" doc:"Upgrades of one list are spread over this many seconds, each machine at its own moment: the download, and inside the window the restart."`
	IntervalSeconds     int      `yaml:"interval" is:"interval" doc:"Seconds between two looks at the list."`
	CommitWindowSeconds int      `yaml:"commit_window" is:"seconds" doc:"Seconds that all required services must have been healthy before a release on trial is committed; less than deadline."`
	DeadlineSeconds     int      `yaml:"deadline" is:"interval" doc:"Seconds after which a release on trial that is not committed is given up, counted from the start of its kernel; more than commit_window."`
	TrustedKeys         []string `yaml:"trusted_keys" is:"public-key" doc:"Public keys (PEM, as cosign makes them) whose releases are taken, besides those in the OS image."`
	Insecure            []string `yaml:"insecure_registry" is:"line" doc:"Registries that releases are fetched from without TLS: 192.168.1.2:5000."`
	Rollback            string   `yaml:"rollback" is:"line" none:"RancherOS had the key and did nothing with it" doc:"The release to go back to."`
}

// Registry is a login to a registry.
type Registry struct {
	Username      string `yaml:"username" is:"line" doc:"User."`
	Password      Secret `yaml:"password" doc:"Password."`
	Email         string `yaml:"email" is:"line" none:"registries ask for none" doc:"Mail address."`
	Auth          Secret `yaml:"auth" doc:"base64 of user:password, as in Docker's config.json."`
	ServerAddress string `yaml:"server_address" also:"serveraddress" is:"line" none:"the key of the entry says it" doc:"Address of the registry."`
	IdentityToken Secret `yaml:"identity_token" also:"identitytoken" doc:"Token of the registry's login."`
	RegistryToken Secret `yaml:"registry_token" also:"registrytoken" doc:"Token for the registry itself."`
}

// Defaults are values for keys that nothing else sets.
type Defaults struct {
	Hostname         string          `yaml:"hostname" is:"hostname" when:"hostname" doc:"Name of the machine when neither the config nor the network gives one."`
	Docker           DefaultsDocker  `yaml:"docker" when:"engine" doc:"Defaults of rancher.docker."`
	Network          DefaultsNetwork `yaml:"network" when:"network" doc:"Defaults of rancher.network."`
	SystemDockerLogs string          `yaml:"system_docker_logs" is:"path" none:"logs of services are in /var/log/ros" doc:"Log of the system Docker."`
}

// DefaultsDocker names an engine.
type DefaultsDocker struct {
	Engine string `yaml:"engine" is:"image" doc:"The engine to run when rancher.docker.engine says nothing."`
}

// DefaultsNetwork is used when neither the config nor DHCP says anything.
type DefaultsNetwork struct {
	DHCPTimeoutSeconds int `yaml:"dhcp_timeout" is:"seconds" doc:"See rancher.network.dhcp_timeout."`
	DNS                DNS `yaml:"dns" doc:"Name servers when there are no others."`
}

// Words is a list of texts that may also be written as one text with commas.
type Words []string

// EtcHosts is "true", "false" or "localhost".
type EtcHosts string

// Sudo are rules of sudoers(5) for an account, without its name in front.
type Sudo []string

// FileMode are permissions, octal as written. Zero: not given.
type FileMode uint32

// Size is a number of bytes; -1: auto.
type Size int64

// Secret is a text that is shown to root only. Printing it shows "(hidden)".
type Secret string

// String keeps secrets out of everything printed; string(s) has the text.
func (s Secret) String() string { return Password(s).String() }

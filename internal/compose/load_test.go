package compose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
)

// full is a service with every supported key.
var full = strings.ReplaceAll(`
name: example
x-anything: {goes: here}
volumes:
  data:
  bound: {name: other, driver: local, driver_opts: {type: none, o: bind, device: /srv/data}}
configs:
  page: {file: ./page.html, name: no-effect, labels: {no: effect}}
  greeting: {content: "hello $SET\n"}
secrets:
  word: {environment: SET}
networks:
  back:
    name: behind
    driver: bridge
    internal: true
    attachable: false
    enable_ipv4: true
    enable_ipv6: false
    labels: {a: b}
    ipam: {driver: default, config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.254}]}
services:
  everything:
    image: ros/ntp
    entrypoint: [/usr/bin/env, -i]
    command: chronyd -d "a b"
    environment: {ZONE: UTC, DEBUG: 1, ON: true, SET: }
    env_file: [web.env, {path: web.raw, format: raw, required: true}]
    label_file: web.labels
    annotations: [org.example.rank=5]
    platform: linux/%ARCH%
    profiles: [every, other]
    container_name: everything
    attach: false
    scale: 1
    userns_mode: host
    device_cgroup_rules: ["c 188:* rw"]
    mem_reservation: 32m
    memswap_limit: 96m
    cpuset: "0-1"
    configs: [page, {source: greeting, target: /etc/greeting, uid: "5", gid: "6", mode: 0440}]
    secrets: [word, {source: word, target: again, uid: "5", gid: "6", mode: 0400}]
    working_dir: /srv/
    user: "1201:1201"
    group_add: [dialout, 1101]
    hostname: clock
    tty: true
    labels: [a=b, "c="]
    networks:
      back: {aliases: [time, clock.lan], ipv4_address: 10.9.0.5, mac_address: "02:00:00:00:00:05", interface_name: lan0}
      default:
    ports:
      - "123:123/udp"
      - 127.0.0.1:8000-8001:80-81
      - {target: 443, published: "8443", host_ip: 127.0.0.1, protocol: tcp, mode: ingress, name: web, app_protocol: https}
    expose: ["3000", 4000-4010/udp]
    extra_hosts: ["machine:host-gateway", "dns=9.9.9.9"]
    dns: 9.9.9.9
    dns_search: [example.com]
    dns_opt: [use-vc]
    pid: host
    ipc: host
    cgroup: host
    privileged: true
    cap_drop: [ALL]
    cap_add: [CAP_SYS_TIME, net_bind_service]
    security_opt: ["no-new-privileges:false", seccomp=unconfined]
    read_only: true
    volumes:
      - bound:/bound:z
      - type: volume
        source: data
        target: /again
        consistency: cached
        volume: {nocopy: true, labels: [a=b]}
      - /etc/ntp:/etc/ntp:ro,rslave
      - ./conf:/conf
      - data:/var/lib/ntp
      - type: bind
        source: /dev
        target: /dev
        bind: {create_host_path: false, propagation: rshared, selinux: z}
      - type: tmpfs
        target: /big
        read_only: true
        tmpfs: {size: 64m, mode: 0o1777}
    tmpfs:
      - /run/chrony
      - /run/lock:size=1m,mode=755
    devices:
      - /dev/rtc0
      - /dev/ppsa:/dev/pps0:r
      - {source: /dev/kvm, target: /dev/kvm, permissions: rw}
    sysctls: {net.ipv4.ip_forward: 1}
    ulimits: {nofile: {soft: 1024, hard: 4096}, core: -1}
    mem_limit: 64m
    pids_limit: 32
    cpus: 0.5
    cpu_shares: 512
    oom_score_adj: -500
    deploy:
      mode: replicated
      replicas: 1
      resources: {limits: {memory: 64m, cpus: "0.5", pids: 32}, reservations: {memory: 32m}}
      restart_policy: {condition: on-failure, max_attempts: 3}
    depends_on:
      udev: {condition: service_completed_successfully}
      network: {condition: service_healthy, required: false, restart: true}
    healthcheck: {test: [CMD, chronyc, tracking], interval: 60s, timeout: 5s, retries: 2, start_period: 1m30s, start_interval: 1s}
    restart: on-failure:5
    stop_signal: INT
    stop_grace_period: 5s
    logging: {driver: local, options: {max-size: 2m, max-file: "4"}}
    x-ros: {scope: system, required: true, start: last, persistent: true, reload-config: true, privileged-reason: it is a test}
    x-other: {ignored: true}
`, "%ARCH%", runtime.GOARCH)

func TestParseEverything(t *testing.T) {
	beside := compose.Kept{
		"/etc/s/web.env": []byte("ZONE=file\nFROM_FILE=two words\n"), "/etc/s/web.raw": []byte("RAW=$as 'it' is\n"),
		"/etc/s/web.labels": []byte("a=file\nfile=yes\n"), "/etc/s/page.html": []byte("page"),
	}
	services, faults := compose.ParseIn("/etc/s/x.yml", []byte(full), compose.Setting{Env: given.Env, Files: beside.Read})
	if len(faults) > 0 {
		t.Fatalf("Parse faults = %v, want none", faults)
	}
	want := []compose.Service{{
		Name: "everything", File: "/etc/s/x.yml", Line: 23, Scope: compose.ScopeSystem, Required: true, StartLast: true, ReloadConfig: true, Persistent: true,
		Image: "ros/ntp", Entrypoint: []string{"/usr/bin/env", "-i"}, Command: []string{"chronyd", "-d", "a b"},
		Env: []string{"DEBUG=1", "FROM_FILE=two words", "ON=true", "RAW=$as 'it' is", "SET=set", "ZONE=UTC"}, WorkingDir: "/srv", User: "1201:1201", GroupAdd: []string{"dialout", "1101"},
		Hostname: "clock", TTY: true, Labels: map[string]string{"a": "b", "c": "", "file": "yes"},
		Annotations: map[string]string{"org.example.rank": "5"},
		NetworkMode: "bridge",
		Networks: []compose.Attachment{
			{Network: compose.Network{Name: "behind", Internal: true, Subnet: "10.9.0.0/24", Gateway: "10.9.0.254"}, Aliases: []string{"time", "clock.lan"}, IPv4: "10.9.0.5", MAC: "02:00:00:00:00:05", Interface: "lan0"},
			{Network: compose.Network{Name: "example_default"}},
		},
		Ports: []compose.Port{
			{Published: 123, Target: 123, Protocol: "udp"}, {HostIP: "127.0.0.1", Published: 8000, Target: 80, Protocol: "tcp"},
			{HostIP: "127.0.0.1", Published: 8001, Target: 81, Protocol: "tcp"}, {HostIP: "127.0.0.1", Published: 8443, Target: 443, Protocol: "tcp"},
		},
		ExtraHosts: []compose.Host{{Name: "dns", Address: "9.9.9.9"}, {Name: "machine", Address: compose.HostGateway}},
		DNS:        []string{"9.9.9.9"}, DNSSearch: []string{"example.com"}, DNSOpt: []string{"use-vc"},
		PidMode: "host", IpcMode: "host", CgroupMode: "host", Privileged: true, PrivilegedWhy: "it is a test",
		CapAdd: []string{"NET_BIND_SERVICE", "SYS_TIME"}, CapDrop: []string{"ALL"}, Seccomp: "unconfined", ReadOnly: true,
		Mounts: []compose.Mount{
			{Type: "volume", Source: "other", Target: "/bound", Device: "/srv/data"},
			{Type: "volume", Source: "data", Target: "/again"},
			{Type: "bind", Source: "/etc/ntp", Target: "/etc/ntp", ReadOnly: true, Propagation: "rslave", CreateHost: true},
			{Type: "bind", Source: "/etc/s/conf", Target: "/conf", CreateHost: true},
			{Type: "volume", Source: "data", Target: "/var/lib/ntp"},
			{Type: "bind", Source: "/dev", Target: "/dev", Propagation: "rshared"},
			{Type: "tmpfs", Target: "/big", ReadOnly: true, Size: 64 << 20, Mode: 0o1777},
			{Type: "tmpfs", Target: "/run/chrony"},
			{Type: "tmpfs", Target: "/run/lock", Size: 1 << 20, Mode: 0o755},
		},
		Files: []compose.File{
			{Source: "configs.page", Target: "/page", Mode: 0o444, Text: []byte("page")},
			{Source: "configs.greeting", Target: "/etc/greeting", UID: 5, GID: 6, Mode: 0o440, Text: []byte("hello set\n")},
			{Source: "secrets.word", Target: "/run/secrets/word", Mode: 0o444, Text: []byte("set")},
			{Source: "secrets.word", Target: "/run/secrets/again", UID: 5, GID: 6, Mode: 0o400, Text: []byte("set")},
		},
		DeviceRules: []string{"c 188:* rw"}, MemoryLow: 32 << 20, MemorySwap: 96 << 20, CPUSet: "0-1",
		Devices: []compose.Device{
			{Host: "/dev/rtc0", Container: "/dev/rtc0", Permissions: "rwm"},
			{Host: "/dev/ppsa", Container: "/dev/pps0", Permissions: "r"},
			{Host: "/dev/kvm", Container: "/dev/kvm", Permissions: "rw"},
		},
		Sysctls: map[string]string{"net.ipv4.ip_forward": "1"},
		Ulimits: []compose.Ulimit{{Name: "core", Soft: -1, Hard: -1}, {Name: "nofile", Soft: 1024, Hard: 4096}},
		// Given under both names, with the same values.
		MemoryBytes: 64 << 20, PidsLimit: 32, CPUs: 0.5, CPUShares: 512, OOMScoreAdj: -500,
		DependsOn: []compose.Dependency{
			{Service: "network", Condition: compose.Healthy, Restart: true, Line: 108},
			{Service: "udev", Condition: compose.Completed, Required: true, Line: 107},
		},
		Healthcheck: &compose.Healthcheck{Test: []string{"chronyc", "tracking"}, Interval: time.Minute, Timeout: 5 * time.Second,
			Retries: 2, StartPeriod: 90 * time.Second, StartInterval: time.Second},
		Restart: compose.Restart{Mode: compose.RestartOnFailure, MaxRetries: 5}, StopSignal: "SIGINT", StopGracePeriod: 5 * time.Second,
		LogMaxBytes: 2 << 20, LogFiles: 4,
	}}
	if diff := cmp.Diff(want, services); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestParseDefaults(t *testing.T) {
	services, faults := compose.Parse("cron.yml", []byte("services: {cron: {image: ros/cron, x-ros: {scope: system}, healthcheck: {test: pgrep cron, interval: 2s}}}"), nil)
	if len(faults) > 0 {
		t.Fatalf("Parse faults = %v, want none", faults)
	}
	want := []compose.Service{{
		Name: "cron", File: "cron.yml", Line: 1, Scope: compose.ScopeSystem, Image: "ros/cron",
		NetworkMode: "host", NoNewPrivileges: true,
		Healthcheck: &compose.Healthcheck{Test: []string{"/bin/sh", "-c", "pgrep cron"}, Interval: 2 * time.Second,
			Timeout: 30 * time.Second, Retries: 3, StartInterval: 2 * time.Second},
		Restart: compose.Restart{Mode: compose.RestartNo}, StopSignal: "SIGTERM", StopGracePeriod: 10 * time.Second,
		LogMaxBytes: 1 << 20, LogFiles: 3,
	}}
	if diff := cmp.Diff(want, services); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

// TestParseFile is about files as a whole: which services come out of them
// and what is said about the rest.
func TestParseFile(t *testing.T) {
	const good = "\n  good: {image: ros/good, x-ros: {scope: system}}\n"
	for _, tt := range []struct {
		name, file string
		env        map[string]string
		services   string // names that can be used
		faults     []string
	}{
		{name: "empty", file: "", faults: []string{`x.yml: is empty`}},
		{name: "comments only", file: "# nothing\n", faults: []string{`x.yml: is empty`}},
		{name: "null", file: "~\n", faults: []string{`x.yml: is empty`}},
		{name: "a list", file: "- a\n", faults: []string{`x.yml:1: must be a mapping ("key: value" on its first line)`}},
		{name: "binary", file: "\x7fELF\x00\x01", faults: []string{`x.yml: is not text (YAML in UTF-8)`}},
		{name: "latin-1", file: "name: caf\xe9\n", faults: []string{`x.yml: is not text (YAML in UTF-8)`}},
		{name: "control character", file: "name: \x07\n", faults: []string{`x.yml: is not valid YAML: control characters are not allowed (at byte 6)`}},
		{name: "tab", file: "services:\n\tntp:\n", faults: []string{`x.yml:2: is not valid YAML: a tab in the indentation, where only spaces may be`}},
		{name: "not closed", file: "services: {\n", faults: []string{`x.yml:1: is not valid YAML: did not find expected node content`}},
		{name: "two documents", file: "services: {}\n---\nservices: {}\n", faults: []string{`x.yml:2: has more than one YAML document ("---"): write one file for each`}},
		{name: "too large", file: strings.Repeat("#", 1<<20+1), faults: []string{`x.yml: is larger than 1 MiB`}},
		{name: "no services", file: "servces:\n  a: {image: b}\n", faults: []string{`x.yml: has no "services"`, `x.yml:1: servces: unknown key (did you mean "services"?)`}},
		{name: "services empty", file: "services: {}\n", faults: []string{`x.yml: has no service under "services"`}},
		{name: "services null", file: "services:\n", faults: []string{`x.yml:1: services: must be a mapping (name of a service: its keys)`}},
		{name: "CRLF", file: "services:\r\n  good:\r\n    image: ros/good\r\n    x-ros: {scope: system}\r\n", services: "good"},
		{name: "BOM", file: "\ufeffservices:" + good, services: "good"},
		{name: "version means nothing", file: "version: '3.8'\nservices:" + good, services: "good"},

		{name: "one bad service costs one service", file: "services:\n  bad: {image: x, imge: y, x-ros: {scope: system}}" + good, services: "good",
			faults: []string{`x.yml:2: services.bad.imge: unknown key (did you mean "image"?)`}},
		{name: "service is no mapping", file: "services:\n  bad: ros/bad" + good, services: "good",
			faults: []string{`x.yml:2: services.bad: must be a mapping (key: value)`}},
		{name: "key twice", file: "services:\n  bad:\n    image: a\n    image: b\n    x-ros: {scope: system}" + good, services: "good",
			faults: []string{`x.yml:4: services.bad.image: is given twice, first on line 3`}},
		{name: "service twice", file: "services:\n  bad: {image: a, x-ros: {scope: system}}\n  bad: {image: b, x-ros: {scope: system}}" + good, services: "good",
			faults: []string{`x.yml:3: services.bad: is given twice, first on line 2`}},
		{name: "tag", file: "services:\n  bad: {image: !reset x, x-ros: {scope: system}}" + good, services: "good",
			faults: []string{`x.yml:2: services.bad.image: tag "!reset" has no meaning here`}},
		{name: "key is a number", file: "services:\n  bad: {1: x, image: y, x-ros: {scope: system}}" + good, services: "good",
			faults: []string{`x.yml:2: services.bad.1: a key must be text: write "1" in quotes`, `x.yml:2: services.bad.1: unknown key`}},
		{name: "bad name", file: "services:\n  a/b: {image: x, x-ros: {scope: system}}" + good, services: "good",
			faults: []string{`x.yml:2: services.a/b: a service name has at most 64 letters, digits and single . _ - between them`}},
		{name: "reserved name", file: "services:\n  rosd: {image: x, x-ros: {scope: system}}" + good, services: "good",
			faults: []string{`x.yml:2: services.rosd: the OS itself uses this name`}},

		{name: "a bad key of the file costs the file", file: "network: {}\nservices:" + good,
			faults: []string{`x.yml:1: network: unknown key (did you mean "networks"?)`, `x.yml:3: services.good: the file cannot be used: line 1: network: unknown key (did you mean "networks"?)`}},
		{name: "key of the file twice", file: "name: a\nname: b\nservices:" + good,
			faults: []string{`x.yml:2: name: is given twice, first on line 1`, `x.yml:4: services.good: the file cannot be used: line 2: name: is given twice, first on line 1`}},
		{name: "models with system services only", file: "models: {}\nservices:" + good,
			faults: []string{`x.yml:1: models: is not supported: no service in this file has the scope "user"`,
				`x.yml:3: services.good: the file cannot be used: line 1: models: is not supported: no service in this file has the scope "user"`}},
		{name: "x-ros of the file", file: "x-ros: {scope: system}\nservices:" + good,
			faults: []string{`x.yml:1: x-ros: belongs to a service, not to the file`,
				`x.yml:3: services.good: the file cannot be used: line 1: x-ros: belongs to a service, not to the file`}},

		{name: "services of the user's engine are only noted", services: "db web good",
			file: "networks: {back: {}}\nservices:\n  db: {image: postgres, networks: [back], ports: ['5432']}\n  web: {build: ., x-ros: {scope: user}, nonsense: 1}" + good},
		{name: "RancherOS scope is not silently dropped", file: "services:\n  a: {image: x, labels: {io.rancher.os.scope: system}}\n  b: {image: x, labels: [io.rancher.os.after=network]}\n",
			faults: []string{`x.yml:2: services.a.labels.io.rancher.os.scope: label "io.rancher.os.scope" has no effect: use x-ros, depends_on and restart`,
				`x.yml:3: services.b.labels[0]: label "io.rancher.os.after" has no effect: use x-ros, depends_on and restart`}},
		{name: "misspelt x-ros", file: "services:\n  a: {image: x, x-rso: {scope: system}}\n",
			faults: []string{`x.yml:2: services.a.x-rso: unknown key (did you mean "x-ros"?)`}},

		{name: "anchors and merge keys", services: "a b", file: "x-common: &common {image: ros/c, x-ros: {scope: system}}\nservices:\n  a: {<<: *common}\n  b: {<<: *common, image: ros/b}\n"},
		{name: "fault inside a merged mapping is said where it stands", file: "x-common: &common\n  image: ros/c\n  x-ros: {scope: system}\n  ports: [80]\nservices:\n  a: {<<: *common}\n",
			faults: []string{`x.yml:4: services.a.ports[0]: "80" has no port of the machine: write PUBLISHED:TARGET`}},
		{name: "merging a scalar", file: "services:\n  a: {<<: 5, image: x, x-ros: {scope: system}}\n",
			faults: []string{`x.yml:2: services.a.<<: must be an alias of a mapping, or a list of them`}},
		{name: "mapping that merges itself", services: "a", file: "services:\n  a: &a {image: x, x-ros: {scope: system}, <<: *a}\n"},
		{name: "unknown anchor", file: "services: *a\n", faults: []string{`x.yml:1: is not valid YAML: unknown anchor 'a' referenced`}},
		{name: "nested without end", file: "x-deep: " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\nservices:" + good,
			faults: []string{fmt.Sprintf("x.yml:1: x-deep%s: is nested deeper than 50 levels", strings.Repeat("[0]", 50)),
				fmt.Sprintf("x.yml:3: services.good: the file cannot be used: line 1: x-deep%s: is nested deeper than 50 levels", strings.Repeat("[0]", 50))}},

		{name: "variables", env: map[string]string{"TAG": "1.2"}, services: "a",
			file: "services:\n  a: {image: 'ros/a:${TAG}', command: ['${NONE:-x}', '$$HOME', $TAG], mem_limit: '${MEM-64m}', tty: '${TTY:-true}', x-ros: {scope: system}}\n"},
		{name: "variable not set", file: "services:\n  a: {image: 'ros/a:$TAG', user: '${UID:?who}', command: 'a ${', x-ros: {scope: system}}\n",
			faults: []string{`x.yml:2: services.a.image: variable $TAG is not set: write ${NAME:-value} for a default, or $$ for a dollar sign`,
				`x.yml:2: services.a.user: required variable UID is missing a value: who`,
				`x.yml:2: services.a.command: "a ${" is no variable: write $$ for a dollar sign`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			services, faults := compose.Parse("x.yml", []byte(tt.file), tt.env)
			var names []string
			for _, s := range services {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); got != tt.services {
				t.Errorf("usable services = %q, want %q", got, tt.services)
			}
			if diff := cmp.Diff(tt.faults, text(faults)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVariablesAreFilledIn(t *testing.T) {
	services, faults := compose.Parse("x.yml", []byte("services:\n  a: {image: 'ros/a:${TAG}', command: ['${NONE:-x}', '$$HOME', $TAG], mem_limit: '${MEM-64m}', tty: '${TTY:-true}', x-ros: {scope: system}}\n"), map[string]string{"TAG": "1.2"})
	if len(faults) > 0 {
		t.Fatalf("faults = %v, want none", faults)
	}
	got := fmt.Sprint(services[0].Image, services[0].Command, services[0].MemoryBytes, services[0].TTY)
	if want := "ros/a:1.2[x $HOME 1.2] 67108864 true"; got != want {
		t.Errorf("service = %s, want %s", got, want)
	}
}

// An alias bomb and a file of junk cost a moment and a bounded report.
func TestHostileFiles(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("x-a: &a0 {K0: v, image: x}\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&bomb, "x-a%d: &a%d {<<: [%s], K%d: v}\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "), i)
	}
	bomb.WriteString("services:\n  a: {image: x, environment: *a59, x-ros: {scope: system}}\n")
	var junk strings.Builder
	junk.WriteString("services:\n  a:\n    image: x\n    x-ros: {scope: system}\n")
	for i := range 40_000 {
		fmt.Fprintf(&junk, "    key%d: 1\n", i)
	}
	var many strings.Builder
	many.WriteString("bad: 1\nservices:\n")
	for i := range 30_000 {
		fmt.Fprintf(&many, "  s%d: {image: x}\n", i)
	}
	for name, file := range map[string]string{"bomb": bomb.String(), "junk": junk.String(), "many": many.String()} {
		services, faults := compose.Parse("x.yml", []byte(file), nil)
		if len(services) != 0 || len(faults) == 0 || len(faults) > 100 {
			t.Errorf("%s: %d services and %d faults, want none and 1 to 100", name, len(services), len(faults))
		}
	}
}

func TestLoadDir(t *testing.T) {
	builtin, own := t.TempDir(), t.TempDir()
	write(t, builtin, "20-ntp.yml", "services: {ntp: {image: ros/ntp, x-ros: {scope: system}}}")
	write(t, builtin, "10-udev.yaml", "services: {udev: {image: ros/udev, x-ros: {scope: system}}}")
	write(t, builtin, "30-broken.yml", "services: {broken: {image: 1, x-ros: {scope: system}}}")
	write(t, builtin, "README", "not a service file")
	write(t, builtin, ".40-hidden.yml", "junk: [")
	if err := os.Mkdir(filepath.Join(builtin, "50-dir.yml"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, own, "a.yml", "services:\n  ntp: {image: mine, x-ros: {scope: system}}\n  web: {image: nginx}\n")
	write(t, own, "b.yml", "services:\n  broken: {image: x, x-ros: {scope: system}}\n  udev: {image: 1, x-ros: {scope: system}}\n")
	if err := syscall.Mkfifo(filepath.Join(own, "c.yml"), 0o600); err != nil {
		t.Fatal(err)
	}

	services, faults := compose.LoadDir(builtin, own, filepath.Join(own, "missing"))
	var names []string
	for _, s := range services {
		names = append(names, s.Name+" from "+s.File)
	}
	wantNames := []string{"udev from " + builtin + "/10-udev.yaml", "ntp from " + builtin + "/20-ntp.yml", "web from " + own + "/a.yml"}
	if diff := cmp.Diff(wantNames, names); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	wantFaults := []string{
		builtin + `/30-broken.yml:1: services.broken.image: must be text: write "1" in quotes`,
		own + `/a.yml:2: services.ntp: there is a service "ntp" already, from ` + builtin + `/20-ntp.yml:1`,
		own + `/b.yml:2: services.broken: there is a service "broken" already, from ` + builtin + `/30-broken.yml:1`,
		own + `/b.yml:3: services.udev: there is a service "udev" already, from ` + builtin + `/10-udev.yaml:1`,
		own + `/b.yml:3: services.udev.image: must be text: write "1" in quotes`,
		own + `/c.yml: is not a regular file`,
	}
	if diff := cmp.Diff(wantFaults, text(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	for _, f := range faults {
		if (f.Service != "") != (f.File == builtin+"/30-broken.yml") {
			t.Errorf("fault %v is that of service %q: only the built-in broken one may be lost", f, f.Service)
		}
	}
}

func TestLoadMissing(t *testing.T) {
	_, faults := compose.Load("/does/not/exist.yml")
	if diff := cmp.Diff([]string{"/does/not/exist.yml: cannot stat it: no such file or directory"}, text(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func text(faults []compose.Fault) []string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Error())
	}
	return list
}

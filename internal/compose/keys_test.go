package compose_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
)

// TestKeys is what each key takes and refuses. The lines stand in a service
// a with an image and scope system, beginning on line 5.
func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		lines  string
		faults []string // without "x.yml:"; the line and "services.a." stay
	}{
		{lines: `imagee: x`, faults: []string{`5: services.a.imagee: unknown key (did you mean "image"?)`}},
		{lines: `Restart: always`, faults: []string{`5: services.a.Restart: unknown key (did you mean "restart"?)`}},
		{lines: `restrat: always`, faults: []string{`5: services.a.restrat: unknown key (did you mean "restart"?)`}},
		{lines: `dependsOn: [b]`, faults: []string{`5: services.a.dependsOn: unknown key (did you mean "depends_on"?)`}},
		{lines: `stop-grace-period: 5s`, faults: []string{`5: services.a.stop-grace-period: unknown key (did you mean "stop_grace_period"?)`}},
		{lines: `zzz: 1`, faults: []string{`5: services.a.zzz: unknown key`}},
		{lines: `build: .`, faults: []string{`5: services.a.build: is not supported in scope "system": nothing is built on this machine; name an image that a registry has`}},
		{lines: "ports: [80]\nextends: b\nimgae: y", faults: []string{
			`5: services.a.ports[0]: "80" has no port of the machine: write PUBLISHED:TARGET`,
			`6: services.a.extends: is not supported here: this file stands alone; within it, use YAML anchors`,
			`7: services.a.imgae: unknown key (did you mean "image"?)`}},

		{lines: `pull_policy: if_not_present`},
		{lines: `pull_policy: daily`, faults: []string{`5: services.a.pull_policy: "daily" is not supported: it must be "always", "missing", "if_not_present" or "never"`}},
		{lines: `user: 1000`, faults: []string{`5: services.a.user: must be text: write "1000" in quotes`}},
		{lines: `user:`, faults: []string{`5: services.a.user: has no value: it must be text`}},
		{lines: `user: ""`, faults: []string{`5: services.a.user: is empty`}},
		{lines: `user: "a\0b"`, faults: []string{`5: services.a.user: has a NUL character in it`}},
		{lines: `user: [a]`, faults: []string{`5: services.a.user: must be text`}},
		{lines: `init: true`},
		{lines: "init: true\npid: host", faults: []string{`5: services.a.init: has no meaning with "pid: host": there is one process 1`}},
		{lines: `tty: yes`, faults: []string{`5: services.a.tty: "yes" must be true or false`}},
		{lines: `tty: 1`, faults: []string{`5: services.a.tty: "1" must be true or false`}},
		{lines: `tty: "true"`},
		{lines: `working_dir: srv`, faults: []string{`5: services.a.working_dir: "srv" must be an absolute path`}},
		{lines: "hostname: h\nuts: host", faults: []string{`5: services.a.hostname: with "uts: host" this would be the name of the machine`}},
		{lines: `hostname: -x`, faults: []string{`5: services.a.hostname: "-x" cannot be a host name`}},
		{lines: `group_add: [1, "1"]`, faults: []string{`5: services.a.group_add[1]: "1" is given twice`}},

		{lines: `command: [sleep, 5]`, faults: []string{`5: services.a.command[1]: must be text: write "5" in quotes`}},
		{lines: `command: echo "a`, faults: []string{`5: services.a.command: "echo \"a" cannot be split into words: a quote or bracket is not closed`}},
		{lines: `command: echo a && reboot`, faults: []string{`5: services.a.command: "echo a && reboot" needs a shell: write [/bin/sh, -c, …]`}},
		{lines: `command: {a: b}`, faults: []string{`5: services.a.command: must be text`}},
		{lines: "command:\n  - a\n  - 2020-01-01", faults: []string{`7: services.a.command[1]: must be text: write "2020-01-01" in quotes`}},

		{lines: `environment: {A: 0644}`, faults: []string{`5: services.a.environment.A: YAML reads 0644 as something else: write "0644" in quotes`}},
		{lines: `environment: {A: 1.10}`, faults: []string{`5: services.a.environment.A: YAML reads 1.10 as something else: write "1.10" in quotes`}},
		{lines: `environment: {A: }`, faults: []string{`5: services.a.environment.A: has no value: it must be text ("" for empty text)`}},
		{lines: `environment: [A]`, faults: []string{`5: services.a.environment[0]: "A" has no value: write A=VALUE`}},
		{lines: `environment: ["A=1", "A=2"]`, faults: []string{`5: services.a.environment[1]: "A" is given twice`}},
		{lines: `environment: ["A B=1"]`, faults: []string{`5: services.a.environment[0]: "A B" cannot be a name`}},
		{lines: `environment: {A: 1, B: -2, C: 1.5, D: true, E: "", F: yes}`},
		{lines: `environment: A`, faults: []string{`5: services.a.environment: must be a mapping (NAME: value) or a list (- NAME=value)`}},

		{lines: `network_mode: bridge`, faults: []string{`5: services.a.network_mode: "bridge" is not supported: it must be "host", "none" or "service:NAME"`}},
		{lines: `pid: "service:b"`, faults: []string{`5: services.a.pid: "service:b" is not supported: it must be "host"`}},
		{lines: `cgroup: private`},
		{lines: `privileged: true`, faults: []string{`5: services.a.privileged: needs a reason: x-ros: {privileged-reason: …} says why less is not enough`}},
		{lines: `privileged: false`},
		{lines: `cap_add: [NET_ADMN]`, faults: []string{`5: services.a.cap_add[0]: "NET_ADMN" is no capability (did you mean "NET_ADMIN"?)`}},
		{lines: `cap_add: [sys_time, CAP_SYS_TIME]`, faults: []string{`5: services.a.cap_add[1]: "CAP_SYS_TIME" is given twice`}},
		{lines: `cap_drop: ALL`, faults: []string{`5: services.a.cap_drop: must be a list`}},
		{lines: `security_opt: ["apparmor:x"]`, faults: []string{`5: services.a.security_opt[0]: "apparmor:x" is not supported: it must be "no-new-privileges:true", "no-new-privileges:false" or "seccomp:unconfined"`}},
		{lines: `security_opt: [no-new-privileges, "no-new-privileges:false"]`, faults: []string{`5: services.a.security_opt[1]: "no-new-privileges" is given twice`}},

		{lines: `volumes: [/etc]`, faults: []string{`5: services.a.volumes[0]: "/etc" has no source: write SOURCE:TARGET (a volume without a name would be lost with the container)`}},
		{lines: `volumes: ["/a:/b:rw:ro"]`, faults: []string{`5: services.a.volumes[0]: "/a:/b:rw:ro" must be SOURCE:TARGET or SOURCE:TARGET:OPTIONS`}},
		{lines: `volumes: ["/a:/b:roo"]`, faults: []string{`5: services.a.volumes[0]: option "roo" is not supported: it must be "ro", "rw", "rprivate", "rslave" or "rshared"`}},
		{lines: `volumes: ["data:/b"]`, faults: []string{`5: services.a.volumes[0]: volume "data" is not listed under "volumes" at the top of the file`}},
		{lines: `volumes: ["~/x:/b"]`, faults: []string{`5: services.a.volumes[0]: "~/x": services of the OS have no home directory; write the path out`}},
		{lines: `volumes: ["/a:b"]`, faults: []string{`5: services.a.volumes[0]: target "b" must be an absolute path`}},
		{lines: `volumes: ["/a:/"]`, faults: []string{`5: services.a.volumes[0]: target "/" is the root of the container`}},
		{lines: "volumes:\n  - /a:/b\n  - /c:/b/", faults: []string{`7: services.a.volumes[1]: target "/b" is mounted already, on line 6`}},
		{lines: "volumes: [/a:/run/x]\ntmpfs: /run/x", faults: []string{`6: services.a.tmpfs: target "/run/x" is mounted already, on line 5`}},
		{lines: `volumes: [{type: bind, target: /b}]`, faults: []string{`5: services.a.volumes[0]: has no "source"`}},
		{lines: `volumes: [{type: bind, source: /a}]`, faults: []string{`5: services.a.volumes[0]: has no "target"`}},
		{lines: `volumes: [{type: npipe, source: /a, target: /b}]`, faults: []string{`5: services.a.volumes[0].type: "npipe" is not supported: it must be "bind", "volume" or "tmpfs"`}},
		{lines: `volumes: [{type: tmpfs, target: /b, bind: {}}]`, faults: []string{`5: services.a.volumes[0].bind: has no meaning for a mount of type "tmpfs"`}},
		{lines: `volumes: [{type: bind, source: /a, target: /b, readonly: true}]`, faults: []string{`5: services.a.volumes[0].readonly: unknown key (did you mean "read_only"?)`}},
		{lines: `volumes: [{type: tmpfs, target: /b, tmpfs: {mode: 755}}]`, faults: []string{`5: services.a.volumes[0].tmpfs.mode: "755" must be a file mode like 0755`}},
		{lines: `volumes: [{source: /a, target: /b}]`, faults: []string{`5: services.a.volumes[0]: has no "type": it must be "bind", "volume" or "tmpfs"`}},
		{lines: `tmpfs: "/run/x:noexec"`, faults: []string{`5: services.a.tmpfs: option "noexec" is not supported: it must be "size=64m" or "mode=0755"`}},
		{lines: `tmpfs: ["/run/x:size=big"]`, faults: []string{`5: services.a.tmpfs[0]: "big" is no size`}},
		{lines: `tmpfs: [/run/x:size=1m,mode=0750]`, faults: []string{`5: services.a.tmpfs[1]: "mode=0750" is an option, not an entry: an entry with a comma needs quotes inside [ ]`}},
		{lines: `devices: [rtc0]`, faults: []string{`5: services.a.devices[0]: "rtc0" must be the path of a device`}},
		{lines: `devices: ["/dev/a:/dev/b:rx"]`, faults: []string{`5: services.a.devices[0]: permissions "rx" must be some of "rwm"`}},
		{lines: `devices: ["vendor.com/gpu=all"]`, faults: []string{`5: services.a.devices[0]: "vendor.com/gpu=all" must be the path of a device`}},

		{lines: `ulimits: {nofiles: 1}`, faults: []string{`5: services.a.ulimits.nofiles: unknown key (did you mean "nofile"?)`}},
		{lines: `ulimits: {nofile: {soft: 1}}`, faults: []string{`5: services.a.ulimits.nofile: needs both "soft" and "hard"`}},
		{lines: `ulimits: {nofile: {soft: 2, hard: 1}}`, faults: []string{`5: services.a.ulimits.nofile: soft is more than hard`}},
		{lines: `mem_limit: 64mb`},
		{lines: `mem_limit: 64x`, faults: []string{`5: services.a.mem_limit: "64x" must be a size like "64m"`}},
		{lines: `mem_limit: 1.5`, faults: []string{`5: services.a.mem_limit: "1.5" must be a size like "64m"`}},
		{lines: `mem_limit: 64`, faults: []string{`5: services.a.mem_limit: "64" is too small: it must be at least 6MiB`}},
		{lines: `mem_limit: 99999999999999999999g`, faults: []string{`5: services.a.mem_limit: "99999999999999999999g" must be a size like "64m"`}},
		{lines: "mem_limit: 64m\ndeploy: {resources: {limits: {memory: 65m}}}", faults: []string{`6: services.a.deploy.resources.limits.memory: 68157440 contradicts the 67108864 that stands above under another key`}},
		{lines: `deploy: {replicas: 2}`, faults: []string{`5: services.a.deploy.replicas: 2 is not supported: a service of the OS runs once`}},
		{lines: `deploy: {resources: {reservations: {cpus: "1"}}}`, faults: []string{`5: services.a.deploy.resources.reservations.cpus: is not supported in scope "system": it is for a swarm; use "cpu_shares"`}},
		{lines: `deploy: {placement: {}}`, faults: []string{`5: services.a.deploy.placement: is not supported in scope "system": it is for a swarm`}},
		{lines: `deploy: {restart_policy: {condition: any, max_attempts: 3}}`, faults: []string{`5: services.a.deploy.restart_policy: "max_attempts" needs "condition: on-failure"`}},
		{lines: `deploy: {restart_policy: {delay: 5s}}`, faults: []string{`5: services.a.deploy.restart_policy.delay: is not supported in scope "system": the delay doubles from 100 ms to 30 s by itself`}},
		{lines: `scale: 3`, faults: []string{`5: services.a.scale: 3 is not supported: a service of the OS runs once`}},
		{lines: "memswap_limit: 64m", faults: []string{`5: services.a.memswap_limit: must be at least "mem_limit", which is part of it`}},
		{lines: "mem_limit: 64m\nmemswap_limit: 32m", faults: []string{`6: services.a.memswap_limit: must be at least "mem_limit", which is part of it`}},
		{lines: "memswap_limit: -1"},
		{lines: "memswap_limit: []", faults: []string{`5: services.a.memswap_limit: must be a size like "64m", or -1`}},
		{lines: "mem_limit: 64m\nmem_reservation: 65m", faults: []string{`6: services.a.mem_reservation: is more than "mem_limit"`}},
		{lines: "cpus: 1\ncpu_quota: 50000", faults: []string{`6: services.a.cpu_quota: is said by "cpus" already`}},
		{lines: "cpu_quota: 50000\ncpu_period: 100000"},
		{lines: `cpuset: "0-"`, faults: []string{`5: services.a.cpuset: "0-" must be a list of CPUs like "0-3,5"`}},
		{lines: `device_cgroup_rules: ["x 1:3 rw"]`, faults: []string{`5: services.a.device_cgroup_rules: "x 1:3 rw" must be TYPE MAJOR:MINOR ACCESS, like "c 1:3 rw"`}},
		{lines: "ipc: host\nshm_size: 32m", faults: []string{`6: services.a.shm_size: has no meaning with "ipc: host"`}},
		{lines: `platform: linux/s390x`, faults: []string{`5: services.a.platform: "linux/s390x" is not supported: this machine is "linux/` + runtime.GOARCH + `"`}},
		{lines: `container_name: other`, faults: []string{`5: services.a.container_name: "other" is not supported in scope "system": the container has the name of the service, "a"`}},
		{lines: `volumes: [{type: volume, source: v, target: /v, volume: {nocopy: false}}]`, faults: []string{`5: services.a.volumes[0].volume.nocopy: false is not supported: a new volume is empty`}},
		{lines: `volumes: ["/a:/b:z,delegated"]`},
		{lines: `pids_limit: many`, faults: []string{`5: services.a.pids_limit: "many" must be a whole number`}},
		{lines: `cpus: NaN`, faults: []string{`5: services.a.cpus: "NaN" must be a number of CPUs, at least 0.01`}},
		{lines: `oom_score_adj: -2000`, faults: []string{`5: services.a.oom_score_adj: -2000 must be between -1000 and 1000`}},

		{lines: `depends_on: [b, b]`, faults: []string{`5: services.a.depends_on[1]: "b" is given twice`}},
		{lines: `depends_on: b`, faults: []string{`5: services.a.depends_on: must be a mapping (name of a service: {condition: …}) or a list (- name)`}},
		{lines: `depends_on: {b: }`, faults: []string{`5: services.a.depends_on.b: must be a mapping (key: value)`}},
		{lines: `depends_on: {b: {condition: healthy}}`, faults: []string{`5: services.a.depends_on.b.condition: "healthy" is not supported: it must be "service_started", "service_healthy" or "service_completed_successfully"`}},
		{lines: `depends_on: {b: {required: false}}`, faults: []string{`5: services.a.depends_on.b: has no "condition": it must be "service_started", "service_healthy" or "service_completed_successfully"`}},
		{lines: `environment: {x-a: b}`, faults: []string{`5: services.a.environment.x-a: Compose takes this for an extension: write all of them as a list (- NAME=value)`}},
		{lines: `depends_on: {b: {condtion: service_healthy}}`, faults: []string{`5: services.a.depends_on.b.condtion: unknown key (did you mean "condition"?)`}},
		{lines: `healthcheck: {interval: 5s}`, faults: []string{`5: services.a.healthcheck: has no "test"`}},
		{lines: `healthcheck: {test: [chronyc, tracking]}`, faults: []string{`5: services.a.healthcheck.test: must be [CMD, program, argument…], [CMD-SHELL, line] or [NONE]`}},
		{lines: `healthcheck: {test: x, interval: 5}`, faults: []string{`5: services.a.healthcheck.interval: "5" must be a time like "30s"`}},
		{lines: `healthcheck: {test: x, interval: 0s}`, faults: []string{`5: services.a.healthcheck.interval: "0s" is too short: it must be at least 100ms`}},
		{lines: `healthcheck: {test: x, retries: 0}`, faults: []string{`5: services.a.healthcheck.retries: 0 must be between 1 and 2147483647`}},
		{lines: `healthcheck: {disable: true}`},
		{lines: `healthcheck: {test: [NONE]}`},
		{lines: `restart: no`}, // YAML 1.2: text
		{lines: `restart: false`, faults: []string{`5: services.a.restart: must be text: write "false" in quotes`}},
		{lines: `restart: allways`, faults: []string{`5: services.a.restart: "allways" is not supported (did you mean "always"?)`}},
		{lines: `restart: sometimes`, faults: []string{`5: services.a.restart: "sometimes" is not supported: it must be "no", "always", "on-failure" or "unless-stopped"`}},
		{lines: `restart: always:3`, faults: []string{`5: services.a.restart: "always:3": only on-failure takes a number of tries, from 1`}},
		{lines: `stop_signal: SIGFOO`, faults: []string{`5: services.a.stop_signal: "SIGFOO" is no signal (SIGTERM, SIGINT, …)`}},
		{lines: `stop_grace_period: -5s`, faults: []string{`5: services.a.stop_grace_period: "-5s" is too short: it must be at least 0s`}},
		{lines: `stop_grace_period: 1h1m1s`},
		{lines: `logging: {driver: syslog}`, faults: []string{`5: services.a.logging.driver: "syslog" is not supported: it must be "local" or "json-file"`}},
		{lines: `logging: {options: {max-sizes: 1m}}`, faults: []string{`5: services.a.logging.options.max-sizes: unknown key (did you mean "max-size"?)`}},
		{lines: `logging: {options: {max-size: 1k}}`, faults: []string{`5: services.a.logging.options.max-size: "1k" is too small: it must be at least 16KiB`}},
	} {
		t.Run(strings.ReplaceAll(tt.lines, "\n", "|"), func(t *testing.T) {
			file := "services:\n  a:\n    image: ros/a\n    x-ros: {scope: system}\n    " + strings.ReplaceAll(tt.lines, "\n", "\n    ") + "\n"
			services, faults := compose.Parse("x.yml", []byte(file), nil)
			var got []string
			for _, line := range text(faults) {
				got = append(got, strings.TrimPrefix(line, "x.yml:"))
			}
			if diff := cmp.Diff(tt.faults, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if (len(services) == 1) != (len(tt.faults) == 0) {
				t.Errorf("%d services can be used", len(services))
			}
		})
	}
}

func TestXRos(t *testing.T) {
	for _, tt := range []struct {
		name, keys string
		faults     []string
	}{
		{name: "unknown scope", keys: `image: x, x-ros: {scope: os}`, faults: []string{`x.yml:1: services.a.x-ros.scope: "os" is not supported: it must be "system" or "user"`}},
		{name: "unknown key", keys: `image: x, x-ros: {scope: system, requird: true}`, faults: []string{`x.yml:1: services.a.x-ros.requird: unknown key (did you mean "required"?)`}},
		{name: "misspelt scope is taken for system", keys: `image: x, ports: [80], x-ros: {scoep: system}`, faults: []string{
			`x.yml:1: services.a.x-ros.scoep: unknown key (did you mean "scope"?)`,
			`x.yml:1: services.a.ports[0]: "80" has no port of the machine: write PUBLISHED:TARGET`}},
		{name: "no mapping", keys: `image: x, x-ros: system`, faults: []string{`x.yml:1: services.a.x-ros: must be a mapping (key: value)`}},
		{name: "no image", keys: `x-ros: {scope: system}`, faults: []string{`x.yml:1: services.a: has no "image"`}},
		{name: "reason without privileged", keys: `image: x, x-ros: {scope: system, privileged-reason: y}`, faults: []string{`x.yml:1: services.a.x-ros: privileged-reason without "privileged: true"`}},
		{name: "empty reason", keys: `image: x, privileged: true, x-ros: {scope: system, privileged-reason: ""}`, faults: []string{
			`x.yml:1: services.a.x-ros.privileged-reason: is empty`,
			`x.yml:1: services.a.privileged: needs a reason: x-ros: {privileged-reason: …} says why less is not enough`}},
		{name: "reason in scope user", keys: `image: x, x-ros: {privileged-reason: y}`, faults: []string{`x.yml:1: services.a.x-ros: privileged-reason has no meaning for a service with scope "user"`}},
		{name: "required in scope user", keys: `image: x, x-ros: {required: true}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, faults := compose.Parse("x.yml", []byte("services: {a: {"+tt.keys+"}}"), nil)
			if diff := cmp.Diff(tt.faults, text(faults)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefinitionHash(t *testing.T) {
	parse := func(file string) compose.Service {
		services, faults := compose.Parse("x.yml", []byte(file), nil)
		if len(faults) > 0 {
			t.Fatalf("Parse(%q) faults = %v, want none", file, faults)
		}
		return services[0]
	}
	const base = "services: {a: {image: x, labels: {a: b, c: d}, sysctls: {e: f, g: h}, x-ros: {scope: system%s}%s}}"
	file := func(xros, keys string) string {
		return strings.Replace(strings.Replace(base, "%s", xros, 1), "%s", keys, 1)
	}
	hash := compose.DefinitionHash(parse(file("", "")))
	for range 20 { // maps have no order of their own
		if again := compose.DefinitionHash(parse(file("", ""))); again != hash {
			t.Fatalf("DefinitionHash of the same service = %s and %s", hash, again)
		}
	}
	same := map[string]string{
		"other line":        "\n\n" + file("", ""),
		"required":          file(", required: true", ""),
		"depends_on":        file("", ", depends_on: [b]"),
		"healthcheck":       file("", ", healthcheck: {test: x}"),
		"restart":           file("", ", restart: always"),
		"stop_signal":       file("", ", stop_signal: SIGINT"),
		"stop_grace_period": file("", ", stop_grace_period: 1s"),
	}
	for name, f := range same {
		if got := compose.DefinitionHash(parse(f)); got != hash {
			t.Errorf("%s changes the hash; rosd acts on it without a new container", name)
		}
	}
	different := map[string]string{
		"command": file("", ", command: y"), "read_only": file("", ", read_only: true"), "cap_add": file("", ", cap_add: [KILL]"),
		"mem_limit": file("", ", mem_limit: 64m"), "log": file("", ", logging: {options: {max-file: 9}}"), "security_opt": file("", ", security_opt: ['no-new-privileges:false']"),
	}
	for name, f := range different {
		if compose.DefinitionHash(parse(f)) == hash {
			t.Errorf("%s does not change the hash, so a running container would keep its old value", name)
		}
	}
}

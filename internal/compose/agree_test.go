package compose_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"github.com/rosteros/ros/internal/compose"
)

// What Load accepts for the OS has to be Compose, and mean what it means in
// Compose: compose-go's own loader, with its schema, is the referee.

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // compose-go warns where we refuse
	dotenv.RegisterFormat(compose.RawFormat, compose.RawValues)
	os.Exit(m.Run())
}

func TestAgreesWithComposeGo(t *testing.T) {
	agree(t, []byte(full))
	files, err := filepath.Glob("../../os-services/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no service files of the OS: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, faults := compose.Parse(file, data, nil); len(faults) > 0 {
				t.Errorf("faults = %v, want none", text(faults))
			}
			agree(t, data)
		})
	}
}

// Each key with whatever one might write behind it.
func TestAgreesOnAnyValue(t *testing.T) {
	values := []string{"", "~", "true", "True", `"true"`, "false", "yes", "no", "0", "1", "-1", "-0", "1.5", `"1.5"`, ".5", "1e3", "0644", "0x10", "1_000", "0o17",
		"64m", "64M", "64mb", `"67108864"`, "67108864", "64 m", "64.5m", "5s", `"5"`, "1d", "1h1m", "-5s", "5 s", "2020-01-01", "a", `" a "`, `""`, `"a b"`, `'a "b c" d'`,
		`'a\\ b'`, `'a # b'`, "a\\tb", "$$A", "${A:-b}", "${A-}", "$$", "ALL", "host", "none", "private", "always", "on-failure:3", "on-failure:03", "on-failure:+3", "SIGINT", "15",
		"/a", "/a:/b", "./a:/b", "../a:/b", "/a/../c:/b/./c/", "v:/b", "vol:/b", "/a:/b:ro,rshared", "/a:/b:rw", "/dev/null", "[]", "{}", "[a]", "[a, b]", "[1]", "[true]", "[~]", "[[a]]",
		"[{a: b}]", "[a=b]", "[a=]", "['a=b c']", "['a = b']", "['=a']", "{a: b}", "{a: 1}", "{a: 1.0}", "{a: true}", "{a: ''}", "{a: [b]}", "{a: {}}", "{'a b': c}",
		"{nofile: 5}", "{nofile: '5'}", "{nofile: 0}", "{nofile: {soft: 0, hard: 5}}", "{nofile: {soft: '1', hard: '5'}}", "{nofile: {soft: 1, hard: -1}}",
		"[/a:/b]", "[v:/b]", "[vol:/b]", "[vol:/b:ro]", "['./a:/b:ro']", "[{type: bind, source: /a, target: /b}]", "[{type: bind, source: ./a, target: /b, read_only: 'true', bind: {}}]",
		"[{type: bind, source: /a, target: /b/, bind: {propagation: rslave}}]", "[{type: volume, source: vol, target: /b}]", "[{type: tmpfs, target: /b, tmpfs: {size: 64m, mode: 0755}}]",
		"[{type: tmpfs, target: /b, tmpfs: {mode: '0755'}}]", "[/dev/a]", "['/dev/a:/dev/b']", "['/dev/a:/dev/b:r']", "[{source: /dev/a, target: /dev/b}]", "[NET_ADMIN]", "[CAP_NET_ADMIN, net_raw]",
		"['no-new-privileges:true']", "[no-new-privileges=false]", "[CMD, a]", "{test: a}", "{test: [CMD, a, 'b c']}", "{test: [CMD-SHELL, 'a b']}", "{test: [NONE]}", "{test: a, disable: false}",
		"{test: a, interval: 5s, retries: '3'}", "{test: a, start_period: 1m}", "{disable: true}", "{b: {}}", "{b: {condition: service_healthy}}", "{b: {condition: service_started, required: 'false'}}", "{b: {condition: service_started, restart: true}}", "{b: {required: false, restart: true}}",
		"{b: {required: 'false'}}", "{b: {restart: 'true'}}", "{b: {condition: service_started, x-a: b}}", "{driver: local}", "{options: {max-size: 1m, max-file: 3}}", "{options: {max-file: '3'}}", "{options: {max-size: 1000000}}",
		"{resources: {limits: {memory: 64m}}}", "{resources: {limits: {cpus: 0.5, pids: 5}}}", "{resources: {limits: {cpus: '0.5', pids: '5'}}}", "{resources: {}}", "{resources: {limits: {}}}",
		"[default]", "[n]", "{n: }", "{n: {}}", "{n: {aliases: [x]}}", "{n: {aliases: [x], ipv4_address: 10.9.0.7}}", "{default: {aliases: [a b]}}", "{n: {priority: 1}}", "{m: {ipv4_address: 10.9.0.7}}",
		"['80:80']", "['8080:80/udp']", "[8080:80]", "['127.0.0.1:8080:80']", "['[::1]:8080:80']", "['8000-8002:80-82']", "['8000-8002:80']", "['0.0.0.0:80:80']", "['080:80']", "[80]", "['80:80', '80:81']",
		"[{target: 80, published: 8080}]", "[{target: 80, published: '8080', protocol: udp, host_ip: 127.0.0.1}]", "[{target: '80', published: '8080'}]", "[{target: 80}]", "['3000-3010']", "[3000]", "['3000/udp']",
		"['h:10.0.0.1']", "['h=10.0.0.1', 'h=10.0.0.2']", "['h=[::1]']", "['h:::1']", "{h: 10.0.0.1}", "{h: [10.0.0.1, 10.0.0.2]}", "['h:host-gateway']", "9.9.9.9", "[9.9.9.9]", "[9.9.9.9, 9.9.9.9]", "example.com",
		"{resources: {limits: {memory: 67108864}}}", "{resources: {limits: {pids: -1}}}", "{x-a: b}", "web.env", "[web.env, web.raw]", "[{path: web.env, required: 'true'}]", "[{path: web.raw, format: raw}]", "[{path: none.env, required: false}]", "web.labels", "[web.labels]",
		"[page]", "[word, page]", "[{source: page, target: /etc/page, uid: '5', gid: '6', mode: 0440}]", "[{source: word, target: word, mode: '0400'}]", "[{source: word, target: ../x}]",
		"'0-3,5'", "50000", "['c 1:3 mr', 'a *:* rwm']", "linux/amd64", "[dev, test]", "json-file", "{driver: json-file}", "{mode: replicated, replicas: 1}", "{replicas: '1'}",
		"{restart_policy: {}}", "{restart_policy: {condition: on-failure, max_attempts: 3}}", "{restart_policy: {condition: none}}", "{resources: {reservations: {memory: 32m}}}",
		"[other:/b]", "['vol:/b:nocopy']", "['/a:/b:z']", "[{type: volume, source: other, target: /b, consistency: cached, volume: {nocopy: true}}]", "[{type: bind, source: /a, target: /b, bind: {selinux: z}}]",
		"[1101, dialout]", "['1101']", "{net.a: 1}", "[net.a=1]", "/run", "['/run:size=1m,mode=1777']", "&a [x, *a]",
	}
	const top = "networks: {n: {internal: false, ipam: {config: [{subnet: 10.9.0.0/24}]}}, m: }\nvolumes: {vol: , v: , other: {name: another, driver: local}}\nconfigs: {page: {file: page.html}, word: {content: 'hello ${SET}'}}\nsecrets: {page: {file: ./page.html}, word: {environment: SET}}\n"
	accepted := 0
	for _, key := range slices.Sorted(maps.Keys(compose.Supported)) {
		for _, value := range values {
			image := "image: x, "
			if key == "image" {
				image = ""
			}
			file := top + "services: {a: {" + image + "x-ros: {scope: system}, " + key + ": " + value + "}}\n"
			if services, _ := compose.ParseIn(besides(t), []byte(file), given); len(services) > 0 {
				accepted++
			}
			agree(t, []byte(file))
		}
	}
	if accepted < 400 {
		t.Errorf("only %d of the files were accepted: the test is not worth much", accepted)
	}
}

// besides is a path in the folder with the files that examples name.
func besides(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("testdata/beside/x.yml")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// given is what the examples are read with.
var given = compose.Setting{Env: map[string]string{"SET": "set", "COMPOSE_PROFILES": "every,dev"}, Files: compose.FromDisk}

// agree fails when Parse accepts a service of the OS that compose-go refuses
// or reads otherwise.
func agree(t *testing.T, file []byte) {
	t.Helper()
	path := besides(t)
	services, faults := compose.ParseIn(path, file, given)
	if len(faults) > 0 || !slices.ContainsFunc(services, func(s compose.Service) bool { return s.Scope == compose.ScopeSystem }) {
		return // nothing for the OS, or refused: then there is nothing to agree on
	}
	if slices.ContainsFunc(services, func(s compose.Service) bool { return s.Scope == compose.ScopeUser }) {
		return // compose-go takes the file as a whole, and we do not look into these
	}
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  filepath.Dir(path),
		ConfigFiles: []types.ConfigFile{{Filename: path, Content: file}},
		Environment: given.Env,
	}, func(o *loader.Options) {
		o.SetProjectName("x", true)
		o.Profiles = strings.Split(given.Env["COMPOSE_PROFILES"], ",")
		o.SkipConsistencyCheck = true // wants every dependency in the same file
		o.SkipNormalization = true
	})
	if err != nil {
		t.Errorf("compose-go refuses what we accept: %v\n%s", err, file)
		return
	}
	for _, s := range services {
		theirs, ok := project.Services[s.Name]
		if !ok {
			t.Fatalf("compose-go has no service %q", s.Name)
		}
		want := meant(project, theirs)
		for key, got := range ours(s) {
			want := want[key]
			if len(theirs.VolumesFrom) > 0 && (key == "volumes" || key == "depends_on") || len(theirs.Links) > 0 && key == "depends_on" {
				continue // compose-go leaves them to the engine
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s.%s = %v, compose-go says %v\n%s", s.Name, key, got, want, file)
			}
		}
	}
}

func ours(s compose.Service) map[string]any {
	m := map[string]any{
		"image": s.Image, "entrypoint": s.Entrypoint, "command": s.Command, "environment": s.Env, "user": s.User,
		"group_add": s.GroupAdd, "labels": sorted(s.Labels), "sysctls": sorted(s.Sysctls), "privileged": s.Privileged,
		"read_only": s.ReadOnly, "tty": s.TTY, "memory": s.MemoryBytes, "pids": s.PidsLimit, "cpus": float32(s.CPUs),
		"cpu_shares": s.CPUShares, "oom_score_adj": s.OOMScoreAdj, "stop_grace_period": s.StopGracePeriod,
		"annotations": sorted(s.Annotations), "memory_low": s.MemoryLow, "memory_swap": s.MemorySwap, "cpu_quota": s.CPUQuota,
		"cpu_period": s.CPUPeriod, "cpuset": s.CPUSet, "shm": s.ShmBytes, "device_rules": s.DeviceRules, "restart": s.Restart,
	}
	var files []string
	for _, f := range s.Files {
		files = append(files, fmt.Sprintf("%s %s %d %d %o %s", f.Source, f.Target, f.UID, f.GID, f.Mode, f.Text))
	}
	m["files"] = files
	var volumes, devices, depends, limits []string
	for _, v := range s.Mounts {
		if v.Type != "tmpfs" {
			volumes = append(volumes, fmt.Sprint(v.Type, v.Source, v.Target, v.ReadOnly, v.Propagation, v.CreateHost))
		}
	}
	for _, d := range s.Devices {
		devices = append(devices, fmt.Sprint(d.Host, d.Container, d.Permissions))
	}
	for _, d := range s.DependsOn {
		depends = append(depends, fmt.Sprint(d.Service, d.Condition, d.Required, d.Restart))
	}
	for _, l := range s.Ulimits {
		limits = append(limits, fmt.Sprint(l.Name, l.Soft, l.Hard))
	}
	m["volumes"], m["devices"], m["depends_on"], m["ulimits"] = volumes, devices, depends, limits
	var networks, hosts, ports []string
	for _, a := range s.Networks {
		networks = append(networks, fmt.Sprint(a.Aliases, a.IPv4, a.Network.Internal, a.Network.Subnet, a.Network.Gateway))
	}
	for _, h := range s.ExtraHosts {
		hosts = append(hosts, fmt.Sprint(h.Name, h.Address))
	}
	for _, p := range s.Ports {
		ports = append(ports, p.String()+fmt.Sprint(p.Target))
	}
	slices.Sort(networks)
	slices.Sort(hosts)
	slices.Sort(ports)
	m["networks"], m["extra_hosts"], m["ports"] = networks, hosts, ports
	m["dns"], m["dns_search"], m["dns_opt"] = s.DNS, s.DNSSearch, s.DNSOpt
	if h := s.Healthcheck; h != nil {
		m["healthcheck"] = fmt.Sprint(h.Test, h.StartPeriod)
	}
	return m
}

func meant(p *types.Project, s types.ServiceConfig) map[string]any {
	m := map[string]any{
		"image": s.Image, "entrypoint": []string(s.Entrypoint), "command": []string(s.Command), "user": s.User,
		"group_add": s.GroupAdd, "labels": sorted(s.Labels), "sysctls": sorted(s.Sysctls), "privileged": s.Privileged,
		"read_only": s.ReadOnly, "tty": s.Tty, "memory": int64(s.MemLimit), "pids": max(s.PidsLimit, 0),
		"cpus": s.CPUS, "cpu_shares": s.CPUShares, "oom_score_adj": s.OomScoreAdj, "stop_grace_period": 10 * time.Second,
		"annotations": sorted(s.Annotations), "memory_low": int64(s.MemReservation), "memory_swap": int64(s.MemSwapLimit),
		"cpu_quota": int64(s.CPUQuota), "cpu_period": int64(s.CPUPeriod), "cpuset": s.CPUSet, "shm": int64(s.ShmSize),
		"device_rules": s.DeviceCgroupRules, "restart": restart(s), "files": append(
			files("configs", types.Configs(p.Configs), s.Configs), files("secrets", types.Configs(asConfigs(p.Secrets)), asReferences(s.Secrets))...),
	}
	if s.Deploy != nil && s.Deploy.Resources.Reservations != nil && s.Deploy.Resources.Reservations.MemoryBytes != 0 {
		m["memory_low"] = int64(s.Deploy.Resources.Reservations.MemoryBytes)
	}
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		limits := s.Deploy.Resources.Limits
		if limits.MemoryBytes != 0 {
			m["memory"] = int64(limits.MemoryBytes)
		}
		if limits.Pids != 0 {
			m["pids"] = max(limits.Pids, 0)
		}
		if limits.NanoCPUs != 0 {
			m["cpus"] = limits.NanoCPUs.Value()
		}
	}
	if s.StopGracePeriod != nil {
		m["stop_grace_period"] = time.Duration(*s.StopGracePeriod)
	}
	var env, volumes, devices, depends, limits []string
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		env = append(env, name+"="+*s.Environment[name])
	}
	for _, v := range s.Volumes {
		var propagation string
		var create bool
		if v.Bind != nil && v.Type == "bind" { // an option z makes one of a volume, too
			propagation, create = v.Bind.Propagation, bool(v.Bind.CreateHostPath)
		}
		if name := p.Volumes[v.Source].Name; v.Type == "volume" && name != "" {
			v.Source = name
		}
		if v.Type != "tmpfs" {
			volumes = append(volumes, fmt.Sprint(v.Type, filepath.Clean(v.Source), filepath.Clean(v.Target), v.ReadOnly, propagation, create))
		}
	}
	for _, d := range s.Devices {
		if d.Target == "" {
			d.Target = d.Source
		}
		if d.Permissions == "" {
			d.Permissions = "rwm"
		}
		devices = append(devices, fmt.Sprint(d.Source, d.Target, d.Permissions))
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		depends = append(depends, fmt.Sprint(name, d.Condition, d.Required, d.Restart))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		l := s.Ulimits[name]
		if l.Single != 0 {
			l.Soft, l.Hard = l.Single, l.Single
		}
		limits = append(limits, fmt.Sprint(name, l.Soft, l.Hard))
	}
	m["environment"], m["volumes"], m["devices"], m["depends_on"], m["ulimits"] = env, volumes, devices, depends, limits
	m["networks"], m["extra_hosts"], m["ports"] = meantOfNetworks(s, p.Networks)
	m["dns"], m["dns_search"], m["dns_opt"] = []string(s.DNS), []string(s.DNSSearch), s.DNSOpts
	if h := s.HealthCheck; h != nil && len(h.Test) > 0 {
		argv := []string(h.Test[1:])
		if h.Test[0] == "CMD-SHELL" {
			argv = append([]string{"/bin/sh", "-c"}, argv...)
		}
		var start time.Duration
		if h.StartPeriod != nil {
			start = time.Duration(*h.StartPeriod)
		}
		m["healthcheck"] = fmt.Sprint(argv, start)
	}
	return m
}

// restart is what restart and deploy.restart_policy say.
func restart(s types.ServiceConfig) compose.Restart {
	mode, count, _ := strings.Cut(s.Restart, ":")
	r := compose.Restart{Mode: compose.RestartMode(mode)}
	fmt.Sscan(count, &r.MaxRetries)
	if mode == "" {
		r.Mode = compose.RestartNo
		if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
			policy := s.Deploy.RestartPolicy
			r.Mode = map[string]compose.RestartMode{"": compose.RestartAlways, "any": compose.RestartAlways,
				"none": compose.RestartNo, "on-failure": compose.RestartOnFailure}[policy.Condition]
			if policy.MaxAttempts != nil {
				r.MaxRetries = int(*policy.MaxAttempts)
			}
		}
	}
	return r
}

func asConfigs(secrets types.Secrets) types.Configs {
	all := types.Configs{}
	for name, s := range secrets {
		all[name] = types.ConfigObjConfig(s)
	}
	return all
}

func asReferences(secrets []types.ServiceSecretConfig) (all []types.ServiceConfigObjConfig) {
	for _, s := range secrets {
		all = append(all, types.ServiceConfigObjConfig(s))
	}
	return all
}

// files are the configs or secrets of a service, with the targets and modes of
// the specification.
func files(kind string, objects types.Configs, refs []types.ServiceConfigObjConfig) (list []string) {
	for _, ref := range refs {
		target, uid, gid, mode := ref.Target, ref.UID, ref.GID, types.FileMode(0o444)
		if ref.Mode != nil {
			mode = *ref.Mode
		}
		home := map[string]string{"configs": "/", "secrets": "/run/secrets/"}[kind]
		if target == "" {
			target = ref.Source
		}
		if !filepath.IsAbs(target) {
			target = home + target
		}
		if uid == "" {
			uid = "0"
		}
		if gid == "" {
			gid = "0"
		}
		o := objects[ref.Source]
		text := o.Content
		if o.File != "" {
			read, _ := os.ReadFile(o.File)
			text = string(read)
		}
		list = append(list, fmt.Sprintf("%s.%s %s %s %s %o %s", kind, ref.Source, filepath.Clean(target), uid, gid, mode, text))
	}
	return list
}

// meantOfNetworks also has the network that Compose adds later, when a service
// publishes ports.
func meantOfNetworks(s types.ServiceConfig, all types.Networks) (networks, hosts, ports []string) {
	joined := s.Networks
	if len(joined) == 0 && len(s.Ports) > 0 {
		joined = map[string]*types.ServiceNetworkConfig{"default": nil}
	}
	for key, a := range joined {
		if a == nil {
			a = &types.ServiceNetworkConfig{}
		}
		n := all[key]
		var pool types.IPAMPool
		if len(n.Ipam.Config) > 0 {
			pool = *n.Ipam.Config[0]
		}
		networks = append(networks, fmt.Sprint(a.Aliases, a.Ipv4Address, n.Internal, pool.Subnet, pool.Gateway))
	}
	for name, addresses := range s.ExtraHosts {
		for _, address := range addresses {
			hosts = append(hosts, fmt.Sprint(name, address))
		}
	}
	for _, p := range s.Ports {
		if p.Protocol == "" {
			p.Protocol = "tcp"
		}
		text := fmt.Sprintf("%s/%s%d", p.Published, p.Protocol, p.Target)
		if p.HostIP != "" && p.HostIP != "0.0.0.0" {
			text = p.HostIP + ":" + text
		}
		ports = append(ports, text)
	}
	slices.Sort(networks)
	slices.Sort(hosts)
	slices.Sort(ports)
	return networks, hosts, ports
}

func sorted(m map[string]string) string {
	text, _ := json.Marshal(m)
	if len(m) == 0 {
		return ""
	}
	return string(text)
}

// Every key of the Compose specification is either supported or refused with
// a reason, so a new compose-go shows what has to be decided.
func TestEveryComposeKeyIsKnown(t *testing.T) {
	for _, key := range composeKeys(reflect.TypeFor[types.ServiceConfig]()) {
		_, faults := compose.Parse("x.yml", []byte("services: {a: {image: x, x-ros: {scope: system}, "+key+": [[]]}}"), nil)
		if slices.ContainsFunc(faults, func(f compose.Fault) bool { return strings.HasPrefix(f.Message, "unknown key") }) {
			t.Errorf("Compose has a key %q; it must be supported or refused with a reason", key)
		}
	}
}

func composeKeys(typ reflect.Type) []string {
	var keys []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case field.Anonymous:
			keys = append(keys, composeKeys(field.Type)...)
		case name == "" || name == "-" || name == "name" || strings.HasPrefix(name, "#") || strings.HasPrefix(options, "inline"):
		default:
			keys = append(keys, name)
		}
	}
	return keys
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("x-a: &a {image: x}\nservices:\n  a: {<<: *a, command: 'a b', x-ros: {scope: system}}\n"))
	f.Add([]byte("services:\r\n  a:\r\n    image: ros/a:${T:-1}\r\n    tmpfs: /run\r\n    x-ros: {scope: system}\r\n"))
	f.Add([]byte("networks: {n: }\nservices: {a: {build: .}}"))
	f.Fuzz(func(t *testing.T, file []byte) {
		start := time.Now()
		services, faults := compose.Parse("/etc/s/x.yml", file, nil)
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("Parse took %v", d)
		}
		if len(services) == 0 && len(faults) == 0 {
			t.Error("neither a service nor a fault")
		}
		for _, f := range faults {
			if f.Message == "" || f.File == "" {
				t.Errorf("fault without words or place: %+v", f)
			}
			if slices.ContainsFunc(services, func(s compose.Service) bool { return s.Name == f.Service }) {
				t.Errorf("service %q can be used and has a fault: %v", f.Service, f)
			}
		}
		for _, s := range services {
			compose.DefinitionHash(s)
		}
		agree(t, file)
	})
}

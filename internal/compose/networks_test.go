package compose_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
)

// TestNetworkKeys is what the keys of networks take and refuse. The lines stand
// in a service a, beginning on line 5; top is behind the services.
func TestNetworkKeys(t *testing.T) {
	for _, tt := range []struct {
		lines, top string
		faults     []string
	}{
		{lines: `ports: ["8080:80"]`},
		{lines: `ports: [8080:80, "127.0.0.1:8080:80"]`, faults: []string{`5: services.a.ports[1]: port 127.0.0.1:8080/tcp is given twice`}},
		{lines: `ports: [80]`, faults: []string{`5: services.a.ports[0]: "80" has no port of the machine: write PUBLISHED:TARGET`}},
		{lines: `ports: ["8000-8002:80"]`, faults: []string{`5: services.a.ports[0]: "8000-8002:80" has several ports of the machine for one of the container`}},
		{lines: `ports: ["1000-1999:1000-1999"]`},
		{lines: `ports: ["1000-2000:1000-2000"]`, faults: []string{`5: services.a.ports[0]: "1000-2000:1000-2000" are more than 1000 ports`}},
		{lines: `ports: ["[::1]:8080:80"]`, faults: []string{`5: services.a.ports[0]: "::1" is not supported in scope "system": the networks of the OS have IPv4 only`}},
		{lines: `ports: ["1000-1999:1000-1999", "80:80"]`, faults: []string{`5: services.a.ports[1]: a service of the OS has at most 1000 ports`}},
		{lines: `ports: ["8080:80/sctp"]`, faults: []string{`5: services.a.ports[0]: protocol "sctp" is not supported: it must be "tcp" or "udp"`}},
		{lines: `ports: ["0:80"]`, faults: []string{`5: services.a.ports[0]: a port is between 1 and 65535`}},
		{lines: `ports: ["web:80"]`, faults: []string{`5: services.a.ports[0]: "web:80" must be a port like "8080:80", "127.0.0.1:8080:80" or "8000-8010:8000-8010/udp": Invalid hostPort: web`}},
		{lines: `ports: [{target: 80}]`, faults: []string{`5: services.a.ports[0]: has no "published": which port of the machine is it?`}},
		{lines: `ports: [{published: 80}]`, faults: []string{`5: services.a.ports[0]: has no "target"`}},
		{lines: `ports: [{target: 80, published: 80-81}]`, faults: []string{`5: services.a.ports[0]: published: "80-81" must be one port`}},
		{lines: `ports: [{target: 80, publish: 80}]`, faults: []string{`5: services.a.ports[0].publish: unknown key (did you mean "published"?)`}},
		{lines: "ports: [80:80]\nnetwork_mode: host", faults: []string{`5: services.a.ports: contradicts "network_mode": a service has either`}},
		{lines: "networks: [default]\nnetwork_mode: none", faults: []string{`5: services.a.networks: contradicts "network_mode": a service has either`}},
		{lines: `expose: [3000, 4000-4001/udp]`},
		{lines: `expose: [web]`, faults: []string{`5: services.a.expose[0]: "web" must be a port like "3000", "3000/udp" or "3000-3010"`}},

		{lines: `networks: [n]`, faults: []string{`5: services.a.networks[0]: network "n" is not listed under "networks" at the top of the file`}},
		{lines: `networks: [a b]`, top: `networks: {a b: }`, faults: []string{`2: services.a: the file cannot be used: line 6: networks.a b: "a b" cannot be a name`, `6: networks.a b: "a b" cannot be a name`}},
		{lines: `networks: [n, n]`, top: `networks: {n: }`, faults: []string{`5: services.a.networks[1]: network "x_n" is given twice`}},
		{lines: `networks: {m: , n: }`, top: `networks: {n: {name: x}, m: {name: x}}`, faults: []string{`5: services.a.networks.n: network "x" is given twice`}},
		{lines: `networks: {n: {alias: [x]}}`, top: `networks: {n: }`, faults: []string{`5: services.a.networks.n.alias: unknown key`}},
		{lines: `networks: {n: {aliases: [a b]}}`, top: `networks: {n: }`, faults: []string{`5: services.a.networks.n.aliases[0]: "a b" cannot be the name of a container`}},
		{lines: `networks: {n: {priority: 1}}`, top: `networks: {n: }`, faults: []string{`5: services.a.networks.n.priority: is not supported in scope "system": networks are connected in the order of the alphabet`}},
		{lines: `networks: {n: {mac_address: "02:42:AC:11:65:43", interface_name: lan0}}`, top: `networks: {n: }`},
		{lines: `networks: {n: {mac_address: "03:42:ac:11:65:43"}}`, top: `networks: {n: }`, faults: []string{`5: services.a.networks.n.mac_address: "03:42:ac:11:65:43" must be a hardware address like 02:42:ac:11:65:43, the first number even`}},
		{lines: `networks: {n: {interface_name: a/b}}`, top: `networks: {n: }`, faults: []string{`5: services.a.networks.n.interface_name: "a/b" cannot be the name of an interface: it has at most 15 letters, digits and . _ -`}},
		{lines: `networks: {n: {interface_name: lo}}`, top: `networks: {n: }`, faults: []string{`5: services.a.networks.n.interface_name: "lo" cannot be the name of an interface: it has at most 15 letters, digits and . _ -`}},
		{lines: `networks: {m: {interface_name: eth1}, n: }`, top: `networks: {n: , m: }`, faults: []string{`5: services.a.networks: two interfaces have the name "eth1"`}},
		{lines: `mac_address: 02:42:ac:11:65:43`, faults: []string{`5: services.a.mac_address: is for services with a network of their own ("networks: [default]"); with that of the machine its files count`}},
		{lines: `networks: {n: {ipv4_address: 10.9.0.5}}`, top: `networks: {n: }`, faults: []string{`5: services.a.networks.n: ipv4_address: network "n" has no subnet of its own (ipam: {config: [{subnet: …}]})`}},
		{lines: `networks: {n: {ipv4_address: 10.8.0.5}}`, top: `networks: {n: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}`, faults: []string{`5: services.a.networks.n: ipv4_address: "10.8.0.5" is no address of 10.9.0.0/24`}},
		{lines: `networks: {n: {ipv4_address: 10.9.0.1}}`, top: `networks: {n: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}`, faults: []string{`5: services.a.networks.n: ipv4_address: "10.9.0.1" is the address of the machine`}},
		{lines: "networks: [n]\nports: [80:80]", top: `networks: {n: {internal: true}}`, faults: []string{`6: services.a.ports: cannot be reached: all networks of the service are "internal"`}},
		{lines: "networks: [default]\nuts: host", faults: []string{`6: services.a.uts: a service with a network of its own has a name of its own`}},

		{lines: "networks: [default]\nlinks: [b]", faults: []string{`6: services.a.links[0]: there is no service "b" with scope "system" in this file`}},
		{lines: "networks: [default]\nlinks: [a]", faults: []string{`6: services.a.links[0]: leads to the service itself`}},
		{lines: "networks: [default]\nlinks: ['b:c d']", faults: []string{`6: services.a.links[0]: "b:c d" must be SERVICE or SERVICE:NAME`}},
		{lines: `links: []`, faults: []string{`5: services.a.links: is for services with a network of their own ("networks: [default]"); with that of the machine its files count`}},
		{lines: `network_mode: bridge`, faults: []string{`5: services.a.network_mode: "bridge" is not supported: it must be "host", "none" or "service:NAME"`}},
		{lines: `network_mode: service:b`, faults: []string{`5: services.a.network_mode: there is no service "b" with scope "system" in this file`}},
		{lines: `network_mode: service:a`, faults: []string{`5: services.a.network_mode: service "a" has no network of its own ("networks: [default]")`}},
		{lines: `extra_hosts: ["x=1.2.3.4"]`, faults: []string{`5: services.a.extra_hosts: is for services with a network of their own ("networks: [default]"); with that of the machine its files count`}},
		{lines: "networks: [default]\nextra_hosts: [x]", faults: []string{`6: services.a.extra_hosts[0]: "x" must be NAME=ADDRESS`}},
		{lines: "networks: [default]\nextra_hosts: [x=y]", faults: []string{`6: services.a.extra_hosts[0]: "y" is no address: write NAME=ADDRESS or NAME=host-gateway`}},
		{lines: "networks: [default]\ndns: example.com", faults: []string{`6: services.a.dns: "example.com" is no address of a name server`}},
		{lines: "networks: [default]\ndns_search: ['a b']", faults: []string{`6: services.a.dns_search: "a b" cannot stand in resolv.conf`}},
	} {
		t.Run(strings.ReplaceAll(tt.lines+" "+tt.top, "\n", "|"), func(t *testing.T) {
			file := "services:\n  a:\n    image: ros/a\n    x-ros: {scope: system}\n    " + strings.ReplaceAll(tt.lines, "\n", "\n    ") + "\n" + tt.top + "\n"
			_, faults := compose.Parse("x.yml", []byte(file), nil)
			var got []string
			for _, line := range text(faults) {
				got = append(got, strings.TrimPrefix(line, "x.yml:"))
			}
			if diff := cmp.Diff(tt.faults, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			agree(t, []byte(file))
		})
	}
}

// A network that cannot be had costs the file, unless it may be for the user's
// engine: then those who are in it.
func TestTopNetworks(t *testing.T) {
	const a = "services: {a: {image: x, networks: [n], x-ros: {scope: system}}%s}\nnetworks: {n: {%s}}\n"
	for keys, want := range map[string]string{
		`driver: macvlan`:                                                `networks.n.driver: "macvlan" is not supported: it must be "bridge" or "default"`,
		`external: true`:                                                 `networks.n.external: is not supported in scope "system": give the network the same "name" in each of the files that share it`,
		`enable_ipv6: true`:                                              `networks.n.enable_ipv6: is not supported in scope "system": the networks of the OS have IPv4 only`,
		`driver_opts: {a: b}`:                                            `networks.n.driver_opts: is not supported in scope "system": the networks of the OS have no drivers with options`,
		`intenral: true`:                                                 `networks.n.intenral: unknown key (did you mean "internal"?)`,
		`ipam: {config: [{subnet: 10.9.0.1/24}]}`:                        `networks.n.ipam.config[0].subnet: "10.9.0.1/24" must be a subnet like 10.9.0.0/24, at most /30`,
		`ipam: {config: [{subnet: 127.9.0.0/24}]}`:                       `networks.n.ipam.config[0].subnet: "127.9.0.0/24" has no addresses that containers can have`,
		`ipam: {config: [{subnet: "fd00::/64"}]}`:                        `networks.n.ipam.config[0].subnet: is not supported in scope "system": the networks of the OS have IPv4 only`,
		`ipam: {config: [{subnet: 10.9.0.0/24}, {}]}`:                    `networks.n.ipam.config: a network of the OS has one subnet`,
		`ipam: {config: [{gateway: 10.9.0.1}]}`:                          `networks.n.ipam.config[0]: has a gateway and no subnet`,
		`ipam: {config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.255}]}`:   `networks.n.ipam.config[0]: gateway "10.9.0.255" is no address of 10.9.0.0/24`,
		`ipam: {config: [{subnet: 10.9.0.0/24, ip_range: 10.9.0.0/25}]}`: `networks.n.ipam.config[0].ip_range: is not supported in scope "system": give single services their "ipv4_address"`,
	} {
		alone := strings.Replace(strings.Replace(a, "%s", "", 1), "%s", keys, 1)
		services, faults := compose.Parse("x.yml", []byte(alone), nil)
		if len(services) > 0 || len(faults) != 2 || faults[0].Service+faults[1].Service != "a" || !strings.Contains(strings.Join(text(faults), "\n"), "x.yml:2: "+want) {
			t.Errorf("%s: %d services, faults %v, want %s", keys, len(services), text(faults), want)
		}
		beside := strings.Replace(strings.Replace(a, "%s", ", u: {image: y, networks: [n]}", 1), "%s", keys, 1)
		services, faults = compose.Parse("x.yml", []byte(beside), nil)
		if len(services) != 1 || services[0].Name != "u" || len(faults) != 1 || faults[0].Error() != "x.yml:2: "+want {
			t.Errorf("%s beside one of the user: %d services, faults %v, want %s", keys, len(services), text(faults), want)
		}
	}
}

// Files share a network by its name when they describe it alike.
func TestFilesShareANetwork(t *testing.T) {
	dir := t.TempDir()
	write := func(name, service, keys string) {
		text := "services: {" + service + ": {image: x, networks: [n], x-ros: {scope: system}}}\nnetworks: {n: {" + keys + "}}\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yml", "a", "name: meet")
	write("b.yml", "b", "name: meet")
	write("c.yml", "c", "")
	write("d.yml", "d", "name: meet, internal: true")
	services, faults := compose.LoadDir(dir)
	got := map[string]string{}
	for _, s := range services {
		got[s.Name] = s.Networks[0].Network.Name
	}
	if diff := cmp.Diff(map[string]string{"a": "meet", "b": "meet", "c": "c_n"}, got); diff != "" {
		t.Errorf("networks (-want +got):\n%s", diff)
	}
	want := []string{filepath.Join(dir, "d.yml") + `:1: services.d: network "meet" is another one in ` + filepath.Join(dir, "a.yml") + `: give one of the two another name`}
	if diff := cmp.Diff(want, text(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// Files of one name in two folders do not know of each other.
func TestNamesakesShareNoNetwork(t *testing.T) {
	dir := t.TempDir()
	var from compose.Sources
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name, "main.yml")
		file := "services:\n  " + name + ": {image: x, networks: [default], x-ros: {scope: system}}\n  " + name + "2: {image: x, networks: [meet], x-ros: {scope: system}}\nnetworks: {meet: {name: meet}}\n"
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		from.Files = append(from.Files, path)
	}
	services, faults := compose.LoadAll(from)
	if len(services) != 3 {
		t.Errorf("%d services, want a, a2 and b2", len(services))
	}
	want := []string{from.Files[1] + `:2: services.b: network "main_default" is another one in ` + from.Files[0] + `: give one of the two another name`}
	if diff := cmp.Diff(want, text(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestProjectNames(t *testing.T) {
	const file = "services: {a: {image: x, ports: [80:80], x-ros: {scope: system}}}\n"
	for path, want := range map[string]string{"/x/shop.yml": "shop_default", "/x/shop/compose.yml": "shop_default", "/x/shop/docker-compose.yaml": "shop_default"} {
		services, _ := compose.Parse(path, []byte(file), nil)
		if got := services[0].Networks[0].Network.Name; got != want {
			t.Errorf("%s: network %q, want %q", path, got, want)
		}
	}
	for name, want := range map[string]string{"other": "other_default", "${STAGE}-shop": "test-shop_default"} {
		services, faults := compose.Parse("/x/shop.yml", []byte("name: "+name+"\n"+file), map[string]string{"STAGE": "test"})
		if len(faults) > 0 || services[0].Networks[0].Network.Name != want {
			t.Errorf("name: %s: %+v, faults %v, want the network %s", name, services, text(faults), want)
		}
	}
	_, faults := compose.Parse("x.yml", []byte("name: ${STAGE}\n"+file), nil)
	if got := text(faults); len(got) != 2 || got[0] != "x.yml:1: name: variable ${STAGE} is not set: write ${NAME:-value} for a default, or $$ for a dollar sign" {
		t.Errorf("faults of a name that is not set: %q", got)
	}
}

// Ports need a network, also of a service that lists none.
func TestPortsWithoutANetwork(t *testing.T) {
	for _, networks := range []string{"[]", "{}"} {
		services, faults := compose.Parse("x.yml", []byte("services: {a: {image: x, ports: [80:80], networks: "+networks+", x-ros: {scope: system}}}\n"), nil)
		if len(faults) > 0 || services[0].NetworkMode != compose.NetworkBridge || services[0].Networks[0].Network.Name != "x_default" {
			t.Errorf("networks: %s: %+v, faults %v", networks, services, text(faults))
		}
	}
}

// A link is a name for one service alone, and an order.
func TestLinks(t *testing.T) {
	const file = `services:
  web: {image: x, networks: [front], links: [db, "db:store"], x-ros: {scope: system}}
  db: {image: x, networks: [front, back], x-ros: {scope: system}}
  log: {image: x, networks: [back], links: [%s], x-ros: {scope: system}}
networks: {front: , back: }
`
	services, faults := compose.Parse("x.yml", []byte(strings.Replace(file, "%s", "", 1)), nil)
	if len(faults) > 0 {
		t.Fatalf("faults %v", text(faults))
	}
	if diff := cmp.Diff([]compose.Link{{Service: "db", Alias: "db"}, {Service: "db", Alias: "store"}}, services[0].Links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]compose.Dependency{{Service: "db", Condition: compose.Started, Required: true, Line: 2}}, services[0].DependsOn); diff != "" {
		t.Errorf("depends_on (-want +got):\n%s", diff)
	}
	_, faults = compose.Parse("x.yml", []byte(strings.Replace(file, "%s", "web", 1)), nil)
	if diff := cmp.Diff([]string{`x.yml:4: services.log.links[0]: service "web" is in no network that this one is in`}, text(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// mac_address of a service is that of its first network, unless that has one.
func TestHardwareAddresses(t *testing.T) {
	const file = "services: {a: {image: x, mac_address: '02:00:00:00:00:0A', networks: {n: , m: {%s}}, x-ros: {scope: system}}}\nnetworks: {n: , m: }\n"
	for keys, want := range map[string]string{"": "02:00:00:00:00:0a ", "mac_address: '02:00:00:00:00:0b'": "02:00:00:00:00:0b "} {
		services, faults := compose.Parse("x.yml", []byte(strings.Replace(file, "%s", keys, 1)), nil)
		if len(faults) > 0 {
			t.Fatalf("faults %v", text(faults))
		}
		if n := services[0].Networks; n[0].MAC+" "+n[1].MAC != want {
			t.Errorf("%q: addresses %q and %q, want %q", keys, n[0].MAC, n[1].MAC, want)
		}
	}
}

// Who is in the network of another has its name, and goes with it.
func TestNetworkOfAnotherService(t *testing.T) {
	const file = `services:
  web: {image: x, networks: [default], hostname: www, x-ros: {scope: system}}
  spy: {image: x, network_mode: "service:web", depends_on: {web: {condition: service_started, required: false}}, %s x-ros: {scope: system}}
  far: {image: x, x-ros: {scope: system}}
`
	services, faults := compose.Parse("x.yml", []byte(strings.Replace(file, "%s", "", 1)), nil)
	if len(faults) > 0 {
		t.Fatalf("faults %v", text(faults))
	}
	spy := services[1]
	if spy.NetworkOf() != "web" || spy.Hostname != "www" || services[0].NetworkOf() != "web" || services[2].NetworkOf() != "" {
		t.Errorf("networks of %q, %q and %q, hostname %q", spy.NetworkOf(), services[0].NetworkOf(), services[2].NetworkOf(), spy.Hostname)
	}
	if diff := cmp.Diff([]compose.Dependency{{Service: "web", Condition: compose.Started, Required: true, Network: true, Line: 3}}, spy.DependsOn); diff != "" {
		t.Errorf("depends_on (-want +got):\n%s", diff)
	}
	for keys, want := range map[string]string{
		"hostname: h,":  `services.spy.hostname: in the network of another service it has the name of that`,
		"uts: host,":    `services.spy.uts: a service with a network of its own has a name of its own`,
		"dns: 9.9.9.9,": `services.spy.dns: is for services with a network of their own ("networks: [default]"); with that of the machine its files count`,
	} {
		_, faults := compose.Parse("x.yml", []byte(strings.Replace(file, "%s", keys, 1)), nil)
		if diff := cmp.Diff([]string{"x.yml:3: " + want}, text(faults)); diff != "" {
			t.Errorf("faults (-want +got):\n%s", diff)
		}
	}
	_, faults = compose.Parse("x.yml", []byte(strings.ReplaceAll(strings.Replace(file, "%s", "", 1), "service:web", "service:far")), nil)
	if diff := cmp.Diff([]string{`x.yml:3: services.spy.network_mode: service "far" has no network of its own ("networks: [default]")`}, text(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

package compose_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rosteros/ros/internal/compose"
)

func TestParseConfig(t *testing.T) {
	env := map[string]string{"ZONE": "eu$1", "ECS_A": "1", "ECS_B": "2", "agent/KEY": "own", "KEY": "all"}
	for _, tt := range []struct {
		name     string
		services map[string]string
		want     func(s *compose.Service) // of the service "agent"; nil: it is not loaded
		faults   []string
	}{
		{
			name: "a system service of RancherOS",
			services: map[string]string{"agent": `
image: ros/console
command: sleep 10
privileged: true
net: host
pid: host
links: [a]
log_driver: json-file
log_opt: {max-size: 25m}
restart: always
volumes_from: [media-volumes, user-volumes]
volumes: ["/opt/agent:/opt", "/home:/home:ro"]
environment: [A=b, ZONE, ECS_*, KEY, MISSING]
labels:
  io.rancher.os.scope: system
  io.rancher.os.after: network, console
  io.rancher.os.reloadconfig: "true"
  io.docker.compose.rebuild: always
  mine: kept
`},
			want: func(s *compose.Service) {
				s.Image, s.Command = "ros/console", []string{"sleep", "10"}
				s.Privileged, s.PrivilegedWhy, s.NoNewPrivileges = true, "its cloud-config says so", false
				s.PidMode = "host"
				s.Restart.Mode = compose.RestartAlways
				s.Mounts = []compose.Mount{
					{Type: "bind", Source: "/media", Target: "/media", Propagation: "rshared", CreateHost: true},
					{Type: "bind", Source: "/mnt", Target: "/mnt", Propagation: "rshared", CreateHost: true},
					{Type: "bind", Source: "/home", Target: "/home", CreateHost: true},
					{Type: "bind", Source: "/opt", Target: "/opt", CreateHost: true},
					{Type: "bind", Source: "/var/lib/kubelet", Target: "/var/lib/kubelet", Propagation: "rshared", CreateHost: true},
				}
				s.Env = []string{"A=b", "ECS_A=1", "ECS_B=2", "KEY=own", "ZONE=eu$1"}
				s.Labels = map[string]string{"mine": "kept"}
				s.ReloadConfig = true
				s.DependsOn = []compose.Dependency{
					{Service: "console", Condition: compose.Started},
					{Service: "network", Condition: compose.Healthy},
				}
			},
		},
		{
			name: "one that ends, after another that ends",
			services: map[string]string{
				"first": "image: ros/console\nlabels: [io.rancher.os.scope=system, io.rancher.os.detach=false]\n",
				"agent": "image: ros/console\nrestart: always\ndepends_on: [network]\nlabels: [io.rancher.os.scope=system, io.rancher.os.detach=false, \"io.rancher.os.after=first,cloud-init\"]\n",
			},
			want: func(s *compose.Service) {
				s.Image = "ros/console"
				s.DependsOn = []compose.Dependency{
					{Service: "datasource", Condition: compose.Completed},
					{Service: "first", Condition: compose.Completed},
					{Service: "network", Condition: compose.Started, Required: true},
				}
			},
		},
		{
			name:     "today's Compose",
			services: map[string]string{"agent": "image: ros/ntp\nx-ros: {scope: system, required: true}\nread_only: true\n"},
			want:     func(s *compose.Service) { s.Image, s.Required, s.ReadOnly = "ros/ntp", true, true },
		},
		{
			name:     "today's Compose, with a port",
			services: map[string]string{"agent": "image: ros/ntp\nx-ros: {scope: system}\nports: ['8080:80']\n"},
			want: func(s *compose.Service) {
				s.Image, s.NetworkMode = "ros/ntp", compose.NetworkBridge
				s.Networks = []compose.Attachment{{Network: compose.Network{Name: "c_default"}}}
				s.Ports = []compose.Port{{Published: 8080, Target: 80, Protocol: "tcp"}}
			},
		},
		{
			name:     "for the user's engine",
			services: map[string]string{"agent": "image: nginx\nports: [80:80]\n"},
			want: func(s *compose.Service) {
				*s = compose.Service{Name: "agent", File: "c.yml", Line: 7, Scope: compose.ScopeUser, Image: "nginx"}
			},
		},
		{
			name:     "one that lends volumes is not run",
			services: map[string]string{"agent": "image: x\nvolumes: [/a:/a]\nlabels: {io.rancher.os.scope: system, io.rancher.os.createonly: 'true'}\n"},
		},
		{
			name:     "volumes of nobody",
			services: map[string]string{"agent": "image: x\nvolumes_from: [nobody]\nlabels: {io.rancher.os.scope: system}\n"},
			faults:   []string{`c.yml:7: rancher.services.agent: volumes_from: there is no "nobody"`},
		},
		{
			name:     "no mapping",
			services: map[string]string{"agent": "- a\n"},
			faults:   []string{`c.yml:7: rancher.services.agent: must be a mapping (key: value)`},
		},
		{
			name:     "an unknown key",
			services: map[string]string{"agent": "image: x\nimge: y\nlabels: {io.rancher.os.scope: system}\n"},
			faults:   []string{`c.yml:7: rancher.services.agent.imge: unknown key (did you mean "image"?)`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var given []compose.ConfigService
			for name, text := range tt.services {
				given = append(given, compose.ConfigService{Name: name, YAML: []byte(text), File: "c.yml", Line: 7})
			}
			services, wrong := compose.ParseConfig(given, compose.Setting{Env: env})
			var faults []string
			for _, f := range wrong {
				faults = append(faults, f.Error())
			}
			if diff := cmp.Diff(tt.faults, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			var got []compose.Service
			for _, s := range services {
				if s.Name == "agent" {
					got = append(got, s)
				}
			}
			var want []compose.Service
			if tt.want != nil {
				plain, faults := compose.Parse("c.yml", []byte("services: {agent: {image: x, x-ros: {scope: system}}}"), nil)
				if len(faults) > 0 {
					t.Fatal(faults)
				}
				plain[0].Line = 7
				tt.want(&plain[0])
				want = plain
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(compose.Dependency{}, "Line")); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("image: x\nlabels: {io.rancher.os.scope: system, io.rancher.os.after: network}\nvolumes_from: [all-volumes]\nenvironment: [A, B=c]\n")
	f.Add("depends_on: {a: {}}\nlabels: [io.rancher.os.scope=system]\nprivileged: true\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, faults := compose.ParseConfig([]compose.ConfigService{{Name: "a", YAML: []byte(text), File: "c.yml", Line: 3}}, compose.Setting{Env: map[string]string{"A": "1"}})
		for _, fault := range faults {
			if !strings.HasPrefix(fault.Error(), "c.yml") || fault.Message == "" {
				t.Errorf("fault %q", fault.Error())
			}
		}
	})
}

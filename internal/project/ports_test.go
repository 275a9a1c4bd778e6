package project_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
)

func TestPorts(t *testing.T) {
	for _, tt := range []struct {
		name, create string
		want         []string
	}{
		{name: "none", create: `{"ExposedPorts": {"80/tcp": {}}}`},
		{name: "one", create: `{"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}}`, want: []string{"8080->80/tcp"}},
		{
			name:   "addresses and protocols",
			create: `{"HostConfig": {"PortBindings": {"53/udp": [{"HostIp": "::1", "HostPort": "53"}], "53/tcp": [{"HostIp": "127.0.0.1", "HostPort": "53"}, {"HostPort": "5353"}]}}}`,
			want:   []string{"5353->53/tcp", "127.0.0.1:53->53/tcp", "[::1]:53->53/udp"},
		},
		{name: "a run", create: `{"HostConfig": {"PortBindings": {"9/tcp": [{"HostPort": "99"}], "10/tcp": [{"HostPort": "100"}], "11/tcp": [{"HostPort": "101"}], "12/tcp": [{"HostPort": "200"}]}}}`,
			want: []string{"99-101->9-11/tcp", "200->12/tcp"}},
		{name: "what the engine chooses", create: `{"HostConfig": {"PortBindings": {"80/tcp": [{}], "81/tcp": [{"HostPort": "8000-8010"}]}}}`,
			want: []string{"any->80/tcp", "8000-8010->81/tcp"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := project.With(compose.Service{Name: "web"}, project.Container{Create: json.RawMessage(tt.create)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, project.Ports(s)); diff != "" {
				t.Errorf("Ports (-want +got):\n%s", diff)
			}
		})
	}
	s := compose.Service{Name: "clock", Scope: compose.ScopeSystem}
	if got := project.Ports(s); got != nil {
		t.Errorf("Ports of a service without = %q, want none", got)
	}
	s.Ports = []compose.Port{{Published: 8001, Target: 81, Protocol: "tcp"}, {HostIP: "127.0.0.1", Published: 53, Target: 53, Protocol: "udp"}, {Published: 8000, Target: 80, Protocol: "tcp"}}
	if diff := cmp.Diff([]string{"8000-8001->80-81/tcp", "127.0.0.1:53->53/udp"}, project.Ports(s)); diff != "" {
		t.Errorf("Ports of a service of the system (-want +got):\n%s", diff)
	}
}

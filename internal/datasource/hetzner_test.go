package datasource_test

import (
	"testing"

	"github.com/rosteros/ros/internal/datasource"
)

func TestHetzner(t *testing.T) {
	address := start(t, &fakeCloud{pages: map[string]string{
		"GET /hetzner/v1/metadata": `availability-zone: fsn1-dc14
hostname: web
instance-id: 42
network-config:
  config:
  - mac_address: 96:00:00:0a:0b:0c
    name: eth0
    subnets:
    - ipv4: true
      type: dhcp
    - address: 2001:db8:c012:1::1/64
      dns_nameservers:
      - 2001:db8::53
      gateway: fe80::1
      ipv6: true
      type: static
    type: physical
  version: 1
public-ipv4: 192.0.2.7
public-keys:
- ssh-ed25519 AAAAC3one a
vendor_data: |
  Content-Type: multipart/mixed
`,
		"GET /hetzner/v1/userdata": "#cloud-config\n",
	}})
	got, err := oneSource(t, datasource.Machine{}, "hetzner:"+address).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, got, datasource.Data{
		InstanceID: "42",
		Hostname:   "web",
		SSHKeys:    []string{"ssh-ed25519 AAAAC3one a"},
		UserData:   []byte("#cloud-config\n"),
	}, `
dns:
    nameservers:
        - 2001:db8::53
interfaces:
    eth0:
        match: mac=96:00:00:0a:0b:0c
        dhcp: true
        addresses:
            - 2001:db8:c012:1::1/64
        gateway_ipv6: fe80::1
`)
}

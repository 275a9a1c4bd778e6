package datasource_test

import (
	"testing"

	"github.com/rosteros/ros/internal/datasource"
)

func TestDigitalOcean(t *testing.T) {
	address := start(t, &fakeCloud{pages: map[string]string{
		"GET /metadata/v1.json": `{
			"droplet_id": 2756294,
			"hostname": "web",
			"vendor_data": "#!/bin/sh\n# for their own images",
			"public_keys": ["ssh-rsa AAAAB3one a"],
			"interfaces": {
				"public": [{
					"ipv4": {"ip_address": "192.0.2.7", "netmask": "255.255.240.0", "gateway": "192.0.0.1"},
					"ipv6": {"ip_address": "2001:0DB8::7", "cidr": 64, "gateway": "2001:0DB8::1"},
					"anchor_ipv4": {"ip_address": "10.17.0.9", "netmask": "255.255.0.0", "gateway": "10.17.0.1"},
					"mac": "04:01:2A:0F:2A:01", "type": "public"
				}],
				"private": [
					{"ipv4": {"ip_address": "10.132.75.35", "netmask": "255.255.0.0", "gateway": "10.132.0.1"}, "mac": "04:01:2a:0f:2a:02"},
					{"ipv4": {"ip_address": "10.133.75.35", "netmask": "255.0.255.0"}, "mac": "04:01:2a:0f:2a:03"},
					{"ipv4": {"ip_address": "10.134.75.35", "netmask": "255.255.0.0"}}
				]
			},
			"dns": {"nameservers": ["2001:db8::53", "192.0.2.53"]}
		}`,
		"GET /metadata/v1/user-data": "#cloud-config\n",
	}})
	got, err := oneSource(t, datasource.Machine{}, "digitalocean:"+address).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, got, datasource.Data{
		InstanceID: "2756294",
		Hostname:   "web",
		SSHKeys:    []string{"ssh-rsa AAAAB3one a"},
		UserData:   []byte("#cloud-config\n"),
		Notes: []string{
			`network: link "private1": "255.0.255.0" is not the mask of an address such as 10.133.75.35`,
			`network: link "private2": "" is not a hardware address`,
		},
	}, `
dns:
    nameservers:
        - 2001:db8::53
        - 192.0.2.53
interfaces:
    private0:
        match: mac=04:01:2a:0f:2a:02
        addresses:
            - 10.132.75.35/16
    public0:
        match: mac=04:01:2a:0f:2a:01
        addresses:
            - 192.0.2.7/20
            - 10.17.0.9/16
            - 2001:db8::7/64
        gateway: 192.0.0.1
        gateway_ipv6: 2001:db8::1
`)
}

func TestDigitalOceanWithoutNetwork(t *testing.T) {
	address := start(t, &fakeCloud{pages: map[string]string{"GET /metadata/v1.json": `{"droplet_id": 1}`}})
	got, err := oneSource(t, datasource.Machine{}, "digitalocean:"+address).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, got, datasource.Data{InstanceID: "1"}, "")
}

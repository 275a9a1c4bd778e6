package datasource_test

import (
	"testing"

	"github.com/rosteros/ros/internal/datasource"
)

func TestOpenStack(t *testing.T) {
	const meta = `{"uuid": "d8e02d56-2648-49a3-bf97-6be8f1204f38", "hostname": "web.novalocal", "name": "web",
		"public_keys": {"b": "ssh-rsa AAAAB3two b\n", "a": "ssh-rsa AAAAB3one a\n"}, "keys": []}`
	all := datasource.Data{
		InstanceID: "d8e02d56-2648-49a3-bf97-6be8f1204f38",
		Hostname:   "web.novalocal",
		SSHKeys:    []string{"ssh-rsa AAAAB3one a", "ssh-rsa AAAAB3two b"},
		UserData:   []byte("#cloud-config\n"),
		VendorData: []byte("#cloud-config\n{}\n"),
	}
	tests := []struct {
		name    string
		pages   map[string]string
		want    datasource.Data
		network string
	}{
		{
			name: "everything",
			pages: map[string]string{
				"GET /openstack/latest/meta_data.json":   meta,
				"GET /openstack/latest/user_data":        "#cloud-config\n",
				"GET /openstack/latest/vendor_data.json": `{"cloud-init": "#cloud-config\n{}\n", "other": {"a": 1}}`,
				"GET /openstack/latest/network_data.json": `{
					"links": [{"id": "tap0", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:01", "mtu": 1450}],
					"networks": [{"id": "network0", "type": "ipv4", "link": "tap0", "ip_address": "192.0.2.7", "netmask": "255.255.255.0",
						"routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}]}],
					"services": [{"type": "dns", "address": "192.0.2.53"}]
				}`,
			},
			want: all,
			network: `
dns:
    nameservers:
        - 192.0.2.53
interfaces:
    tap0:
        match: mac=fa:16:3e:00:00:01
        dhcp: false
        addresses:
            - 192.0.2.7/24
        gateway: 192.0.2.1
        mtu: 1450
`,
		},
		{
			name: "vendor data is a text, network data is nonsense",
			pages: map[string]string{
				"GET /openstack/latest/meta_data.json":    meta,
				"GET /openstack/latest/user_data":         "#cloud-config\n",
				"GET /openstack/latest/vendor_data.json":  `"#cloud-config\n{}\n"`,
				"GET /openstack/latest/network_data.json": `{`,
			},
			want: func() datasource.Data {
				d := all
				d.Notes = []string{"network: cannot read network_data.json: unexpected end of JSON input"}
				return d
			}(),
		},
		{
			name:  "meta-data only",
			pages: map[string]string{"GET /openstack/latest/meta_data.json": `{"uuid": "1", "name": "web"}`},
			want:  datasource.Data{InstanceID: "1", Hostname: "web"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := oneSource(t, datasource.Machine{}, "openstack:"+start(t, &fakeCloud{pages: test.pages})).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantData(t, got, test.want, test.network)
		})
	}
}

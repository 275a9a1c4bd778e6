package datasource_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
)

const vmwareOVF = `<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"
  xmlns:ve="http://www.vmware.com/schema/ovfenv" oe:id="" ve:vCenterId="vm-12345">
  <PlatformSection><Kind>VMware ESXi</Kind><Version>8.0.2</Version></PlatformSection>
  <PropertySection>
    <Property oe:key="guestinfo.hostname" oe:value="web"/>
    <Property oe:key="guestinfo.cloud-init.config.data" oe:value="I2Nsb3VkLWNvbmZpZwo="/>
    <Property oe:key="guestinfo.cloud-init.config.data.encoding" oe:value="base64"/>
    <Property oe:key="guestinfo.dns.server.0" oe:value="192.0.2.53"/>
    <Property oe:key="guestinfo.interface.0.name" oe:value="eth0"/>
    <Property oe:key="guestinfo.interface.0.dhcp" oe:value="no"/>
    <Property oe:key="guestinfo.interface.0.ip.0.address" oe:value="192.0.2.7/24"/>
    <Property oe:key="guestinfo.interface.0.route.0.gateway" oe:value="192.0.2.1"/>
    <Property oe:key="guestinfo.interface.0.route.0.destination" oe:value="0.0.0.0/0"/>
    <Property oe:key="empty" oe:value=""/>
  </PropertySection>
</Environment>`

const vmwareOVFNetwork = `
dns:
    nameservers:
        - 192.0.2.53
interfaces:
    eth0:
        dhcp: false
        addresses:
            - 192.0.2.7/24
        gateway: 192.0.2.1
`

var vmwareOVFData = datasource.Data{Hostname: "web", UserData: []byte("#cloud-config\n")}

// zipped is text as gzip+base64.
func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func TestVMwareGuestinfo(t *testing.T) {
	web := start(t, &fakeCloud{pages: map[string]string{"GET /config": "#cloud-config\n"}})
	tests := []struct {
		name      string
		variables map[string]string
		want      datasource.Data
		network   string
	}{
		{
			name: "cloud-init",
			variables: map[string]string{
				"metadata": zipped(t, "instance-id: i-1\nlocal-hostname: web\npublic-keys-data: |\n  ssh-rsa AAAAB3one a\n"+
					"network:\n  version: 2\n  ethernets:\n    nic0:\n      match: {macaddress: 00:50:56:00:00:01}\n      addresses: [192.0.2.7/24]\n"),
				"metadata.encoding":   "gzip+base64",
				"userdata":            "I2Nsb3VkLWNvbmZpZwo=",
				"userdata.encoding":   "b64",
				"vendordata":          "#cloud-config\n{}\n",
				"vendordata.encoding": "",
				"hostname":            "not this one",
			},
			want: datasource.Data{
				InstanceID: "i-1",
				Hostname:   "web",
				SSHKeys:    []string{"ssh-rsa AAAAB3one a"},
				UserData:   []byte("#cloud-config\n"),
				VendorData: []byte("#cloud-config\n{}"),
			},
			network: `
interfaces:
    nic0:
        match: mac=00:50:56:00:00:01
        dhcp: false
        addresses:
            - 192.0.2.7/24
`,
		},
		{
			name: "cloud-init, JSON with an encoded network",
			variables: map[string]string{
				"metadata": `{"instance-id": "i-1", "network.encoding": "gzip+base64", "network": "` +
					zipped(t, `{"version": 2, "ethernets": {"eth0": {"dhcp4": true}}}`) + `"}`,
			},
			want: datasource.Data{InstanceID: "i-1"},
			network: `
interfaces:
    eth0:
        dhcp: true
`,
		},
		{
			name:      "cloud-init, wiped",
			variables: map[string]string{"metadata": "instance-id: i-1\n", "userdata": "---", "vendordata": " "},
			want:      datasource.Data{InstanceID: "i-1"},
		},
		{
			name:      "cloud-init, nonsense",
			variables: map[string]string{"metadata": "[1, 2]", "hostname": "web"},
			want: datasource.Data{
				InstanceID: "420c1b2a-0000-4000-8000-000000000001",
				Hostname:   "web",
				Notes:      []string{`guestinfo.metadata: line 1: must be a mapping ("key: value" on its first line)`},
			},
		},
		{
			name: "RancherOS",
			variables: map[string]string{
				"hostname":                               "web",
				"cloud-init.config.data":                 "#cloud-config\n",
				"dns.server.0":                           "192.0.2.53",
				"dns.server.1":                           "2001:db8::53",
				"dns.domain.0":                           "example.com",
				"interface.0.name":                       "eth0",
				"interface.0.dhcp":                       "yes",
				"interface.1.mac":                        "00:50:56:00:00:01",
				"interface.1.role":                       "private",
				"interface.1.ip.0.address":               "10.0.0.7/8",
				"interface.1.ip.1.address":               "10.0.0.8",
				"interface.1.ip.2.address":               "nowhere",
				"interface.1.route.0.gateway":            "10.0.0.1",
				"interface.1.route.0.destination":        "172.16.0.0/12",
				"interface.1.route.1.gateway":            "10.0.0.2",
				"interface.3.name":                       "eth3",
				"cloud-init.config.url":                  "http://127.0.0.1:1/not-asked",
				"coreos.config.data":                     "#cloud-config\nhostname: old\n",
				"interface.1.route.3.destination.ignore": "x",
			},
			want: datasource.Data{
				InstanceID: "420c1b2a-0000-4000-8000-000000000001",
				Hostname:   "web",
				UserData:   []byte("#cloud-config"),
				Notes:      []string{`network: interface.1: "nowhere" is not an IP address`},
			},
			network: `
dns:
    nameservers:
        - 192.0.2.53
        - 2001:db8::53
    search:
        - example.com
interfaces:
    eth0:
        dhcp: true
    interface.1:
        match: mac=00:50:56:00:00:01
        addresses:
            - 10.0.0.7/8
            - 10.0.0.8/32
        gateway: 10.0.0.2
        routes:
            - to: 172.16.0.0/12
              via: 10.0.0.1
`,
		},
		{
			name:      "RancherOS, address",
			variables: map[string]string{"cloud-init.config.url": web + "/config"},
			want:      datasource.Data{InstanceID: "420c1b2a-0000-4000-8000-000000000001", UserData: []byte("#cloud-config\n")},
		},
		{
			name:      "CoreOS",
			variables: map[string]string{"coreos.config.data": zipped(t, "#cloud-config\n"), "coreos.config.data.encoding": "gz+b64"},
			want:      datasource.Data{InstanceID: "420c1b2a-0000-4000-8000-000000000001", UserData: []byte("#cloud-config\n")},
		},
		{
			name:      "OVF environment",
			variables: map[string]string{"ovfEnv": vmwareOVF},
			want: datasource.Data{
				InstanceID: "420c1b2a-0000-4000-8000-000000000001",
				Hostname:   vmwareOVFData.Hostname,
				UserData:   vmwareOVFData.UserData,
			},
			network: vmwareOVFNetwork,
		},
		{
			name: "appliance",
			variables: map[string]string{"ovfEnv": `<Environment><PropertySection>
				<Property key="instance-id" value="id-1"/><Property key="hostname" value="web"/>
				<Property key="public-keys" value="ssh-rsa AAAAB3one a"/>
				<Property key="user-data" value="I2Nsb3VkLWNvbmZpZwo="/></PropertySection></Environment>`},
			want: datasource.Data{
				InstanceID: "id-1",
				Hostname:   "web",
				SSHKeys:    []string{"ssh-rsa AAAAB3one a"},
				UserData:   []byte("#cloud-config\n"),
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := datasource.Machine{DMI: map[string]string{"product_uuid": "420C1B2A-0000-4000-8000-000000000001"}}
			h := &hypervisor{variables: test.variables}
			got, err := datasource.WithBackdoor(oneSource(t, m, "vmware"), h.in).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantData(t, got, test.want, test.network)
		})
	}
}

func TestVMwareErrors(t *testing.T) {
	tests := []struct {
		name      string
		variables map[string]string
		absent    bool
		err       string
	}{
		{"nothing is set", nil, true, "neither guestinfo variables nor an OVF environment: not there"},
		{"encoding", map[string]string{"userdata": "x", "userdata.encoding": "rot13"}, false, `guestinfo.userdata: unknown encoding "rot13"`},
		{
			"base64", map[string]string{"userdata": "*", "userdata.encoding": "b64"}, false,
			"guestinfo.userdata: cannot decode base64: illegal base64 data at input byte 0",
		},
		{"gzip", map[string]string{"userdata": "eA==", "userdata.encoding": "gz+b64"}, false, "guestinfo.userdata: cannot unpack: unexpected EOF"},
		{"OVF environment", map[string]string{"ovfEnv": "web"}, false, "cannot read the OVF environment: EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &hypervisor{variables: test.variables}
			_, err := datasource.WithBackdoor(oneSource(t, datasource.Machine{}, "vmware"), h.in).Fetch(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.err, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if errors.Is(err, datasource.ErrAbsent) != test.absent {
				t.Errorf("absent must be %v", test.absent)
			}
		})
	}
}

func TestVMwareOVF(t *testing.T) {
	noDoor := func(*datasource.Registers) error { return datasource.ErrAbsent }
	t.Run("CD", func(t *testing.T) {
		m := datasource.Machine{Disks: fakeVolumes{
			{Label: "ovf env", Type: "iso9660"}: fstest.MapFS{"ovf-env.xml": {Data: []byte(vmwareOVF)}},
		}}
		got, err := datasource.WithBackdoor(oneSource(t, m, "vmware"), noDoor).Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantData(t, got, vmwareOVFData, vmwareOVFNetwork)
	})
	t.Run("file", func(t *testing.T) {
		root := t.TempDir()
		writeFile(t, root+"/media/ovf-env.xml", []byte(vmwareOVF))
		got, err := oneSource(t, datasource.Machine{Root: root}, "vmware:/media/ovf-env.xml").Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantData(t, got, vmwareOVFData, vmwareOVFNetwork)
	})
	t.Run("no file", func(t *testing.T) {
		_, err := oneSource(t, datasource.Machine{}, "vmware:/media/ovf-env.xml").Fetch(t.Context())
		if !errors.Is(err, datasource.ErrAbsent) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
}

// FuzzVMware: whatever a property says, no panic, and the config takes the
// network that comes of it.
func FuzzVMware(f *testing.F) {
	f.Add("hostname", "web", "interface.0.mac", "00:0c:29:00:00:01", "interface.0.ip.0.address", "192.0.2.7/24")
	f.Add("metadata", "instance-id: a\nnetwork: {version: 2, ethernets: {a: {dhcp4: true}}}\n", "userdata", "IyEvYmluL3NoCg==", "userdata.encoding", "base64")
	f.Add("dns.server.0", "192.0.2.53", "interface.0.name", "eth0", "interface.0.route.0.gateway", "192.0.2.1")
	f.Add("user-data", "#cloud-config", "public-keys", "ssh-rsa AAAA a", "instance-id", "i-1")
	file := filepath.Join(f.TempDir(), "ovf-env.xml")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, name3, value3 string) {
		var b bytes.Buffer
		b.WriteString("<Environment><PropertySection>")
		for _, p := range [][2]string{{name1, value1}, {name2, value2}, {name3, value3}} {
			b.WriteString("<Property key=\"")
			xml.EscapeText(&b, []byte(p[0]))
			b.WriteString("\" value=\"")
			xml.EscapeText(&b, []byte(p[1]))
			b.WriteString("\"/>")
		}
		b.WriteString("</PropertySection></Environment>")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		sources, errs := datasource.Detect(datasource.Machine{Root: "/"}, []string{"vmware:" + file})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop() // nobody is asked for what is behind an address
		if data, err := sources[0].Fetch(ctx); err == nil {
			load(t, data.Network)
		}
	})
}

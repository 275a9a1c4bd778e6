package datasource_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
)

const azureInstance = "GET /metadata/instance?api-version=2021-01-01"

// azureDVD is the disk of a machine's first boot.
func azureDVD(ovf string) datasource.Disks {
	return fakeVolumes{{Type: "udf"}: fstest.MapFS{"ovf-env.xml": {Data: []byte(ovf)}}}
}

const azureOVF = `<?xml version="1.0" encoding="utf-8"?>
<ns0:Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" xmlns:ns1="http://schemas.microsoft.com/windowsazure">
  <ns1:ProvisioningSection>
    <ns1:Version>1.0</ns1:Version>
    <ns1:LinuxProvisioningConfigurationSet>
      <ns1:ConfigurationSetType>LinuxProvisioningConfiguration</ns1:ConfigurationSetType>
      <ns1:HostName>web</ns1:HostName>
      <ns1:CustomData>I2Nsb3VkLWNv
        bmZpZwo=</ns1:CustomData>
    </ns1:LinuxProvisioningConfigurationSet>
  </ns1:ProvisioningSection>
</ns0:Environment>`

func TestAzure(t *testing.T) {
	const id = "02aab8a4-74ef-476e-8182-f6d2ba4166a6"
	compute := func(rest string) string { return `{"compute":{"vmId":"` + id + `"` + rest + `}}` }
	script := base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\n"))
	tests := []struct {
		name     string
		instance string
		disks    datasource.Disks
		want     datasource.Data
	}{
		{
			name: "user data",
			instance: compute(`,"name":"web_0","userData":"` + script + `","osProfile":{"computerName":"web000000"},
				"publicKeys":[{"keyData":"ssh-rsa AAAAB3\r\none a\r\n","path":"/home/a/.ssh/authorized_keys"}]`),
			disks: azureDVD(azureOVF),
			want: datasource.Data{
				InstanceID: id,
				Hostname:   "web000000",
				SSHKeys:    []string{"ssh-rsa AAAAB3one a"},
				UserData:   []byte("#!/bin/sh\n"),
			},
		},
		{
			name:     "custom data",
			instance: compute(`,"name":"web"`),
			disks:    azureDVD(azureOVF),
			want:     datasource.Data{InstanceID: id, Hostname: "web", UserData: []byte("#cloud-config\n")},
		},
		{
			name:     "neither",
			instance: compute(``),
			want:     datasource.Data{InstanceID: id},
		},
		{
			name:     "a DVD of somebody else",
			instance: compute(``),
			disks:    fakeVolumes{{Type: "udf"}: fstest.MapFS{"film.mov": {}}},
			want:     datasource.Data{InstanceID: id},
		},
		{
			name:     "faults",
			instance: compute(`,"userData":"***"`),
			disks:    azureDVD("<Environment>"),
			want: datasource.Data{InstanceID: id, Notes: []string{
				"custom data: cannot read ovf-env.xml: XML syntax error on line 1: unexpected EOF",
				"cannot decode the user data: illegal base64 data at input byte 0",
			}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address := start(t, &fakeCloud{pages: map[string]string{azureInstance: test.instance}, refuse: needHeader("Metadata", "true")})
			got, err := oneSource(t, datasource.Machine{Disks: test.disks}, "azure:"+address).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(test.want.UserData), string(got.UserData)); diff != "" {
				t.Errorf("user-data (-want +got):\n%s", diff)
			}
			test.want.UserData, got.UserData = nil, nil
			wantData(t, got, test.want, "")
		})
	}
}

const azureGoal = `<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <Version>2012-11-30</Version>
  <Incarnation>1</Incarnation>
  <Container>
    <ContainerId>c6d5526c-5ac2-4200-b6e2-56f2b70c5ab2</ContainerId>
    <RoleInstanceList>
      <RoleInstance>
        <InstanceId>b61f93d0-e1ed-40b2-b067-22c243233448.web</InstanceId>
        <State>Started</State>
      </RoleInstance>
    </RoleInstanceList>
  </Container>
</GoalState>`

// The DVD is gone as soon as the machine has reported; its data stays.
func TestAzureFinish(t *testing.T) {
	const id = "02aab8a4-74ef-476e-8182-f6d2ba4166a6"
	cloud := &fakeCloud{
		pages: map[string]string{
			azureInstance:                  `{"compute":{"vmId":"` + id + `"}}`,
			"GET /machine/?comp=goalstate": azureGoal,
			"POST /machine?comp=health":    "",
		},
		refuse: func(r *http.Request) int {
			if strings.HasPrefix(r.URL.Path, "/machine") && r.Header.Get("x-ms-version") != "2012-11-30" {
				return http.StatusBadRequest
			}
			return 0
		},
	}
	address := start(t, cloud)
	root := t.TempDir()
	stored := filepath.Join(root, "var/lib/rancher/conf/datasource")
	if err := os.MkdirAll(filepath.Dir(stored), 0o755); err != nil {
		t.Fatal(err)
	}
	for boot, disks := range []datasource.Disks{azureDVD(azureOVF), fakeVolumes{}, fakeVolumes{}} {
		source := oneSource(t, datasource.Machine{Root: root, Disks: disks}, "azure:"+address)
		data, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(data.UserData) != "#cloud-config\n" || len(data.Notes) > 0 {
			t.Errorf("boot %d: user-data %q, notes %q", boot, data.UserData, data.Notes)
		}
		data.Source = source.Name()
		if _, err := data.Store(stored, datasource.Decoded{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := datasource.Finish(t.Context(), []datasource.Source{source}, data); err != nil {
			t.Errorf("boot %d: %v", boot, err)
		}
	}
	want := map[string]string{"/machine?comp=health": `<?xml version="1.0" encoding="UTF-8"?>
<Health><GoalStateIncarnation>1</GoalStateIncarnation><Container>` +
		`<ContainerId>c6d5526c-5ac2-4200-b6e2-56f2b70c5ab2</ContainerId><RoleInstanceList><Role>` +
		`<InstanceId>b61f93d0-e1ed-40b2-b067-22c243233448.web</InstanceId><Health><State>Ready</State></Health>` +
		`</Role></RoleInstanceList></Container></Health>`}
	if diff := cmp.Diff(want, cloud.posted); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func TestAzureWireServerIsAway(t *testing.T) {
	address := start(t, &fakeCloud{pages: map[string]string{azureInstance: `{"compute":{"vmId":"1"}}`}})
	source := oneSource(t, datasource.Machine{}, "azure:"+address)
	if _, err := source.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := datasource.Finish(t.Context(), []datasource.Source{source}, &datasource.Data{Source: "azure"})
	want := "azure: cannot report that the machine is up: " + address + "/machine/?comp=goalstate: 404 not found"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

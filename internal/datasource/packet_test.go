package datasource_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
)

func TestPacket(t *testing.T) {
	cloud := &fakeCloud{pages: map[string]string{
		"GET /userdata":    "#cloud-config\n",
		"POST /phone-home": "",
	}}
	address := start(t, cloud)
	cloud.pages["GET /metadata"] = `{
		"id": "a1b2", "hostname": "web", "ssh_keys": ["ssh-rsa AAAAB3one a"],
		"network": {"bonding": {"mode": 4}, "interfaces": [{"name": "eth0", "mac": "98:03:9b:00:00:01", "bond": "bond0"}]},
		"phone_home_url": "` + address + `/phone-home"
	}`
	source := oneSource(t, datasource.Machine{}, "packet:"+address)
	got, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, got, datasource.Data{
		InstanceID: "a1b2",
		Hostname:   "web",
		SSHKeys:    []string{"ssh-rsa AAAAB3one a"},
		UserData:   []byte("#cloud-config\n"),
		Notes:      []string{"network: the bond of the network cards is left out: bonds are not supported"},
	}, "")

	got.Source = "packet"
	if err := datasource.Finish(t.Context(), []datasource.Source{source}, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"/phone-home": ""}, cloud.posted); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

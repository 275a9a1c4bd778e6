package datasource_test

import (
	"testing"

	"github.com/rosteros/ros/internal/datasource"
)

func TestExoscale(t *testing.T) {
	address := start(t, &fakeCloud{pages: map[string]string{
		"GET /1.0/meta-data/instance-id":    "0d4f6a02-7b6d-4b8e-9d5a-1c2f3a4b5c6d\n",
		"GET /1.0/meta-data/local-hostname": "web\n",
		"GET /1.0/meta-data/public-keys":    "ssh-ed25519 AAAAC3one a\nssh-ed25519 AAAAC3two b\n",
		"GET /1.0/user-data":                "#!/bin/sh\n",
	}})
	got, err := oneSource(t, datasource.Machine{}, "exoscale:"+address).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, got, datasource.Data{
		InstanceID: "0d4f6a02-7b6d-4b8e-9d5a-1c2f3a4b5c6d",
		Hostname:   "web",
		SSHKeys:    []string{"ssh-ed25519 AAAAC3one a", "ssh-ed25519 AAAAC3two b"},
		UserData:   []byte("#!/bin/sh\n"),
	}, "")
}

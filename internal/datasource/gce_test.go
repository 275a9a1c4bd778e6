package datasource_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
)

const (
	gceInstance = "GET /computeMetadata/v1/instance/?recursive=true&alt=json"
	gceProject  = "GET /computeMetadata/v1/project/attributes/?recursive=true&alt=json"
)

func TestGCE(t *testing.T) {
	const project = `{"ssh-keys":"bob:ssh-rsa AAAAB3bob bob@example.com"}`
	tests := []struct {
		name     string
		instance string
		project  string
		want     datasource.Data
	}{
		{
			name: "everything",
			instance: `{"id":4520031799277581759,"hostname":"web.c.example.internal","attributes":{
				"user-data":"#cloud-config\n","startup-script":"#!/bin/sh\n",
				"ssh-keys":"alice:ssh-ed25519 AAAAC3alice alice@example.com\n\nssh-rsa AAAAB3bare\r\n"}}`,
			project: project,
			want: datasource.Data{
				InstanceID: "4520031799277581759",
				Hostname:   "web.c.example.internal",
				SSHKeys:    []string{"ssh-ed25519 AAAAC3alice alice@example.com", "ssh-rsa AAAAB3bare", "ssh-rsa AAAAB3bob bob@example.com"},
				UserData:   []byte("#cloud-config\n"),
			},
		},
		{
			name: "keys with a limit",
			instance: `{"id":1,"attributes":{"block-project-ssh-keys":"TRUE","ssh-keys":"` +
				`a:ssh-rsa AAAAB3old google-ssh {\"userName\":\"a@example.com\",\"expireOn\":\"2020-12-04T20:12:00+0000\"}\n` +
				`a:ssh-rsa AAAAB3good google-ssh {\"userName\":\"a@example.com\",\"expireOn\":\"2999-12-04T20:12:00+0000\"}\n` +
				`a:ssh-rsa AAAAB3bad google-ssh {\n` +
				`a:ssh-rsa AAAAB3worse google-ssh {\"expireOn\":\"tomorrow\"}\n"}}`,
			project: project,
			want:    datasource.Data{InstanceID: "1", SSHKeys: []string{"ssh-rsa AAAAB3good"}},
		},
		{
			name:     "old keys replace the project's",
			instance: `{"id":1,"attributes":{"sshKeys":"a:ssh-rsa AAAAB3a"}}`,
			project:  project,
			want:     datasource.Data{InstanceID: "1", SSHKeys: []string{"ssh-rsa AAAAB3a"}},
		},
		{
			name:     "startup script",
			instance: `{"id":1,"attributes":{"startup-script":"#!/bin/sh\necho\n"}}`,
			project:  `{}`,
			want:     datasource.Data{InstanceID: "1", UserData: []byte("#!/bin/sh\necho\n")},
		},
		{
			name:     "base64",
			instance: `{"id":1,"attributes":{"user-data":"I2Nsb3VkLWNvbmZpZwo=\n","user-data-encoding":"base64"}}`,
			project:  `{}`,
			want:     datasource.Data{InstanceID: "1", UserData: []byte("#cloud-config\n")},
		},
		{
			name:     "no base64",
			instance: `{"id":1,"attributes":{"user-data":"#cloud-config","user-data-encoding":"base64"}}`,
			project:  `{}`,
			want: datasource.Data{
				InstanceID: "1",
				Notes:      []string{"cannot decode user-data, although user-data-encoding is base64: illegal base64 data at input byte 0"},
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address := start(t, &fakeCloud{
				pages:  map[string]string{gceInstance: test.instance, gceProject: test.project},
				refuse: needHeader("Metadata-Flavor", "Google"),
			})
			got, err := oneSource(t, datasource.Machine{}, "gce:"+address).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// Whether there is an empty text or none makes no difference.
			if diff := cmp.Diff(string(test.want.UserData), string(got.UserData)); diff != "" {
				t.Errorf("user-data (-want +got):\n%s", diff)
			}
			test.want.UserData, got.UserData = nil, nil
			wantData(t, got, test.want, "")
		})
	}
}

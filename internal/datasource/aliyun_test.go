package datasource_test

import (
	"net/http"
	"testing"

	"github.com/rosteros/ros/internal/datasource"
)

func TestAliyun(t *testing.T) {
	pages := map[string]string{
		"PUT /latest/api/token":                               "abc=",
		"GET /2016-01-01/meta-data/instance-id":               "i-bp1abc",
		"GET /2016-01-01/meta-data/hostname":                  "web",
		"GET /2016-01-01/meta-data/public-keys/":              "0/\n",
		"GET /2016-01-01/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAAC3one a",
		"GET /2016-01-01/user-data":                           "#cloud-config\n",
	}
	want := datasource.Data{
		InstanceID: "i-bp1abc",
		Hostname:   "web",
		SSHKeys:    []string{"ssh-ed25519 AAAAC3one a"},
		UserData:   []byte("#cloud-config\n"),
	}
	hardened := func(r *http.Request) int {
		if r.Method == http.MethodGet && r.Header.Get("X-aliyun-ecs-metadata-token") != "abc=" ||
			r.Method == http.MethodPut && r.Header.Get("X-aliyun-ecs-metadata-token-ttl-seconds") == "" {
			return http.StatusForbidden
		}
		return 0
	}
	withPassword := want
	withPassword.SSHKeys = nil
	tests := []struct {
		name   string
		pages  map[string]string
		refuse func(*http.Request) int
		want   datasource.Data
	}{
		{"security hardening mode", pages, hardened, want},
		{"no tokens", without(pages, "token"), nil, want},
		{"no keys", without(pages, "public-keys"), hardened, withPassword},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address := start(t, &fakeCloud{pages: test.pages, refuse: test.refuse})
			got, err := oneSource(t, datasource.Machine{}, "aliyun:"+address).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantData(t, got, test.want, "")
		})
	}
}

package datasource_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
)

var ec2Pages = map[string]string{
	"PUT /latest/api/token":                             "t0ken==\n",
	"GET /latest/meta-data/instance-id":                 "i-0123456789abcdef0",
	"GET /latest/meta-data/hostname":                    "ip-10-0-0-7.ec2.internal web.example.com",
	"GET /latest/meta-data/public-keys/":                "0=my key\n1=other",
	"GET /latest/meta-data/public-keys/0/openssh-key":   "ssh-ed25519 AAAAC3one my key\n",
	"GET /latest/meta-data/public-keys/1/openssh-key":   "ssh-rsa AAAAB3two other\n",
	"GET /latest/user-data":                             "#cloud-config\nhostname: web\n",
	"GET /latest/meta-data/placement/availability-zone": "eu-central-1a",
}

var ec2Data = datasource.Data{
	InstanceID: "i-0123456789abcdef0",
	Hostname:   "ip-10-0-0-7.ec2.internal",
	SSHKeys:    []string{"ssh-ed25519 AAAAC3one my key", "ssh-rsa AAAAB3two other"},
	UserData:   []byte("#cloud-config\nhostname: web\n"),
}

// imdsv2 wants a token, and a lifetime of those that ask for one.
func imdsv2(r *http.Request) int {
	switch {
	case r.Method == http.MethodPut && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "":
		return http.StatusBadRequest
	case r.Method == http.MethodGet && r.Header.Get("X-aws-ec2-metadata-token") != "t0ken==":
		return http.StatusUnauthorized
	}
	return 0
}

// without is pages without some of them.
func without(pages map[string]string, part string) map[string]string {
	rest := make(map[string]string)
	for name, page := range pages {
		if !strings.Contains(name, part) {
			rest[name] = page
		}
	}
	return rest
}

func TestEC2(t *testing.T) {
	onlyID := datasource.Data{InstanceID: ec2Data.InstanceID, Hostname: ec2Data.Hostname}
	noTokens := without(ec2Pages, "token")
	badKeys := without(ec2Pages, "none")
	badKeys["GET /latest/meta-data/public-keys/"] = "../../user-data=key"
	tests := []struct {
		name   string
		pages  map[string]string
		refuse func(*http.Request) int
		v1     bool
		want   datasource.Data
		err    string
	}{
		{name: "IMDSv2", pages: ec2Pages, refuse: imdsv2, want: ec2Data},
		{name: "IMDSv2 although IMDSv1 is allowed", pages: ec2Pages, refuse: imdsv2, v1: true, want: ec2Data},
		{name: "neither keys nor user-data", pages: without(without(ec2Pages, "public-keys"), "user-data"), refuse: imdsv2, want: onlyID},
		{name: "IMDSv1", pages: noTokens, v1: true, want: ec2Data},
		{
			name: "IMDSv1 is not asked for", pages: noTokens,
			err: "no token for the metadata service (IMDSv2); rancher.cloud_init.imdsv1: true asks without: SERVER/latest/api/token: 404 not found",
		},
		{
			name: "switched off", pages: ec2Pages, v1: true,
			refuse: func(*http.Request) int { return http.StatusForbidden },
			err:    "SERVER/latest/meta-data/instance-id: 403 forbidden",
		},
		{
			name: "keys with a path", pages: badKeys, refuse: imdsv2,
			err: `SERVER/latest/meta-data/public-keys/: "../../user-data=key" is neither a key nor the number of one`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address := start(t, &fakeCloud{pages: test.pages, refuse: test.refuse})
			got, err := oneSource(t, datasource.Machine{IMDSv1: test.v1}, "ec2:"+address).Fetch(t.Context())
			if test.err != "" {
				if err == nil {
					t.Fatalf("data %+v", got)
				}
				if diff := cmp.Diff(test.err, strings.ReplaceAll(err.Error(), address, "SERVER")); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantData(t, got, test.want, "")
		})
	}
}

package datasource_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
)

func TestCloudStack(t *testing.T) {
	address := start(t, &fakeCloud{pages: map[string]string{
		"GET /latest/meta-data/instance-id":    "dd5bd4a5-0f3f-4bb8-8c8c-4c3c8a3c1c1c",
		"GET /latest/meta-data/local-hostname": "web",
		"GET /latest/meta-data/public-keys":    "ssh-rsa AAAAB3one a\n",
		"GET /latest/user-data":                "#cloud-config\n",
	}})
	got, err := oneSource(t, datasource.Machine{}, "cloudstack:"+address).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, got, datasource.Data{
		InstanceID: "dd5bd4a5-0f3f-4bb8-8c8c-4c3c8a3c1c1c",
		Hostname:   "web",
		SSHKeys:    []string{"ssh-rsa AAAAB3one a"},
		UserData:   []byte("#cloud-config\n"),
	}, "")
}

func TestCloudStackWithoutRouter(t *testing.T) {
	_, err := oneSource(t, datasource.Machine{}, "cloudstack").Fetch(t.Context())
	const want = "neither a DHCP lease nor a default route names the virtual router yet"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestCloudStackRouters(t *testing.T) {
	// lease is a DHCP message with those options.
	lease := func(options ...byte) []byte {
		return append(append(make([]byte, 236), 0x63, 0x82, 0x53, 0x63), options...)
	}
	const routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t0100000A\t0003\t0\t0\t1002\t00000000\t0\t0\t0\n" +
		"eth0\t0000000A\t00000000\t0001\t0\t0\t1002\t00FFFFFF\t0\t0\t0\n" +
		"eth1\t00000000\t00000000\t0001\t0\t0\t1003\t00000000\t0\t0\t0\n" +
		"eth2\t00000000\tXY\n"
	tests := []struct {
		name   string
		files  map[string][]byte
		routes string
		want   []string
	}{
		{name: "nothing"},
		{name: "route only", routes: routes, want: []string{"10.0.0.1"}},
		{
			name: "lease", routes: routes,
			files: map[string][]byte{"eth0.lease": lease(0, 53, 1, 5, 54, 4, 10, 0, 0, 2, 255)},
			want:  []string{"10.0.0.2", "10.0.0.1"},
		},
		{
			name: "the same", routes: routes,
			files: map[string][]byte{"eth0.lease": lease(54, 4, 10, 0, 0, 1)},
			want:  []string{"10.0.0.1"},
		},
		{
			name: "no leases",
			files: map[string][]byte{
				"a.lease": nil,
				"b.lease": lease(),
				"c.lease": lease(54),
				"d.lease": lease(54, 200, 1),
				"e.lease": lease(54, 1, 1),
				"f.lease": lease(255, 54, 4, 10, 0, 0, 2),
				"g.lease": make([]byte, 300),
				"duid":    lease(54, 4, 10, 0, 0, 2),
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range test.files {
				writeFile(t, filepath.Join(root, "var/lib/rancher/network", name), content)
			}
			if test.routes != "" {
				writeFile(t, filepath.Join(root, "proc/net/route"), []byte(test.routes))
			}
			var want []netip.Addr
			for _, text := range test.want {
				want = append(want, netip.MustParseAddr(text))
			}
			got := datasource.CloudStackRouters(root)
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("routers (-want +got):\n%s", diff)
			}
		})
	}
}

// writeFile writes a file, and the directories above it.
func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

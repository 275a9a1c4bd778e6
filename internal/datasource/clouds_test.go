package datasource_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/datasource"
)

// fakeCloud is a metadata service: pages by method and address, such as
// "GET /latest/user-data". Everything else is not there.
type fakeCloud struct {
	pages map[string]string
	// refuse answers a request by itself if it returns a status.
	refuse func(r *http.Request) int
	posted map[string]string // bodies, by address
}

func (f *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.refuse != nil {
		if status := f.refuse(r); status != 0 {
			http.Error(w, "refused", status)
			return
		}
	}
	page, ok := f.pages[r.Method+" "+r.URL.RequestURI()]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if f.posted == nil {
			f.posted = make(map[string]string)
		}
		f.posted[r.URL.RequestURI()] = string(body)
	}
	_, _ = io.WriteString(w, page)
}

// start serves h and returns its address.
func start(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// needHeader refuses requests without a header.
func needHeader(name, value string) func(*http.Request) int {
	return func(r *http.Request) int {
		if r.Header.Get(name) != value {
			return http.StatusForbidden
		}
		return 0
	}
}

// oneSource is the source that is named.
func oneSource(t *testing.T, m datasource.Machine, named string) datasource.Source {
	t.Helper()
	if m.Root == "" {
		m.Root = t.TempDir()
	}
	if m.Disks == nil {
		m.Disks = fakeVolumes{}
	}
	sources, errs := datasource.Detect(m, []string{named})
	if len(errs) > 0 || len(sources) != 1 {
		t.Fatalf("Detect(%q) = %v, %v", named, sources, errs)
	}
	return sources[0]
}

// wantData compares, with the network as text.
func wantData(t *testing.T, got *datasource.Data, want datasource.Data, network string) {
	t.Helper()
	if got == nil {
		t.Fatal("no data")
	}
	if diff := cmp.Diff(strings.TrimPrefix(network, "\n"), string(got.Network)); diff != "" {
		t.Errorf("network (-want +got):\n%s", diff)
	}
	g := *got
	g.Network = nil
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

// fakeVolumes are disks, by what they are.
type fakeVolumes map[datasource.Volume]fs.FS

func (f fakeVolumes) Volumes(context.Context) (found []datasource.Volume, err error) {
	for v := range f {
		found = append(found, v)
	}
	return found, nil
}

func (f fakeVolumes) Read(_ context.Context, want func(datasource.Volume) bool, read func(fs.FS) error) error {
	for v, fsys := range f {
		if want(v) {
			return read(fsys)
		}
	}
	return datasource.ErrAbsent
}

// httpClouds are the sources that are asked by HTTP.
var httpClouds = []string{
	"gce", "azure", "digitalocean", "hetzner", "exoscale", "aliyun", "openstack", "ec2", "cloudstack", "packet",
}

// A machine that is elsewhere gets all kinds of answers from these addresses.
func TestStrangersAnswer(t *testing.T) {
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, err := io.WriteString(w, strings.Repeat("A", 1<<16)); err == nil; {
			_, err = io.WriteString(w, strings.Repeat("A", 1<<16))
		}
	})
	tests := []struct {
		name    string
		handler http.Handler
		absent  bool
	}{
		{"no page", http.NotFoundHandler(), true},
		{"web page for anything", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html>Please log in</html>\n")
		}), false},
		{"empty page for anything", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), false},
		{"empty object for anything", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "{}")
		}), false},
		{"server error", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "later", http.StatusServiceUnavailable)
		}), false},
		{"endless page", endless, false},
		{"connection closed", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address := start(t, test.handler)
			for _, name := range httpClouds {
				data, err := oneSource(t, datasource.Machine{}, name+":"+address).Fetch(t.Context())
				if err == nil {
					t.Errorf("%s: data %+v", name, data)
				} else if errors.Is(err, datasource.ErrAbsent) != test.absent {
					t.Errorf("%s: %v: absent must be %v", name, err, test.absent)
				}
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	block := make(chan struct{})
	slow := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-block:
		case <-r.Context().Done():
		}
	}))
	defer close(block)
	for _, name := range httpClouds {
		if _, err := oneSource(t, datasource.Machine{}, name+":"+closed.URL).Fetch(t.Context()); err == nil || errors.Is(err, datasource.ErrAbsent) {
			t.Errorf("%s with nobody there: error %v", name, err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := oneSource(t, datasource.Machine{}, name+":"+slow).Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s that is slow: error %v", name, err)
		}
		stop()
	}
}

func TestDetectClouds(t *testing.T) {
	tests := []struct {
		name string
		dmi  map[string]string
		want string
	}{
		{"EC2 Nitro", map[string]string{"sys_vendor": "Amazon EC2", "product_name": "t3.micro"}, "ec2"},
		{"EC2 metal", map[string]string{"bios_vendor": "Amazon EC2"}, "ec2"},
		{"EC2 Xen", map[string]string{"sys_vendor": "Xen", "bios_version": "4.11.amazon"}, "ec2"},
		{"EC2 Xen by number", map[string]string{
			"product_uuid":   "EC2AB8F0-0000-4000-8000-000000000001",
			"product_serial": "ec2ab8f0-0000-4000-8000-000000000001",
		}, "ec2"},
		{"GCE", map[string]string{"product_name": "Google Compute Engine"}, "gce"},
		{"GCE by serial number", map[string]string{"product_name": "Google", "product_serial": "GoogleCloud-12AB"}, "gce"},
		{"Azure", map[string]string{
			"sys_vendor": "Microsoft Corporation", "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77",
		}, "azure"},
		{"OpenStack", map[string]string{"sys_vendor": "OpenStack Foundation", "product_name": "OpenStack Nova"}, "openstack"},
		{"OpenStack of RDO", map[string]string{"product_name": "OpenStack Compute"}, "openstack"},
		{"OpenStack by tag", map[string]string{"chassis_asset_tag": "OpenStack Nova"}, "openstack"},
		{"Huawei", map[string]string{"chassis_asset_tag": "HUAWEICLOUD"}, "openstack"},
		{"DigitalOcean", map[string]string{"sys_vendor": "DigitalOcean", "product_name": "Droplet"}, "digitalocean"},
		{"Hetzner", map[string]string{"sys_vendor": "Hetzner", "product_name": "vServer"}, "hetzner"},
		{"Exoscale", map[string]string{"sys_vendor": "Exoscale", "product_name": "Exoscale Compute Platform"}, "exoscale"},
		{"Alibaba", map[string]string{"sys_vendor": "Alibaba Cloud", "product_name": "Alibaba Cloud ECS"}, "aliyun"},
		{"CloudStack", map[string]string{
			"sys_vendor": "Apache Software Foundation", "product_name": "CloudStack KVM Hypervisor",
		}, "cloudstack"},
		{"VMware", map[string]string{"sys_vendor": "VMware, Inc.", "product_name": "VMware7,1"}, "vmware"},
		{"QEMU", map[string]string{"sys_vendor": "QEMU", "product_name": "Standard PC (Q35 + ICH9, 2009)"}, ""},
		{"Hyper-V", map[string]string{"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"}, ""},
		{"chance", map[string]string{"product_uuid": "ec2ab8f0-0000-4000-8000-000000000001", "product_serial": "7"}, ""},
		{"no firmware", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sources, errs := datasource.Detect(datasource.Machine{DMI: test.dmi, Root: t.TempDir(), Disks: fakeVolumes{}}, nil)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			var names []string
			for _, s := range sources {
				names = append(names, s.Name())
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("sources %q, want %q", got, test.want)
			}
		})
	}
}

func TestCloudAddress(t *testing.T) {
	_, errs := datasource.Detect(datasource.Machine{Root: t.TempDir()}, []string{"ec2:10.0.0.1", "vmware:ovf-env.xml"})
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	want := []string{
		`datasource ec2: "10.0.0.1" is not the address of a metadata service, such as http://169.254.169.254`,
		`datasource vmware: "ovf-env.xml" is not an absolute path`,
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

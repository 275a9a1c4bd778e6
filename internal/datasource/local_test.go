package datasource_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/datasource"
)

// files makes a file system.
func files(pairs ...string) fs.FS {
	fsys := make(fstest.MapFS)
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

func cidata(pairs ...string) fakeVolumes {
	return fakeVolumes{{Label: "cidata", Type: "iso9660"}: files(pairs...)}
}

func TestNoCloud(t *testing.T) {
	for _, tt := range []struct {
		name    string
		disks   fakeVolumes
		want    datasource.Data
		wantErr string
	}{
		{name: "all four", disks: cidata("meta-data", "instance-id: i-1\nlocal-hostname: edge.example.org\npublic-keys:\n  - ssh-ed25519 AAAA a\n  - ssh-rsa AAAA b\n",
			"user-data", "#cloud-config\n", "vendor-data", "#!/bin/sh\n", "network-config", "version: 2\nethernets: {}\n"),
			want: datasource.Data{InstanceID: "i-1", Hostname: "edge.example.org", SSHKeys: []string{"ssh-ed25519 AAAA a", "ssh-rsa AAAA b"},
				UserData: []byte("#cloud-config\n"), VendorData: []byte("#!/bin/sh\n")}},
		{name: "JSON, a number for a name, keys by name", disks: cidata("meta-data", `{"instance-id": 7, "hostname": "h", "public-keys": {"a": "k1", "b": ["k2", "k3"]}}`),
			want: datasource.Data{InstanceID: "7", Hostname: "h", SSHKeys: []string{"k1", "k2", "k3"}}},
		{name: "keys as one text", disks: cidata("meta-data", "public-keys: |\n  k1\n  # mine\n  k2\n"), want: datasource.Data{SSHKeys: []string{"k1", "k2"}}},
		{name: "only user-data", disks: cidata("user-data", "#!/bin/sh\n", "meta-data", "\n"), want: datasource.Data{UserData: []byte("#!/bin/sh\n")}},
		{name: "empty user-data", disks: cidata("user-data", ""), want: datasource.Data{UserData: []byte{}}},
		{name: "meta-data that does not parse", disks: cidata("meta-data", "a: [\n", "user-data", "#!/bin/sh\n"),
			want: datasource.Data{UserData: []byte("#!/bin/sh\n"), Notes: []string{"meta-data line 1: is not valid YAML: did not find expected node content"}}},
		{name: "odd keys", disks: cidata("meta-data", "instance-id: x\npublic-keys: [[a]]\nnetwork-interfaces: |\n  auto eth0\n"),
			want: datasource.Data{InstanceID: "x", Notes: []string{
				"meta-data: network-interfaces is not supported: use a file network-config",
				"meta-data: public-keys: is neither a list of keys nor keys by name"}}},
		{name: "network that does not parse", disks: cidata("network-config", "version: 3\n"),
			want: datasource.Data{Notes: []string{"network: network-config: version is neither 1 nor 2"}}},
		{name: "nothing on the disk", disks: cidata("README", "x"), wantErr: "neither user-data nor meta-data: not there"},
		{name: "another disk", disks: fakeVolumes{{Label: "data", Type: "ext4"}: files("user-data", "x")}, wantErr: "not there"},
		{name: "too large", disks: cidata("user-data", strings.Repeat("x", 4<<20+1)), wantErr: "user-data is larger than 4 MiB"},
		{name: "a directory", disks: cidata("user-data/x", ""), wantErr: "user-data is not a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := oneSource(t, datasource.Machine{Disks: tt.disks}, "nocloud").Fetch(t.Context())
			if text(err) != tt.wantErr {
				t.Fatalf("Fetch() error = %q, want %q", text(err), tt.wantErr)
			}
			if err == nil {
				wantData(t, got, tt.want, "")
			}
		})
	}
}

func TestNoCloudElsewhere(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "opt/seed/user-data"), "#!/bin/sh\n")
	address := start(t, &fakeCloud{pages: map[string]string{"GET /seed/user-data": "#!/bin/sh\n", "GET /seed/meta-data": "instance-id: web\n"}})
	for _, tt := range []struct {
		name, named string
		m           datasource.Machine
		want        datasource.Data
		wantErr     string
	}{
		{name: "directory", named: "nocloud:/opt/seed", want: datasource.Data{UserData: []byte("#!/bin/sh\n")}},
		{name: "directory that is not there", named: "nocloud:/opt/none", wantErr: "ROOT/opt/none: not there"},
		{name: "address", named: "nocloud:" + address + "/seed/", want: datasource.Data{UserData: []byte("#!/bin/sh\n"), InstanceID: "web"}},
		{name: "address without a seed", named: "nocloud:" + address + "/none/", wantErr: "neither user-data nor meta-data: not there"},
		{name: "kernel command line", named: "nocloud", m: datasource.Machine{Cmdline: cmdline.Parse("quiet ds=nocloud;s=" + address + "/seed/;h=edge;i=i-7")},
			want: datasource.Data{UserData: []byte("#!/bin/sh\n"), InstanceID: "i-7", Hostname: "edge"}},
		{name: "serial number", named: "nocloud", m: datasource.Machine{DMI: map[string]string{"product_serial": "ds=nocloud-net;seedfrom=file:///opt/seed;local-hostname=edge"}},
			want: datasource.Data{UserData: []byte("#!/bin/sh\n"), Hostname: "edge"}},
		{name: "proxmox", named: "proxmox", m: datasource.Machine{Disks: cidata("meta-data", "instance-id: p\n")}, want: datasource.Data{InstanceID: "p"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.Root = root
			got, err := oneSource(t, tt.m, tt.named).Fetch(t.Context())
			if said := strings.ReplaceAll(text(err), root, "ROOT"); said != tt.wantErr {
				t.Fatalf("Fetch() error = %q, want %q", said, tt.wantErr)
			}
			if err == nil {
				wantData(t, got, tt.want, "")
			}
		})
	}
}

func TestConfigDrive(t *testing.T) {
	const meta = `{"uuid": "u-1", "hostname": "edge.novalocal", "public_keys": {"a": "ssh-rsa AAAA a\n"}}`
	root := t.TempDir()
	write(t, filepath.Join(root, "media/config-2/openstack/latest/meta_data.json"), `{"uuid": "dir"}`)
	drive := fakeVolumes{{Label: "config-2", Type: "vfat"}: files("openstack/latest/meta_data.json", meta,
		"openstack/latest/user_data", "#!/bin/sh\n", "openstack/latest/vendor_data.json", `{"cloud-init": "#cloud-config\n", "other": 1}`,
		"openstack/latest/network_data.json", `{"links": [], "networks": [], "services": [{"type": "dns", "address": "192.0.2.53"}]}`)}
	for _, tt := range []struct {
		name, named string
		disks       fakeVolumes
		want        datasource.Data
		network     string
		wantErr     string
	}{
		{name: "disk", named: "configdrive", disks: drive, want: datasource.Data{InstanceID: "u-1", Hostname: "edge.novalocal",
			SSHKeys: []string{"ssh-rsa AAAA a"}, UserData: []byte("#!/bin/sh\n"), VendorData: []byte("#cloud-config\n")},
			network: "dns:\n    nameservers:\n        - 192.0.2.53\n"},
		{name: "as RancherOS named it, with the disk", named: "configdrive:/media/none", disks: drive, want: datasource.Data{InstanceID: "u-1", Hostname: "edge.novalocal",
			SSHKeys: []string{"ssh-rsa AAAA a"}, UserData: []byte("#!/bin/sh\n"), VendorData: []byte("#cloud-config\n")},
			network: "dns:\n    nameservers:\n        - 192.0.2.53\n"},
		{name: "directory", named: "configdrive:/media/config-2", disks: drive, want: datasource.Data{InstanceID: "dir"}},
		{name: "no disk", named: "configdrive", disks: fakeVolumes{}, wantErr: "not there"},
		{name: "nothing on it", named: "configdrive", disks: fakeVolumes{{Label: "config-2", Type: "vfat"}: files("a", "")}, wantErr: "meta_data.json: not there"},
		{name: "garbage", named: "configdrive", disks: fakeVolumes{{Label: "config-2", Type: "vfat"}: files("openstack/latest/meta_data.json", "<")},
			wantErr: "cannot read meta_data.json: invalid character '<' looking for beginning of value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := oneSource(t, datasource.Machine{Root: root, Disks: tt.disks}, tt.named).Fetch(t.Context())
			if text(err) != tt.wantErr {
				t.Fatalf("Fetch() error = %q, want %q", text(err), tt.wantErr)
			}
			if err == nil {
				wantData(t, got, tt.want, tt.network)
			}
		})
	}
}

func TestPages(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "opt/config.yml"), "#cloud-config\n")
	address := start(t, &fakeCloud{pages: map[string]string{"GET /config?token=secret": "#cloud-config\n", "GET /huge": strings.Repeat("x", 4<<20+1)}})
	user := strings.Replace(address, "http://", "http://me:secret@", 1)
	for _, tt := range []struct {
		name, named, cmdline string
		wantErr              string
		absent               bool
	}{
		{name: "file", named: "file:/opt/config.yml"},
		{name: "file that is not there", named: "file:/opt/none", wantErr: "/opt/none: not there", absent: true},
		{name: "directory", named: "file:/opt", wantErr: "opt is not a file"},
		{name: "page", named: "url:" + user + "/config?token=secret"},
		{name: "page that is not there yet", named: "url:" + user + "/none?token=secret", wantErr: "http://me:xxxxx@HOST/none: 404 not found"},
		{name: "large page", named: "url:" + address + "/huge", wantErr: "http://HOST/huge is larger than 4 MiB"},
		{name: "nobody there", named: "url:http://me:secret@127.0.0.1:1/x?token=secret",
			wantErr: `Get "http://me:xxxxx@127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused`},
		{name: "command line", named: "cmdline", cmdline: "cloud-config-url=" + address + "/config?token=secret"},
		{name: "command line without one", named: "cmdline", cmdline: "quiet", wantErr: "cloud-config-url= is not on the kernel command line: not there", absent: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := datasource.Machine{Root: root, Cmdline: cmdline.Parse(tt.cmdline)}
			got, err := oneSource(t, m, tt.named).Fetch(t.Context())
			if said := strings.ReplaceAll(text(err), strings.TrimPrefix(address, "http://"), "HOST"); said != tt.wantErr {
				t.Fatalf("Fetch() error = %q, want %q", said, tt.wantErr)
			}
			if errors.Is(err, datasource.ErrAbsent) != tt.absent {
				t.Errorf("Fetch() error = %v, want ErrAbsent: %v", err, tt.absent)
			}
			if err == nil && string(got.UserData) != "#cloud-config\n" {
				t.Errorf("user-data is %q", got.UserData)
			}
		})
	}
}

func TestDetect(t *testing.T) {
	seed := []datasource.Volume{{Label: "root", Type: "ext4"}, {Label: "cidata", Type: "iso9660"}}
	for _, tt := range []struct {
		name       string
		m          datasource.Machine
		configured []string
		want       string
		wantErrs   []string
	}{
		{name: "nothing"},
		{name: "disks", m: datasource.Machine{Volumes: append(seed, datasource.Volume{Label: "config-2", Type: "vfat"})}, want: "nocloud configdrive"},
		{name: "command line", m: datasource.Machine{Cmdline: cmdline.Parse("cloud-config-url=http://x/y ds=nocloud;s=http://x/")}, want: "nocloud cmdline"},
		{name: "empty on the command line", m: datasource.Machine{Cmdline: cmdline.Parse("cloud-config-url=")}},
		{name: "named ones only", m: datasource.Machine{Volumes: seed, DMI: map[string]string{"sys_vendor": "Hetzner"}}, configured: []string{"url:http://x/", "ec2"}, want: "url ec2"},
		{name: "named, and the command line", m: datasource.Machine{Cmdline: cmdline.Parse("cloud-config-url=http://x/y")}, configured: []string{"ec2"}, want: "ec2 cmdline"},
		{name: "all", configured: []string{"gce", "*", "file:/a"},
			want: "gce nocloud configdrive cmdline proxmox vmware azure digitalocean hetzner exoscale aliyun openstack ec2 cloudstack packet file"},
		{name: "wrong ones", configured: []string{"ec3", "url:ftp://me:secret@x/y?z", "url", "file:a", "tftp:host", "nocloud:x", "configdrive:x", "file:/a"}, want: "file",
			wantErrs: []string{
				`datasource "ec3" is not known`,
				`datasource url: "ftp://me:xxxxx@x/y" is not an address beginning with http://, https:// or tftp://`,
				`datasource url needs to say which one: url:…`,
				`datasource file: "a" is not an absolute path`,
				`datasource tftp: "host" is not HOST/PATH`,
				`datasource nocloud: "x" is neither an absolute path nor the address of a seed`,
				`datasource configdrive: "x" is not an absolute path`,
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.Root, tt.m.Disks = t.TempDir(), fakeVolumes{}
			sources, errs := datasource.Detect(tt.m, tt.configured)
			var names, texts []string
			for _, s := range sources {
				names = append(names, s.Name())
			}
			for _, err := range errs {
				texts = append(texts, err.Error())
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("sources %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.wantErrs, texts); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadDMI(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sys_vendor"), "Hetzner\n")
	write(t, filepath.Join(dir, "uevent"), "x\n")
	if diff := cmp.Diff(map[string]string{"sys_vendor": "Hetzner"}, datasource.ReadDMI(dir)); diff != "" {
		t.Errorf("ReadDMI() (-want +got):\n%s", diff)
	}
	if got := datasource.ReadDMI(filepath.Join(dir, "none")); len(got) > 0 {
		t.Errorf("ReadDMI() without firmware = %v", got)
	}
}

// hardware makes a machine with an empty disk vda, an ISO 9660 file system on
// vdb and a UDF one on vdc.
func hardware(t *testing.T, label string) blockdev.Host {
	t.Helper()
	dir := t.TempDir()
	h := blockdev.Host{Sys: filepath.Join(dir, "sys"), Dev: filepath.Join(dir, "dev")}
	iso, udf := make([]byte, 64<<10), make([]byte, 64<<10)
	copy(iso[32<<10:], "\x01CD001\x01\x00")
	copy(iso[32<<10+40:], label+strings.Repeat(" ", 32-len(label)))
	copy(udf[32<<10:], "\x00BEA01\x01")
	copy(udf[34<<10:], "\x00NSR02\x01")
	for name, content := range map[string][]byte{"vda": make([]byte, 64<<10), "vdb": iso, "vdc": udf} {
		device := filepath.Join(h.Sys, "devices", name)
		write(t, filepath.Join(device, "size"), "128\n")
		write(t, filepath.Join(device, "uevent"), "DEVNAME="+name+"\n")
		write(t, filepath.Join(h.Dev, name), string(content))
		link := filepath.Join(h.Sys, "class/block", name)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(device, link); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestLocalDisks(t *testing.T) {
	for _, tt := range []struct {
		name, label string
		mountErr    error
		link        string // user-data is a link to it
		want        string // user-data
		wantErr     string // with DEV for the folder of devices
	}{
		{name: "label of cloud-init", label: "cidata", want: "#cloud-config\n"},
		{name: "in capitals, as tools for FAT write it", label: "CIDATA", want: "#cloud-config\n"},
		{name: "another disk", label: "ROSTER", wantErr: "no such disk: not there"},
		{name: "cannot be mounted", label: "cidata", mountErr: errors.New("mount iso9660: i/o error"), wantErr: "cannot read disk DEV/vdb: mount iso9660: i/o error"},
		{name: "a link out of the disk", label: "cidata", link: "/etc/passwd", wantErr: "cannot read disk DEV/vdb: statat user-data: path escapes from parent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, dir := hardware(t, tt.label), t.TempDir()
			mounted := 0
			disks := datasource.LocalDisks{Devices: h, Dir: dir, Mount: func(device, fstype, target string) (func() error, error) {
				if tt.mountErr != nil {
					return nil, tt.mountErr
				}
				if filepath.Base(device) != "vdb" || fstype != "iso9660" {
					t.Errorf("mounted %s as %s", device, fstype)
				}
				mounted++
				file := filepath.Join(target, "user-data")
				if tt.link != "" {
					return func() error { mounted--; return os.Remove(file) }, os.Symlink(tt.link, file)
				}
				write(t, file, "#cloud-config\n")
				return func() error { mounted--; return os.Remove(file) }, nil
			}}
			got, err := oneSource(t, datasource.Machine{Disks: disks}, "nocloud").Fetch(t.Context())
			if said := strings.ReplaceAll(text(err), h.Dev, "DEV"); said != tt.wantErr {
				t.Fatalf("Fetch() error = %q, want %q", said, tt.wantErr)
			}
			if err == nil && string(got.UserData) != tt.want {
				t.Errorf("user-data is %q, want %q", got.UserData, tt.want)
			}
			if left, err := os.ReadDir(dir); mounted != 0 || err != nil || len(left) > 0 {
				t.Errorf("%d disks stay mounted, %v is left", mounted, left)
			}
		})
	}
}

func TestVolumes(t *testing.T) {
	d := datasource.LocalDisks{Devices: hardware(t, "CIDATA"), Dir: t.TempDir()}
	got, err := d.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]datasource.Volume{{Label: "cidata", Type: "iso9660"}, {Type: "udf"}}, got); diff != "" {
		t.Errorf("Volumes() (-want +got):\n%s", diff)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	// Both may be ready; that it returns at all is what counts.
	if _, err := d.Volumes(ctx); err != nil && text(err) != "cannot look at the disks: context canceled" {
		t.Errorf("Volumes() error = %v", err)
	}
}

func TestClientFollowsNobodyForEver(t *testing.T) {
	address := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }))
	if _, err := (datasource.Web{}).Get(t.Context(), address+"/x"); err == nil {
		t.Error("Get() of a page that leads to itself: no error")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

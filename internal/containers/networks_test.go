package containers_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rosteros/ros/internal/bridge"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/supervise"
)

var networkFiles = bridge.Files{Netns: "/run/netns/web", Hosts: "/run/web/hosts", ResolvConf: "/run/web/resolv.conf", Hostname: "/run/web/hostname"}

func TestSpecOfANetwork(t *testing.T) {
	svc := box("web")
	svc.NetworkMode, svc.ReadOnly = compose.NetworkBridge, true
	svc.Mounts = []compose.Mount{{Type: "bind", Source: "/etc/hosts", Target: "/etc/hosts"}}
	m := noMachine
	m.Network = networkFiles
	got, err := containers.Spec(svc, boxImage, m)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(got.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: networkFiles.Netns}) {
		t.Errorf("namespaces = %v", got.Linux.Namespaces)
	}
	if got.Hostname != "web" {
		t.Errorf("hostname = %q", got.Hostname)
	}
	want := map[string]string{"/etc/hosts": "/etc/hosts", "/etc/resolv.conf": networkFiles.ResolvConf, "/etc/hostname": networkFiles.Hostname}
	sources := map[string]string{}
	for _, mount := range got.Mounts {
		if _, asked := want[mount.Destination]; asked {
			sources[mount.Destination] = mount.Source
		}
		if mount.Destination == "/etc/hostname" && !slices.Contains(mount.Options, "ro") {
			t.Errorf("with read_only: true there is %v", mount)
		}
	}
	if diff := cmp.Diff(want, sources); diff != "" {
		t.Errorf("files of names (-want +got):\n%s", diff)
	}
}

// fakeNetworks writes down what is asked among the calls to containerd.
type fakeNetworks struct {
	*fakeContainerd
	err  error
	kept []string
	dir  string // of the namespaces
}

func (n *fakeNetworks) note(call string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, call)
}

func (n *fakeNetworks) Attach(svc compose.Service) error {
	n.note("attach(" + svc.Name + ")")
	return n.err
}
func (n *fakeNetworks) Detach(service string) error { n.note("detach(" + service + ")"); return nil }
func (n *fakeNetworks) Files(service string) bridge.Files {
	files := networkFiles
	if n.dir != "" {
		files.Netns = filepath.Join(n.dir, service)
	}
	return files
}
func (n *fakeNetworks) Keep(running func(string) bool) {
	for _, name := range []string{"web", "other"} {
		if running(name) {
			n.kept = append(n.kept, name)
		}
	}
}

// withNetworks is newRuntime with networks, and serves.
func withNetworks(t *testing.T, networks *fakeNetworks) *containers.Runtime {
	t.Helper()
	_, o := newRuntime(t, networks.fakeContainerd)
	o.Networks = networks
	r, err := containers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	networks.serve()
	return r
}

// A namespace is there before the container and goes after it.
func TestNetworkOfAContainer(t *testing.T) {
	f := newFake(t)
	networks := &fakeNetworks{fakeContainerd: f}
	r := withNetworks(t, networks)
	svc := box("web")
	svc.NetworkMode = compose.NetworkBridge
	task, err := r.Start(t.Context(), svc)
	if err != nil {
		t.Fatal(err)
	}
	if calls := f.took(); calls != "attach(web) record create start" {
		t.Errorf("calls of Start = %s", calls)
	}
	f.exits <- 0
	<-task.Exited()
	if err := task.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if calls := f.took(); calls != "delete unrecord detach(web)" {
		t.Errorf("calls of Delete = %s", calls)
	}
	networks.err = errors.New("no address is free")
	f.fail["kill"], f.fail["delete"] = []error{errNotFound}, []error{errNotFound, errNotFound}
	if _, err := r.Start(t.Context(), svc); text(err) != `cannot start service "web": no address is free` {
		t.Errorf("Start = %v", err)
	}
	if calls := f.took(); calls != "attach(web) kill delete delete unrecord detach(web)" {
		t.Errorf("calls of a Start without a network = %s", calls)
	}
	if _, err := r.Running(t.Context()); err != nil || len(networks.kept) > 0 {
		t.Errorf("with nothing running the networks of %v are kept (%v)", networks.kept, err)
	}
}

// The network of another service has to be there, and is not made.
func TestNetworkOfAnotherService(t *testing.T) {
	f := newFake(t)
	networks := &fakeNetworks{fakeContainerd: f, dir: t.TempDir()}
	r := withNetworks(t, networks)
	svc := box("spy")
	svc.NetworkMode, svc.Hostname = "service:web", "web"
	f.fail["kill"], f.fail["delete"] = []error{errNotFound}, []error{errNotFound, errNotFound}
	if _, err := r.Start(t.Context(), svc); !supervise.IsNotYet(err) {
		t.Errorf("without web Start = %v", err)
	}
	f.took()
	if err := os.WriteFile(filepath.Join(networks.dir, "web"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Start(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
	if calls := f.took(); calls != "record create start" {
		t.Errorf("calls of Start = %s", calls)
	}
	m := noMachine
	m.Network = networkFiles
	got, err := containers.Spec(svc, boxImage, m)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(got.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: networkFiles.Netns}) || got.Hostname != "web" {
		t.Errorf("namespaces = %v, hostname %q", got.Linux.Namespaces, got.Hostname)
	}
	if !slices.ContainsFunc(got.Mounts, func(m specs.Mount) bool { return m.Source == networkFiles.Hosts }) {
		t.Error("it does not have the names of the network")
	}
}

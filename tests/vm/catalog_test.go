//go:build vm

package vm

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/signature"
)

// catalogEntry is a service of our catalog and how one sees that it works.
type catalogEntry struct {
	name  string
	check func(t *testing.T, g *guest)
}

var catalogEntries = []catalogEntry{
	{"node-exporter", checkNodeExporter},
	{"registry", checkRegistry},
	{"container-cron", checkContainerCron},
	{"docker-compose", checkDockerCompose},
	{"kernel-headers", checkKernelHeaders},
	{"open-iscsi", checkISCSI},
	{"nfs-client", checkNothing}, // with the server, below
	{"nfs-server", checkNFS},
	{"qemu-guest-agent", checkGuestAgent},
}

// catalogued starts every service of the catalog that "make catalog" has made,
// on a machine that reaches nothing: the repository lies on its disk, signed.
func catalogued(t *testing.T, l lab) {
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	disk, index := l.catalogDisk(t, key)
	cfg := l.direct()
	cfg.Disks, cfg.Restrict = []string{disk}, true
	cfg.Agent = filepath.Join(t.TempDir(), "agent")
	g := l.start(t, cfg)
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.settle(t)
	g.importBusybox(t)
	g.step(t, "image-not-to-be-had", func(t *testing.T) {
		r := g.try(t, "sudo ros service enable node-exporter", nil)
		for _, want := range []string{"cannot enable node-exporter", "rancher.repositories.NAME.url", "/var/lib/rancher/preload/system-docker"} {
			if r.Code != 1 || !strings.Contains(r.Stderr, want) {
				t.Errorf("enable without the image: exit code %d: %s\nwant %s", r.Code, r.Stderr, want)
			}
		}
	})
	g.step(t, "repository", func(t *testing.T) {
		public, err := key.Public("").MarshalPublic()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(map[string]any{"rancher": map[string]any{"repositories": map[string]any{
			"core": map[string]string{"url": "/opt/catalog", "key": string(public)},
		}}})
		g.feed(t, "sudo ros config merge", strings.NewReader(string(text)))
		out := g.sh(t, "ros service list -a")
		for _, name := range index.Services {
			if !strings.Contains(out, name) {
				t.Errorf("ros service list -a does not have %s:\n%s", name, out)
			}
		}
	})
	tested := map[string]bool{}
	for _, e := range catalogEntries {
		tested[e.name] = true
		g.step(t, e.name, func(t *testing.T) {
			out := g.sh(t, "sudo ros service enable "+e.name)
			if !strings.Contains(out, "from repository core") {
				t.Errorf("the image came from elsewhere:\n%s", out)
			}
			all, err := g.services(t)
			if err != nil {
				t.Fatal(err)
			}
			if s := all[e.name]; s.State != control.Running && s.State != control.Healthy && s.State != control.Done && s.State != control.Starting {
				t.Errorf("%s is %s: %s", e.name, s.State, s.Reason)
			}
			e.check(t, g)
		})
	}
	for _, name := range index.Services {
		if !tested[name] {
			t.Errorf("nothing tests %s", name)
		}
	}
	g.step(t, "artifact", func(t *testing.T) { fromArtifact(t, g) })
	g.step(t, "all-of-them", func(t *testing.T) { g.settle(t) })
	g.step(t, "shutdown-by-the-agent", func(t *testing.T) { agentShutdown(t, g) })
}

// catalogDisk is a state disk with the repository, signed, in /opt/catalog.
func (l lab) catalogDisk(t *testing.T, key signature.PrivateKey) (disk string, index catalog.Index) {
	t.Helper()
	top := t.TempDir()
	to := filepath.Join(top, "opt/catalog")
	copyTree(t, filepath.Join(l.build.Dir, l.arch, "catalog"), to)
	copyTree(t, filepath.Join(l.build.Dir, l.arch, "catalog-oci"), to+"-oci")
	text, err := os.ReadFile(filepath.Join(to, "index.yml"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := catalog.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "index.yml.sig"), signed, 0o644); err != nil {
		t.Fatal(err)
	}
	c := catalog.Catalog{}
	index, err = c.Index(t.Context(), catalog.Repository{Name: "ours", URL: to, Signed: true, Keys: []signature.PublicKey{key.Public("ours")}}, false)
	if err != nil {
		t.Fatal(err)
	}
	disk = filepath.Join(t.TempDir(), "state.qcow2")
	if err := l.build.StateDisk(disk, 6144, top); err != nil {
		t.Fatal(err)
	}
	return disk, index
}

// copyTree copies what "make catalog" has made.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if _, err := os.Stat(from); err != nil {
		t.Fatalf("%v: run make catalog", err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// fromArtifact takes a service in from the repository as an OCI artifact, which
// has no other.
func fromArtifact(t *testing.T, g *guest) {
	const image = "rosteros/node-exporter:trixie"
	g.try(t, "sudo ros service delete node-exporter; sudo system-docker rmi "+image, nil) // if it was tested before
	g.sh(t, "sudo ros config set rancher.repositories '{core: {url: \"oci:///opt/catalog-oci\"}}'")
	if out := g.sh(t, "sudo ros service enable node-exporter"); !strings.Contains(out, "oci://") {
		t.Errorf("the image came from elsewhere:\n%s", out)
	}
	checkNodeExporter(t, g)
}

func checkNothing(*testing.T, *guest) {}

// done waits until a service that ends has done what it does.
func (g *guest) done(t *testing.T, name string) {
	t.Helper()
	g.eventually(t, stepPatience, func() error {
		all, err := g.services(t)
		if err == nil && all[name].State != control.Done {
			err = fmt.Errorf("%s is %s: %s", name, all[name].State, all[name].Reason)
		}
		return err
	})
}

func checkNodeExporter(t *testing.T, g *guest) {
	out := g.sh(t, "wget -qO- http://127.0.0.1:9100/metrics")
	for _, want := range []string{"node_memory_MemTotal_bytes ", `node_cpu_seconds_total{cpu="0"`, `mountpoint="/state"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}

func checkRegistry(t *testing.T, g *guest) {
	g.eventually(t, stepPatience, func() error {
		if r := g.try(t, "wget -qO- http://127.0.0.1:5000/v2/", nil); r.Code != 0 || strings.TrimSpace(r.Stdout) != "{}" {
			return fmt.Errorf("/v2/ answers %q %s", r.Stdout, r.Stderr)
		}
		return nil
	})
	g.sh(t, "docker tag busybox 127.0.0.1:5000/team/box:1 && docker push -q 127.0.0.1:5000/team/box:1 && docker rmi 127.0.0.1:5000/team/box:1")
	if out := g.sh(t, "wget -qO- http://127.0.0.1:5000/v2/_catalog"); !strings.Contains(out, "team/box") {
		t.Errorf("the registry has %s", out)
	}
	g.sh(t, "docker pull -q 127.0.0.1:5000/team/box:1 && docker run --rm 127.0.0.1:5000/team/box:1 true")
}

func checkContainerCron(t *testing.T, g *guest) {
	g.sh(t, `docker create --name ticker --label cron.schedule="*/2 * * * * *" busybox sh -c 'echo tick'`)
	g.sh(t, `docker create --name wrong --label cron.schedule="61 * * * * *" busybox true`)
	g.eventually(t, stepPatience, func() error {
		if out := g.sh(t, "docker logs ticker"); strings.Count(out, "tick") < 3 {
			return fmt.Errorf("it has run %d times", strings.Count(out, "tick"))
		}
		return nil
	})
	if out := g.sh(t, "sudo ros service logs container-cron"); !strings.Contains(out, `second: \"61\" is not from 0 to 59`) {
		t.Errorf("it says nothing of a wrong schedule:\n%s", out)
	}
	g.sh(t, "docker rm -f ticker wrong")
}

const composeFile = `services: {box: {image: busybox, pull_policy: never, command: [/bin/sleep, "987654"]}}
`

func checkDockerCompose(t *testing.T, g *guest) {
	g.done(t, "docker-compose")
	if out := g.sh(t, "docker compose version || { ls -lad /var/lib/rancher /var/lib/rancher/cli-plugins /var/lib/rancher/cli-plugins/* /usr/libexec/docker/*; docker info; exit 1; }"); !strings.Contains(out, "Docker Compose version") {
		t.Errorf("docker compose version printed %q", out)
	}
	g.feed(t, "mkdir -p project && cat >project/compose.yml", strings.NewReader(composeFile))
	g.sh(t, "cd project && docker compose up -d")
	if out := g.sh(t, "cd project && docker compose ps --services"); out != "box" {
		t.Errorf("docker compose ps printed %q", out)
	}
	g.sh(t, "cd project && docker compose down -t 0")
	// What rosd runs in the engine reads like a project that docker compose started.
	g.feed(t, "mkdir -p listed && cat >listed/compose.yml", strings.NewReader(composeFile))
	g.sh(t, "sudo ros service enable listed/compose.yml")
	for command, want := range map[string]string{
		"docker compose -p listed ps --services --status running": "box",
		"docker compose ls -q | grep -x listed":                   "listed",
	} {
		if out := g.sh(t, command); out != want {
			t.Errorf("%s printed %q, want %q", command, out, want)
		}
	}
	g.sh(t, "sudo ros service delete listed/compose.yml")
}

func checkKernelHeaders(t *testing.T, g *guest) {
	g.done(t, "kernel-headers")
	g.sh(t, `cd /var/lib/rancher/kernel-headers/linux-headers-$(uname -r) && test -s Module.symvers && test -x scripts/basic/fixdep &&
		grep -q "\"$(uname -r)\"" include/generated/utsrelease.h && grep -q /usr/src/linux-headers- Makefile`)
}

// checkISCSI goes as far as one gets without a target: the kernel for clouds
// has none to set up here, and the machine reaches nothing.
func checkISCSI(t *testing.T, g *guest) {
	if out := g.sh(t, "grep -c ^iscsi_tcp /proc/modules"); out != "1" {
		t.Errorf("iscsi_tcp is loaded %s times", out)
	}
	r := g.try(t, "sudo ros service exec open-iscsi iscsiadm -m discovery -t sendtargets -p 127.0.0.1", nil)
	if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "cannot make connection to 127.0.0.1: Connection refused") {
		t.Errorf("discovery where nobody listens: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	r = g.try(t, "sudo ros service exec open-iscsi iscsiadm -m node", nil)
	if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "No records found") {
		t.Errorf("nodes that are known: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

func checkNFS(t *testing.T, g *guest) {
	g.sh(t, "sudo mkdir -p /home/share /mnt/share && echo shared | sudo tee /home/share/file")
	g.feed(t, "sudo tee /var/lib/rancher/nfs-server/share.exports", strings.NewReader("/home/share 127.0.0.1(rw,fsid=0,no_subtree_check,no_root_squash,insecure)\n"))
	g.sh(t, "sudo ros service restart nfs-server")
	g.eventually(t, stepPatience, func() error {
		if r := g.try(t, "sudo ros service exec nfs-client mount -t nfs 127.0.0.1:/ /mnt/share", nil); r.Code != 0 {
			return fmt.Errorf("mount: %s%s", r.Stdout, r.Stderr)
		}
		return nil
	})
	if out := g.sh(t, "cat /mnt/share/file; grep ' /mnt/share ' /proc/mounts | cut -d ' ' -f 3"); out != "shared\nnfs4" {
		t.Errorf("in the console the mount has %q", out)
	}
	if out := g.sh(t, "docker run --rm -v /mnt/share:/share busybox sh -c 'echo more >/share/other; cat /share/file'"); out != "shared" {
		t.Errorf("in a container the mount has %q", out)
	}
	if out := g.sh(t, "cat /home/share/other"); out != "more" {
		t.Errorf("the server has %q of what the client wrote", out)
	}
	g.sh(t, "sudo ros service exec nfs-client umount /mnt/share")
}

// agent asks the guest agent over its port.
func (g *guest) agent(command string, result any) error {
	conn, err := net.Dial("unix", g.Agent)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(g.lab.build.Timeout(20 * time.Second))); err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(map[string]string{"execute": command}); err != nil || result == nil {
		return err
	}
	answer := struct {
		Return any
		Error  *struct{ Desc string }
	}{Return: result}
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s", command, answer.Error.Desc)
	}
	return nil
}

func checkGuestAgent(t *testing.T, g *guest) {
	var pong map[string]any
	g.eventually(t, stepPatience, func() error { return g.agent("guest-ping", &pong) })
	var host struct {
		HostName string `json:"host-name"`
	}
	if err := g.agent("guest-get-host-name", &host); err != nil || host.HostName != "tested" {
		t.Errorf("the agent says the machine is %q, %v", host.HostName, err)
	}
	var links []struct{ Name string }
	if err := g.agent("guest-network-get-interfaces", &links); err != nil || !strings.Contains(fmt.Sprint(links), "eth0") {
		t.Errorf("the agent sees the links %v, %v", links, err)
	}
}

func agentShutdown(t *testing.T, g *guest) {
	g.hangUp()
	if err := g.agent("guest-shutdown", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	if err := g.Wait(ctx); err != nil {
		t.Error(err)
	}
}

//go:build vm

package vm

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rosteros/ros/internal/control"
	oci "github.com/rosteros/ros/tests/registry"
)

// serveImages starts a registry that guests reach, and returns it with the name
// by which they do.
func serveImages(t *testing.T) (*oci.Registry, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &oci.Registry{User: "tester", Password: "secret", Token: true}
	server := &http.Server{Handler: g}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return g, fmt.Sprintf("%s:%d", gateway, l.Addr().(*net.TCPAddr).Port)
}

// shellImage is an image with the guest's own busybox, which says something.
func (g *guest) shellImage(t *testing.T, says string) oci.Image {
	t.Helper()
	r := g.try(t, "sudo cat /proc/1/root/usr/bin/busybox", nil)
	if r.Code != 0 || r.Stdout == "" {
		t.Fatalf("cannot read the OS's busybox: exit code %d: %s", r.Code, r.Stderr)
	}
	layer := oci.Layer{"bin/busybox": r.Stdout, "etc/passwd": "root:x:0:0::/root:/bin/sh\n"}
	for _, name := range applets {
		layer["bin/"+name] = "->busybox"
	}
	return oci.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: g.lab.arch},
		Config:   ocispec.ImageConfig{Cmd: []string{"sh", "-c", "echo " + says + "; sleep 987654"}, Env: []string{"PATH=/bin"}},
		Layers:   []oci.Layer{layer, {"etc/says": says + "\n"}},
	}
}

// pulledFile is a service of an image of a registry and one of a preloaded
// archive.
const pulledFile = `services:
  pulled:
    image: %s/team/shell:1
    restart: always
    x-ros: {scope: system}
  archived:
    image: shell-archive
    restart: always
    x-ros: {scope: system}
`

// imagesConfig knows the registry and how to log in there.
const imagesConfig = `#cloud-config
hostname: images
ssh_authorized_keys:
  - %s
rancher:
  registry_auths:
    %q: {username: tester, password: secret}
  docker:
    insecure_registry: [%q]
`

// boxedConfig has a service of the user too, whose image is only in an archive
// that nobody has loaded yet. To the machine it is another instance.
const boxedConfig = imagesConfig + `  services:
    boxed: {image: boxed-archive, restart: always}
`

// packedArchive is an archive of the guest's shell as an image.
func (g *guest) packedArchive(t *testing.T, says, name string) *bytes.Buffer {
	t.Helper()
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed)
	if err == nil {
		_, err = w.Write(g.shellImage(t, says).Archive(name))
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return &packed
}

// pulledImages runs services of images that are not baked: one is pulled, one
// comes from an archive. They come back without a network, and with them a
// service of the user that is as new as its archive.
func pulledImages(t *testing.T, l lab) {
	disk := l.newStateDisk(t)
	reg, host := serveImages(t)
	cfg := l.direct()
	cfg.Disks = []string{disk}
	config := map[string]string{"meta-data": "instance-id: images\n", "user-data": fmt.Sprintf(imagesConfig, l.key.Authorized, host, host)}
	g := l.startWith(t, cfg, "cidata", config)
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	before := 0
	g.step(t, "not there", func(t *testing.T) {
		g.settle(t)
		before = g.memoryOf(t, "rosd") + g.memoryOf(t, "containerd")
		g.feed(t, "sudo sh -c 'mkdir -p /var/lib/rancher/services; cat >/var/lib/rancher/services/pulled.yml'", strings.NewReader(fmt.Sprintf(pulledFile, host)))
		g.try(t, "sudo ros service up pulled archived", nil)
		g.eventually(t, stepPatience, func() error {
			all, err := g.services(t)
			if err == nil && (all["pulled"].State != control.Failed || !strings.Contains(all["pulled"].Reason, "is not on this machine")) {
				err = fmt.Errorf("pulled is %s: %s", all["pulled"].State, all["pulled"].Reason)
			}
			return err
		})
	})
	g.step(t, "pull", func(t *testing.T) {
		reg.Add("team/shell:1", g.shellImage(t, "pulled"))
		out := g.sh(t, "sudo system-docker pull "+host+"/team/shell:1")
		if !strings.Contains(out, ": Pull complete") || !strings.Contains(out, "Digest: sha256:") {
			t.Errorf("system-docker pull prints %q", out)
		}
		if r := g.try(t, "sudo system-docker pull "+host+"/team/nobody", nil); r.Code != 1 || !strings.Contains(r.Stderr, "does not have it") {
			t.Errorf("pull of an image that does not exist = %d, %q", r.Code, r.Stderr)
		}
		g.sh(t, "sudo ros service up pulled")
		g.eventually(t, stepPatience, g.serviceSays(t, "pulled", "pulled"))
	})
	g.step(t, "archives", func(t *testing.T) {
		packed := g.packedArchive(t, "archived", "shell-archive:latest")
		g.feed(t, "sudo sh -c 'cd /var/lib/rancher; mkdir -p preload/docker preload/system-docker; cat >preload/docker/shell.tar.zst; cp preload/docker/shell.tar.zst preload/system-docker/'", packed)
		out := g.sh(t, "sudo ros preload-images")
		if strings.Count(out, "shell-archive:latest") != 2 {
			t.Errorf("ros preload-images prints %q, want the image twice", out)
		}
		g.sh(t, "docker image inspect shell-archive")
		g.sh(t, "sudo ros service up archived")
		g.eventually(t, stepPatience, g.serviceSays(t, "archived", "archived"))
	})
	g.step(t, "system-docker", func(t *testing.T) {
		g.prints(t, map[string]string{
			"sudo system-docker ps --format '{{.Names}}' | grep -c '^pulled$'":                                                        "1",
			"sudo system-docker exec pulled cat /etc/says":                                                                            "pulled",
			"echo through | sudo system-docker exec -i pulled cat":                                                                    "through",
			"sudo system-docker run --rm " + host + "/team/shell:1 cat /etc/says":                                                     "pulled",
			"sudo system-docker run -d --name byhand shell-archive >/dev/null; sudo system-docker ps -q --filter name=byhand | wc -w": "1",
			"sudo system-docker logs --tail 1 pulled":                                                                                 "pulled",
			"sudo system-docker inspect -f '{{.State.Running}}' console":                                                              "true",
		})
		g.checkTerminal(t)
		t.Logf("rosd and containerd have %d KiB, before anything was pulled %d KiB", g.memoryOf(t, "rosd")+g.memoryOf(t, "containerd"), before)
		g.feed(t, "sudo sh -c 'cat >/var/lib/rancher/preload/docker/boxed.tar.zst'", g.packedArchive(t, "boxed", "boxed-archive:latest"))
		g.powerOff(t)
	})
	g.step(t, "without a network", func(t *testing.T) {
		cfg.Restrict = true
		again := l.startWith(t, cfg, "cidata", map[string]string{
			"meta-data": "instance-id: boxed\n", "user-data": fmt.Sprintf(boxedConfig, l.key.Authorized, host, host),
		})
		again.expect(t, loginPrompt, bootPatience)
		again.logIn(t)
		all := again.settle(t)
		for _, name := range []string{"pulled", "archived"} {
			if s := all[name]; s.State != control.Running {
				t.Errorf("%s is %s %s after a reboot without a network", name, s.State, s.Reason)
			}
		}
		again.eventually(t, stepPatience, again.serviceSays(t, "boxed", "boxed"))
		again.prints(t, map[string]string{
			"docker ps -q --filter label=ros.service=boxed | wc -l":                           "1",
			"sudo system-docker exec pulled cat /etc/says":                                    "pulled",
			"sudo system-docker ps -a --filter name=byhand --format '{{.State}}'":             "exited",
			"sudo system-docker start byhand && sudo system-docker exec byhand cat /etc/says": "byhand\narchived",
		})
		again.powerOff(t)
	})
}

// serviceSays asks whether a service runs and has written a line.
func (g *guest) serviceSays(t *testing.T, name, line string) func() error {
	return func() error {
		all, err := g.services(t)
		if err == nil && all[name].State != control.Running {
			err = fmt.Errorf("%s is %s: %s", name, all[name].State, all[name].Reason)
		}
		if err == nil && !strings.Contains(g.sh(t, "ros service logs --lines 5 "+name), line) {
			err = fmt.Errorf("%s has not written %q", name, line)
		}
		return err
	}
}

// checkTerminal asks for a terminal from one: the serial console, where the
// live system logs in by itself.
func (g *guest) checkTerminal(t *testing.T) {
	t.Helper()
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	out, code, err := g.Console.Shell(ctx, "sudo system-docker exec -it pulled sh -c 'test -t 0 && test -t 1 && echo a terminal'")
	if err != nil || code != 0 || !strings.Contains(out, "a terminal") {
		t.Errorf("system-docker exec -it on the console = %q, %d, %v", out, code, err)
	}
}

// memoryOf is how much of the memory a process has, in KiB: what it shares with
// others counts in part.
func (g *guest) memoryOf(t *testing.T, name string) (kib int) {
	t.Helper()
	out := g.sh(t, "sudo grep ^Pss: /proc/$(pgrep -xo "+name+")/smaps_rollup")
	if _, err := fmt.Sscanf(out, "Pss: %d kB", &kib); err != nil {
		t.Errorf("memory of %s: %q", name, out)
	}
	return kib
}

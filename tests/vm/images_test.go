//go:build vm

package vm

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ulikunitz/xz"

	"github.com/rosteros/ros/internal/control"
	oci "github.com/rosteros/ros/tests/registry"
)

// serveImages starts a registry that guests reach, and returns it with the name
// by which they do.
func serveImages(t *testing.T) (*oci.Registry, string) {
	t.Helper()
	g := &oci.Registry{User: "tester", Password: "secret", Token: true}
	return g, serve(t, g)
}

// serve starts a web server that guests reach, and returns how they do.
func serve(t *testing.T, h http.Handler) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return fmt.Sprintf("%s:%d", gateway, l.Addr().(*net.TCPAddr).Port)
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

// packers are the ways in which an archive of images may be packed, by the end of
// its name.
var packers = map[string]func(io.Writer) (io.WriteCloser, error){
	"tar.gz":  func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	"tar.xz":  func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	"tar.zst": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
}

// packedArchive is an archive of the guest's shell as an image.
func (g *guest) packedArchive(t *testing.T, says, name, ext string) *bytes.Buffer {
	t.Helper()
	var packed bytes.Buffer
	w, err := packers[ext](&packed)
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
	g.step(t, "up pulls into the engine", func(t *testing.T) { g.checkUpPulls(t, host) })
	g.step(t, "archives", func(t *testing.T) {
		names := map[string]string{"tar.zst": "shell-archive", "tar.gz": "gz-archive", "tar.xz": "xz-archive"}
		for ext, name := range names {
			file := name + "." + ext
			g.feed(t, "sudo sh -c 'cd /var/lib/rancher/; mkdir -p preload/docker preload/system-docker; cat >preload/docker/"+file+"; cp preload/docker/"+file+" preload/system-docker/'",
				g.packedArchive(t, "archived", name+":latest", ext))
		}
		out := g.sh(t, "sudo ros preload-images")
		for _, name := range names {
			if strings.Count(out, name+":latest") != 2 {
				t.Errorf("ros preload-images prints %q, want %s twice", out, name)
			}
			g.prints(t, map[string]string{
				"docker run --rm " + name + " cat /etc/says":             "archived",
				"sudo system-docker run --rm " + name + " cat /etc/says": "archived",
			})
		}
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
		g.checkSystemDocker(t)
		g.checkTerminal(t)
		t.Logf("rosd and containerd have %d KiB, before anything was pulled %d KiB", g.memoryOf(t, "rosd")+g.memoryOf(t, "containerd"), before)
		g.feed(t, "sudo sh -c 'cat >/var/lib/rancher/preload/docker/boxed.tar.zst'", g.packedArchive(t, "boxed", "boxed-archive:latest", "tar.zst"))
	})
	g.step(t, "mirror and proxy", func(t *testing.T) { g.checkWays(t, host) })
	if !g.step(t, "power off", func(t *testing.T) { g.powerOff(t) }) {
		return
	}
	g.step(t, "without a network", func(t *testing.T) {
		cfg.Restrict = true
		again := l.startWith(t, cfg, "cidata", map[string]string{
			"meta-data": "instance-id: boxed\n", "user-data": fmt.Sprintf(boxedConfig, l.key.Authorized, host, host),
		})
		again.expect(t, loginPrompt, bootPatience)
		again.logIn(t)
		all := again.settle(t)
		for _, name := range []string{"pulled", "archived", "mine"} {
			if s := all[name]; s.State != control.Running {
				t.Errorf("%s is %s %s after a reboot without a network", name, s.State, s.Reason)
			}
		}
		again.eventually(t, stepPatience, again.serviceSays(t, "boxed", "boxed"))
		again.prints(t, map[string]string{
			"docker ps -q --filter label=ros.service=boxed | wc -l":               "1",
			"sudo system-docker exec pulled cat /etc/says":                        "pulled",
			"sudo system-docker ps -a --filter name=byhand --format '{{.State}}'": "exited",
		})
		again.prints(t, map[string]string{ // after that, and a map has no order
			"sudo system-docker start byhand && sudo system-docker exec byhand cat /etc/says": "byhand\narchived",
		})
		again.powerOff(t)
	})
}

// mineFile is a service of the user, and another one whose image nobody has.
const mineFile = `services:
  mine: {image: "HOST/team/shell:1", ports: ["8077:80"], restart: always}
  nobody: {image: "HOST/team/nobody:1"}
`

// checkUpPulls starts services of the user whose images are not on the machine.
func (g *guest) checkUpPulls(t *testing.T, host string) {
	const file = "/var/lib/rancher/services/mine.yml"
	text := strings.ReplaceAll(mineFile, "HOST", host)
	g.feed(t, "sudo tee "+file, strings.NewReader(text))
	out := g.sh(t, "sudo ros service up mine")
	if !strings.Contains(out, ": Pull complete") || !strings.HasSuffix(out, "mine running") {
		t.Errorf("up of a service whose image is not there prints %q", out)
	}
	if out := g.sh(t, "ros service ps mine"); !strings.Contains(out, host+"/team/shell:1  8077->80/tcp") {
		t.Errorf("ros service ps mine: %s", out)
	}
	r := g.try(t, "sudo ros service up nobody", nil)
	if r.Code != 1 || !strings.Contains(r.Stderr, `cannot pull the image of service "nobody"`) || !strings.Contains(r.Stderr, host+"/team/nobody:1") {
		t.Errorf("up of a service whose image nobody has: exit code %d: %s", r.Code, r.Stderr)
	}
	mine, _, _ := strings.Cut(text, "  nobody")
	g.feed(t, "sudo tee "+file+" && sudo ros service up mine", strings.NewReader(mine))
}

// checkSystemDocker takes the verbs that other steps do not need.
func (g *guest) checkSystemDocker(t *testing.T) {
	g.prints(t, map[string]string{
		"sudo system-docker version | grep -c Version | xargs test 0 -lt && echo yes": "yes",
		"sudo system-docker stats --no-stream --format '{{.Name}}' | grep '^pulled$'": "pulled",
		"sudo system-docker save shell-archive | tar -tf - | grep -x manifest.json":   "manifest.json",
		"sudo system-docker run -d --name brief shell-archive >/dev/null; sudo system-docker kill brief; sudo system-docker stop brief; " +
			"sudo system-docker ps -a --filter name=brief --format '{{.Status}}' | cut -d ' ' -f 1-2; sudo system-docker rm brief; sudo system-docker ps -aq --filter name=brief": "brief\nbrief\nExited (137)\nbrief",
		"sudo system-docker run --rm -i -e A=B shell-archive sh -c 'echo $A; exit 4'; echo $?":                                               "B\n4",
		"sudo system-docker exec pulled sh -c 'exit 3'; echo $?":                                                                             "3",
		"sudo system-docker run --name short shell-archive true; sudo system-docker rm short; sudo system-docker ps -aq --filter name=short": "short",
	})
}

// unknownHost is a registry that nobody finds but a proxy.
const unknownHost = "registry.invalid:5000"

// waysConfig is how registries are reached by others.
const waysConfig = `#cloud-config
rancher:
  docker:
    registry_mirror: "http://%s"
    insecure_registry: [%q, %q]
  network:
    http_proxy: "http://%s"
    https_proxy: "http://%s"
    no_proxy: %q
`

// checkWays pulls through a mirror of Docker Hub and through a proxy, into the
// engine and for the system.
func (g *guest) checkWays(t *testing.T, host string) {
	mirror, hidden := &oci.Registry{}, &oci.Registry{}
	mirror.Add("team/mirrored:1", g.shellImage(t, "mirrored"))
	hidden.Add("team/hidden:1", g.shellImage(t, "hidden"))
	proxy := serve(t, forwarder(strings.Replace(serve(t, hidden), gateway, "127.0.0.1", 1)))
	g.feed(t, "sudo ros config merge", strings.NewReader(fmt.Sprintf(waysConfig, serve(t, mirror), host, unknownHost, proxy, proxy, gateway)))
	g.settle(t)
	g.prints(t, map[string]string{
		"docker pull -q team/mirrored:1":                                              "docker.io/team/mirrored:1",
		"docker run --rm team/mirrored:1 cat /etc/says":                               "mirrored",
		"sudo system-docker pull -q team/mirrored:1":                                  "docker.io/team/mirrored:1",
		"sudo system-docker run --rm team/mirrored:1 cat /etc/says":                   "mirrored",
		"docker pull -q " + unknownHost + "/team/hidden:1":                            unknownHost + "/team/hidden:1",
		"docker run --rm " + unknownHost + "/team/hidden:1 cat /etc/says":             "hidden",
		"sudo system-docker run --rm " + unknownHost + "/team/hidden:1 cat /etc/says": "hidden",
	})
	for name, r := range map[string]*oci.Registry{"mirror": mirror, "registry behind the proxy": hidden} {
		if n := strings.Count(strings.Join(r.Asked(), "\n"), "/blobs/sha256:"); n < 2*2 { // for each the config and the layer that no other image has
			t.Errorf("the %s was asked for %d blobs: %q", name, n, r.Asked())
		}
	}
	g.sh(t, "sudo ros config unset rancher.docker.registry_mirror rancher.docker.insecure_registry rancher.network.http_proxy rancher.network.https_proxy rancher.network.no_proxy")
	g.settle(t)
}

// forwarder is a proxy that finds one server behind every name.
func forwarder(server string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(&url.URL{Scheme: "http", Host: server})
			}}).ServeHTTP(w, r)
			return
		}
		there, err := net.Dial("tcp", server)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		go func() { _, _ = io.Copy(there, buffered); there.Close() }()
		_, _ = io.Copy(here, there)
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

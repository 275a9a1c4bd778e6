//go:build vm

package vm

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// engineSwitch is the life of the engine: changed for another one and back,
// broken, none, reached with TLS, with an extra one beside it.
func engineSwitch(t *testing.T, l lab) {
	cfg := l.direct()
	cfg.Disks = []string{l.newStateDisk(t)}
	g := l.start(t, cfg)
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.settle(t)
	g.importBusybox(t)
	g.step(t, "data", func(t *testing.T) {
		g.sh(t, "docker run -d --name keep --restart unless-stopped -v kept:/data busybox sh -c 'cat /data/word; sleep 987654'")
		g.sh(t, "docker run --rm -v kept:/data busybox sh -c 'echo precious > /data/word'")
		g.checkData(t)
		t.Log("memory with docker: " + g.memory(t))
	})
	g.step(t, "refused", func(t *testing.T) { checkEngineRefused(t, g) })
	g.step(t, "debian", func(t *testing.T) { checkDebianEngine(t, g) })
	g.step(t, "extra", func(t *testing.T) { checkExtraEngine(t, g) })
	g.step(t, "none", func(t *testing.T) {
		g.sh(t, "sudo ros engine switch -f none")
		g.current(t, "none")
		if out := g.sh(t, "pgrep -l 'dockerd|containerd-shim' | grep -c dockerd; pgrep -f 'sleep 98765[4]' | wc -l"); out != "0\n0" {
			t.Errorf("with no engine there run: %s", g.sh(t, "ps"))
		}
		t.Log("memory with none: " + g.memory(t))
		t.Log(g.sh(t, "sudo ros engine switch -f docker"))
		g.current(t, "docker")
		g.checkData(t)
		t.Log("memory with docker again: " + g.memory(t))
	})
	g.step(t, "broken", func(t *testing.T) {
		g.sh(t, `mkdir -p /home/rancher/b/engine && printf '#!/bin/sh\n[ "$1" != --version ] || { echo Docker version 28.0.0, build x; exit; }\necho no kernel for me; exit 3\n' > /home/rancher/b/engine/dockerd && chmod 755 /home/rancher/b/engine/dockerd && tar -C /home/rancher/b -c engine | docker import - my/broken:1 && docker save my/broken:1 > /home/rancher/broken.tar`)
		r := g.try(t, "sudo ros engine switch -f /home/rancher/broken.tar", nil)
		t.Log(r.Stdout + r.Stderr)
		if r.Code != 1 || !strings.Contains(r.Stderr, "no kernel for me") || !strings.Contains(r.Stdout, "going back to docker") {
			t.Errorf("switch to a broken engine: %d", r.Code)
		}
		g.current(t, "docker")
		g.checkData(t)
	})
	g.step(t, "tls", func(t *testing.T) { checkTLS(t, g) })
	g.step(t, "own-image", func(t *testing.T) {
		// RancherOS's format, made of what is here: the OS's own dockerd.
		g.sh(t, "mkdir -p /home/rancher/e/engine && sudo cp /proc/1/root/usr/lib/ros/layers/docker/usr/bin/dockerd /home/rancher/e/engine/ && tar -C /home/rancher/e -c engine | docker import - my/engine:1 && docker save my/engine:1 > /home/rancher/engine.tar && docker rmi my/engine:1")
		t.Log(g.sh(t, "cd /home/rancher && sudo ros engine switch -f ./engine.tar"))
		g.current(t, "my/engine:1")
		g.checkData(t)
		if out := g.sh(t, "sudo readlink /proc/$(pgrep -xo dockerd)/exe"); out != "/engine/dockerd" {
			t.Errorf("dockerd is %s", out)
		}
		t.Log(g.sh(t, "sudo ros engine switch docker"))
		g.current(t, "docker")
		g.checkData(t)
	})
	g.step(t, "boot", func(t *testing.T) {
		g.sh(t, "sudo ros engine enable /home/rancher/engine.tar && sudo ros engine enable /home/rancher/broken.tar")
		g.current(t, "docker")
		g.powerOff(t)
		cfg.Restrict = true
		again := l.start(t, cfg)
		again.expect(t, loginPrompt, bootPatience)
		again.logIn(t)
		again.eventually(t, stepPatience, func() error {
			if out := again.sh(t, "ros engine current; ros status || true"); !strings.HasPrefix(out, "docker\n") || !strings.Contains(out, "my/broken:1 did not: ") {
				return fmt.Errorf("after a boot with a broken engine: %s", out)
			}
			return nil
		})
		again.checkData(t)
		again.sh(t, "sudo ros engine enable my/engine:1")
		again.powerOff(t)
		last := l.start(t, cfg)
		last.expect(t, loginPrompt, bootPatience)
		last.logIn(t)
		last.current(t, "my/engine:1")
		last.checkData(t)
	})
}

// current looks that an engine is the one that runs, for ros and for itself.
func (g *guest) current(t *testing.T, name string) {
	t.Helper()
	if out := g.sh(t, "ros engine current"); out != name {
		t.Errorf("the engine is %q, want %q", out, name)
	}
	if name != "none" {
		g.settle(t)
	}
}

// checkData looks at the container with a volume, and that a new one reaches
// out: its network is the engine's that runs.
func (g *guest) checkData(t *testing.T) {
	t.Helper()
	g.eventually(t, stepPatience, func() error {
		r := g.try(t, "docker inspect -f '{{.State.Status}}' keep && docker exec keep cat /data/word", nil)
		if r.Code != 0 || strings.TrimSpace(r.Stdout) != "running\nprecious" {
			return fmt.Errorf("the container with a volume: %d %s%s", r.Code, r.Stdout, r.Stderr)
		}
		return nil
	})
	if out := g.sh(t, "docker run --rm busybox sh -c '/bin/busybox nc -w 5 10.0.2.15 22 </dev/null | /bin/busybox head -c 3'"); out != "SSH" {
		t.Errorf("a container reaches sshd and gets %q", out)
	}
	g.sh(t, "docker rm -f pub >/dev/null 2>&1; docker run -d --name pub -p 8090:80 busybox /bin/busybox httpd -f -p 80 -h /bin")
	g.eventually(t, stepPatience, func() error {
		if r := g.try(t, "wget -qO /dev/null http://10.0.2.15:8090/busybox && docker rm -f pub", nil); r.Code != 0 {
			return fmt.Errorf("a published port: %s", r.Stderr)
		}
		return nil
	})
}

// memory is what free and ros say is used, for docs/benchmarks.md.
func (g *guest) memory(t *testing.T) string {
	t.Helper()
	return g.sh(t, `sleep 20; echo 3 | sudo tee /proc/sys/vm/drop_caches >/dev/null; free -m | awk 'NR==2 {print $3 " MiB used"}'`)
}

// checkEngineRefused asks for engines that cannot be.
func checkEngineRefused(t *testing.T, g *guest) {
	before := g.sh(t, "docker ps -q --no-trunc; sudo ros config get rancher.docker")
	for command, want := range map[string]string{
		"switch docker-debain":               "no catalog has \"docker-debain\"",
		"switch dokcer":                      `did you mean "docker"?`,
		"switch 10.0.2.2:9/engine:1":         "10.0.2.2:9",
		"switch --no-pull 10.0.2.2:9/engine": "is not on this machine, and is not to be pulled",
		"switch /home/rancher/none.tar":      "no such file",
		"create docker":                      `there is a service "docker" already`,
		"create x --fixed-ip 10.9.0.1":       "--network says which",
		"create x -v 18.03.1":                "--version cannot choose another",
		"create x --ssh-port 22":             "there is no sshd in it",
		"rm -f nothing":                      "there are no extra engines",
		"enable registry.invalid/engine:1":   "registry.invalid",
	} {
		r := g.try(t, "sudo ros engine "+command+" </dev/null", nil)
		if r.Code == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("ros engine %s: %d %s%s\nwant %s", command, r.Code, r.Stdout, r.Stderr, want)
		}
	}
	g.sh(t, "docker save busybox > /home/rancher/busybox.tar")
	if r := g.try(t, "sudo ros engine switch -f /home/rancher/busybox.tar", nil); r.Code != 1 || !strings.Contains(r.Stderr, "is no engine: there is no dockerd in it") {
		t.Errorf("an image without dockerd: %d %s", r.Code, r.Stderr)
	}
	if after := g.sh(t, "docker ps -q --no-trunc; sudo ros config get rancher.docker"); after != before {
		t.Errorf("the machine is not as it was: %s\nbefore: %s", after, before)
	}
}

// checkDebianEngine goes to Debian's docker.io and back, by its name in the
// catalog; its image was preloaded.
func checkDebianEngine(t *testing.T, g *guest) {
	archive := filepath.Join(filepath.Dir(g.lab.system.ISO), "catalog/images/docker-debian.tar")
	f, err := os.Open(archive)
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skip("the archive of docker-debian was not built: make catalog")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g.feed(t, "sudo mkdir -p /var/lib/rancher/preload/system-docker && sudo sh -c 'cat > /var/lib/rancher/preload/system-docker/engine.tar'", f)
	g.sh(t, "sudo ros preload-images")
	t.Log(g.sh(t, "sudo ros engine switch -f docker-debian"))
	t.Log(g.sh(t, "docker version; docker info; ros engine list"))
	g.current(t, "docker-debian")
	if out := g.sh(t, "docker version -f '{{.Server.Version}}'"); strings.HasPrefix(out, "29.") {
		t.Errorf("the engine is still Docker %s", out)
	}
	g.checkData(t)
	t.Log("memory with docker-debian: " + g.memory(t))
	t.Log(g.sh(t, "sudo ros engine switch -f docker"))
	g.current(t, "docker")
	g.checkData(t)
}

// checkTLS follows RancherOS's procedure and talks to the engine from outside
// the machine.
func checkTLS(t *testing.T, g *guest) {
	g.sh(t, "sudo ros config set rancher.docker.tls true")
	g.sh(t, "sudo ros tls gen --server -H localhost -H edge-7")
	g.sh(t, "sudo system-docker restart docker")
	g.sh(t, "sudo ros tls gen")
	g.settle(t)
	if out := g.sh(t, "docker --tlsverify -H tcp://127.0.0.1:2376 version -f '{{.Server.Os}}'"); out != "linux" {
		t.Errorf("docker --tlsverify = %q", out)
	}
	address := g.forward(t, 2376)
	read := func(name string) []byte { return []byte(g.sh(t, "sudo cat /home/rancher/.docker/"+name) + "\n") }
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read("ca.pem"))
	pair, err := tls.X509KeyPair(read("cert.pem"), read("key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	info := func(certificates ...tls.Certificate) (string, error) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "edge-7", Certificates: certificates}}}
		resp, err := client.Get("https://" + address + "/info")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		var answer struct{ Name string }
		return answer.Name, json.NewDecoder(resp.Body).Decode(&answer)
	}
	g.eventually(t, stepPatience, func() error {
		_, err := info(pair)
		return err
	})
	if name, err := info(); err == nil {
		t.Errorf("a client without a certificate is let in: %s", name)
	}
	g.sh(t, "sudo ros config unset rancher.docker.tls")
	g.settle(t)
}

// forward lets a port of the host lead to one of the guest.
func (g *guest) forward(t *testing.T, port int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, free, _ := net.SplitHostPort(address)
	line := fmt.Sprintf("hostfwd_add tcp:127.0.0.1:%s-:%d", free, port)
	var said string
	if err := g.QMP.Do("human-monitor-command", map[string]any{"command-line": line}, &said); err != nil || said != "" {
		t.Fatalf("%s: %v %s", line, err, said)
	}
	return address
}

// checkExtraEngine makes an extra engine, uses it and takes it away.
func checkExtraEngine(t *testing.T, g *guest) {
	g.sh(t, "docker network create --subnet 10.9.0.0/24 lab")
	t.Log(g.sh(t, "sudo ros engine create builds --network lab --fixed-ip 10.9.0.7"))
	t.Log(g.sh(t, "ros engine list"))
	const extra = "docker -H unix:///run/ros/engines/builds/docker.sock "
	if out := g.sh(t, extra+"ps -aq; "+extra+"images -q"); out != "" {
		t.Errorf("an extra engine has data that are not its own: %s", out)
	}
	g.sh(t, "docker save busybox | "+extra+"load")
	if out := g.sh(t, extra+"run --rm busybox echo hello from within"); out != "hello from within" {
		t.Errorf("a container of the extra engine prints %q", out)
	}
	if out := g.sh(t, "docker inspect -f '{{.NetworkSettings.Networks.lab.IPAddress}}' builds"); out != "10.9.0.7" {
		t.Errorf("the extra engine has the address %q", out)
	}
	t.Log("memory with an extra engine: " + g.memory(t))
	if r := g.try(t, "sudo ros engine create builds", nil); r.Code != 1 || !strings.Contains(r.Stderr, "already") {
		t.Errorf("created twice: %d %s", r.Code, r.Stderr)
	}
	g.sh(t, "sudo ros engine rm -f -t 5 builds && docker network rm lab")
	if out := g.sh(t, "docker ps -aq -f name=builds; ls /var/lib/rancher/engines /run/ros/engines; ros engine list -q | grep -c builds; true"); strings.Contains(out, "builds") || !strings.HasSuffix(out, "0") {
		t.Errorf("after rm there is left: %s", out)
	}
}

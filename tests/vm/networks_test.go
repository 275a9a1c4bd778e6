//go:build vm

package vm

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

// netsFile is a project of the system's containerd with two networks.
const netsFile = `services:
  web:
    image: shell
    command: [/bin/busybox, httpd, -f, -p, "80", -h, /www]
    volumes: ["page:/www"]
    ports: ["8080:80"]
    networks: [front, back]
    restart: always
    x-ros: {scope: system}
  store:
    image: shell
    command: [/bin/busybox, httpd, -f, -p, "80", -h, /goods]
    volumes: ["goods:/goods"]
    networks: {back: {aliases: [db]}}
    restart: always
    x-ros: {scope: system}
  baked:
    image: ros/cron
    command: [sh, -c, "cat /etc/hosts /etc/resolv.conf; exec sleep 987654"]
    read_only: true
    networks: [front]
    restart: always
    x-ros: {scope: system}
networks: {front: , back: {internal: true}}
volumes: {page: , goods: }
`

// systemNetworks runs a project with networks and a published port in the
// system's containerd, beside Docker, through restarts of everything and a boot.
func systemNetworks(t *testing.T, l lab) {
	cfg := l.direct()
	cfg.Disks = []string{l.newStateDisk(t)}
	s := openSite(t)
	s.put("here", "the world")
	g := l.start(t, cfg)
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	g.settle(t)
	outside := "http://" + g.forward(t, 8080) + "/"
	g.step(t, "up", func(t *testing.T) {
		t.Logf("rosd has %d KiB before", g.memoryOf(t, "rosd"))
		g.importBusybox(t)
		g.feed(t, "sudo system-docker load", bytes.NewReader(g.shellImage(t, "shell").Archive("shell:latest")))
		g.sh(t, "sudo sh -c 'cd /var/lib/rancher; mkdir -p services volumes/page volumes/goods; echo the page >volumes/page/index.html; echo the goods >volumes/goods/index.html'")
		g.feed(t, "sudo sh -c 'cat >/var/lib/rancher/services/nets.yml'", strings.NewReader(netsFile))
		g.sh(t, "sudo ros service up web store baked")
		checkNetworks(t, g, s, outside)
		t.Logf("rosd has %d KiB after", g.memoryOf(t, "rosd"))
		t.Log(g.sh(t, "sudo ros service exec web cat /etc/hosts; ip -br addr"))
	})
	g.step(t, "beside docker", func(t *testing.T) {
		g.prints(t, map[string]string{
			"docker run --rm busybox /bin/busybox wget -qO- http://172.17.0.1:8080/": "the page",
			"docker run -d --name there -p 8090:80 busybox /bin/busybox sh -c 'mkdir /www; echo from docker >/www/index.html; exec /bin/busybox httpd -f -p 80 -h /www' >/dev/null; sleep 1; sudo ros service exec web /bin/busybox wget -qO- http://172.17.0.1:8090/": "from docker",
		})
		// A container of the one engine is nobody's neighbour in the other.
		there := g.sh(t, "docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' there")
		if r := g.try(t, "sudo ros service exec web /bin/busybox wget -T 2 -qO- http://"+there+"/", nil); r.Code == 0 {
			t.Errorf("web reaches a container of Docker that way: %q", r.Stdout)
		}
		g.sh(t, "sudo ros service restart docker")
		g.settle(t)
		checkNetworks(t, g, s, outside)
		g.sh(t, "docker rm -f there")
	})
	g.step(t, "refused", func(t *testing.T) {
		for port, want := range map[string]string{"22": "in use", "8080": "in use"} {
			file := fmt.Sprintf("services: {other: {image: shell, pull_policy: never, ports: ['%s:80'], x-ros: {scope: system}}}\n", port)
			g.feed(t, "cat >other.yml", strings.NewReader(file))
			r := g.try(t, "sudo ros service enable $PWD/other.yml", nil)
			if message := `service "other": port ` + port + "/tcp of the machine is " + want; r.Code == 0 || !strings.Contains(r.Stderr+r.Stdout, message) {
				t.Errorf("port %s: exit code %d, %q, want %s", port, r.Code, r.Stderr+r.Stdout, message)
			}
		}
		if r := g.try(t, "docker run --rm -p 8080:80 busybox true", nil); r.Code == 0 {
			t.Error("Docker was given a port that a service of the system has")
		}
	})
	g.step(t, "rosd", func(t *testing.T) {
		before, err := g.services(t)
		if err != nil {
			t.Fatal(err)
		}
		bridges := g.sh(t, "ip -br link | grep ros")
		g.sh(t, "sudo pkill -9 -xo rosd")
		g.settle(t)
		after, err := g.services(t)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"web", "store"} {
			if after[name].Pid != before[name].Pid {
				t.Errorf("%s has pid %d, had %d", name, after[name].Pid, before[name].Pid)
			}
		}
		if now := g.sh(t, "ip -br link | grep ros"); now != bridges {
			t.Errorf("links were\n%s\nand are\n%s", bridges, now)
		}
		checkNetworks(t, g, s, outside)
		hosts := g.sh(t, "sudo ros service exec web cat /etc/hosts")
		g.sh(t, "sudo ros service restart store web")
		if now := g.sh(t, "sudo ros service exec web cat /etc/hosts"); now != hosts {
			t.Errorf("hosts were\n%s\nand are\n%s", hosts, now)
		}
		checkNetworks(t, g, s, outside)
	})
	g.step(t, "boot", func(t *testing.T) {
		hosts := g.sh(t, "sudo ros service exec web cat /etc/hosts")
		g.reboot(t, "sudo reboot")
		g.settle(t)
		if now := g.sh(t, "sudo ros service exec web cat /etc/hosts"); now != hosts {
			t.Errorf("hosts were\n%s\nand are\n%s", hosts, now)
		}
		checkNetworks(t, g, s, outside)
	})
	g.powerOff(t)
}

// checkNetworks asks from everywhere.
func checkNetworks(t *testing.T, g *guest, s *site, outside string) {
	t.Helper()
	g.eventually(t, stepPatience, func() error {
		all, err := g.services(t)
		for _, name := range []string{"web", "store", "baked"} {
			if err == nil && all[name].State != control.Running {
				err = fmt.Errorf("%s is %s: %s", name, all[name].State, all[name].Reason)
			}
		}
		return err
	})
	g.eventually(t, stepPatience, func() error {
		response, err := http.Get(outside)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if text, err := io.ReadAll(response.Body); err != nil || string(text) != "the page\n" {
			return fmt.Errorf("from outside web says %q (%v)", text, err)
		}
		return nil
	})
	const from = "sudo ros service exec %s /bin/busybox wget -T 5 -qO- %s"
	g.prints(t, map[string]string{
		"wget -qO- http://127.0.0.1:8080/":                                              "the page",
		"wget -qO- http://10.0.2.15:8080/":                                              "the page",
		fmt.Sprintf(from, "web", "http://db/"):                                          "the goods",
		fmt.Sprintf(from, "web", "http://store/"):                                       "the goods",
		fmt.Sprintf(from, "store", "http://web/"):                                       "the page",
		fmt.Sprintf(from, "web", s.url+"here"):                                          "the world",
		"sudo ros service exec web /bin/busybox hostname":                               "web",
		"sudo ros service exec baked grep -c web /etc/hosts":                            "1",
		"sudo ros service exec baked busybox wget -qO- http://web/":                     "the page",
		"sudo ros service exec web cat /etc/resolv.conf | grep -c ^nameserver.10.0.2.3": "1",
	})
	if r := g.try(t, fmt.Sprintf(from, "store", s.url+"here"), nil); r.Code == 0 {
		t.Errorf("there is a way out of an internal network: %q", r.Stdout)
	}
}

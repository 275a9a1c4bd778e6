//go:build vm

package vm

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

// shopFile is a project of three services that wait for each other.
const shopFile = `name: shop
services:
  db:
    image: busybox
    pull_policy: never # the test has put it there
    command: [sh, -c, "sleep 1; echo ready > /data/ready; exec sleep 987654"]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, cat, /data/ready], interval: 2s, start_period: 60s, start_interval: 1s}
    restart: always
  api:
    image: busybox
    pull_policy: never # the test has put it there
    command: [/bin/busybox, httpd, -f, -p, "8000", -h, /data]
    volumes: ["data:/data:ro"]
    environment: {GREETING: "${GREETING:-hello}"}
    depends_on: {db: {condition: service_healthy}}
    restart: always
  web:
    image: busybox
    pull_policy: never # the test has put it there
    command: [/bin/busybox, httpd, -f, -p, "80", -h, /www]
    configs: [{source: page, target: /www/index.html}]
    secrets: [{source: word, target: word}]
    ports: ["8080:80"]
    depends_on: [api]
    restart: always
configs: {page: {content: "welcome to the shop\n"}}
secrets: {word: {environment: COMPOSE_PROJECT_NAME}}
volumes: {data: }
`

// site is what the host serves to the guest.
type site struct {
	mu    sync.Mutex
	files map[string]string
	url   string // as the guest sees it
}

func (s *site) put(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = text
}

func openSite(t *testing.T) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{files: map[string]string{}, url: fmt.Sprintf("http://10.0.2.2:%d/", l.Addr().(*net.TCPAddr).Port)}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		text, ok := s.files[strings.TrimPrefix(r.URL.Path, "/")]
		s.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, text)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return s
}

// enableFromURL is the life of a project that came from an address: enabled,
// updated, through an engine crash, through a reboot without a network, gone.
func enableFromURL(t *testing.T, l lab) {
	disk := l.newStateDisk(t)
	s := openSite(t)
	s.put("shop.yml", shopFile)
	shop := s.url + "shop.yml"
	cfg := l.direct()
	cfg.Disks = []string{disk}
	if !t.Run("network", func(t *testing.T) {
		g := l.start(t, cfg)
		g.expect(t, loginPrompt, bootPatience)
		g.logIn(t)
		g.settle(t)
		g.importBusybox(t)
		g.step(t, "refused", func(t *testing.T) { checkRefused(t, g, s) })
		g.step(t, "enable", func(t *testing.T) {
			t.Log(g.sh(t, "sudo ros service enable "+shop))
			inOrder(t, g)
			checkShop(t, g)
		})
		g.step(t, "update", func(t *testing.T) {
			s.put("shop.yml", strings.Replace(shopFile, "welcome to the shop", "the shop has moved", 1))
			if out := g.sh(t, "sudo ros service update --dry-run "+shop); !strings.Contains(out, "+configs: {page: {content: \"the shop has moved") {
				t.Errorf("the update shows no difference:\n%s", out)
			}
			checkShop(t, g)
			g.sh(t, "sudo ros service update "+shop)
			if out := g.sh(t, "wget -qO- http://127.0.0.1:8080/"); out != "the shop has moved" {
				t.Errorf("after the update the page says %q", out)
			}
			s.put("shop.yml", shopFile)
			g.sh(t, "sudo ros service update "+shop)
		})
		g.step(t, "kit", func(t *testing.T) { enableKit(t, g) })
		g.step(t, "engine-crash", func(t *testing.T) { engineCrash(t, g) })
		g.step(t, "poweroff", func(t *testing.T) {
			g.sh(t, "sync")
			g.hangUp()
			if err := g.PressPower(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := g.within(stepPatience)
			defer cancel()
			if err := g.Wait(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}) {
		return
	}
	t.Run("cut-off", func(t *testing.T) {
		cfg.Restrict = true
		g := l.start(t, cfg)
		g.expect(t, loginPrompt, bootPatience)
		g.logIn(t)
		g.settle(t)
		g.step(t, "up", func(t *testing.T) {
			inOrder(t, g)
			checkShop(t, g)
		})
		g.step(t, "kit-again", func(t *testing.T) { checkKit(t, g) })
		g.step(t, "disable-and-delete", func(t *testing.T) {
			g.sh(t, "sudo ros service delete "+kitFolder+"/kit.yml "+kitFolder+"/family.yml")
			g.sh(t, "sudo ros service disable "+shop)
			if out := g.sh(t, "docker ps -aq"); out != "" {
				t.Errorf("containers of a disabled project: %q", out)
			}
			g.sh(t, "sudo ros service enable "+shop) // without a network
			inOrder(t, g)
			g.sh(t, "sudo ros service delete "+shop)
			if out := g.sh(t, "docker ps -aq; docker network ls -q -f name=shop; sudo ls /var/lib/rancher/enabled; sudo ros config get rancher.services_include"); strings.Contains(out, "shop") || strings.Contains(out, "true") {
				t.Errorf("after delete there is left: %q", out)
			}
		})
	})
}

// inOrder waits until the project is up and looks at the order of its starts.
func inOrder(t *testing.T, g *guest) {
	t.Helper()
	var all map[string]control.Service
	g.eventually(t, stepPatience, func() (err error) {
		if all, err = g.services(t); err != nil {
			return err
		}
		for name, want := range map[string]control.State{"db": control.Healthy, "api": control.Running, "web": control.Running} {
			if s := all[name]; s.State != want {
				return fmt.Errorf("%s is %s (%s %v), want %s", name, s.State, s.Reason, s.WaitingFor, want)
			}
		}
		return nil
	})
	order := []string{"web", "db", "api"}
	slices.SortFunc(order, func(a, b string) int { return all[a].StartedAt.Compare(all[b].StartedAt) })
	if !slices.Equal(order, []string{"db", "api", "web"}) {
		t.Errorf("started in the order %v, want db api web", order)
	}
}

// checkShop looks at the project from the outside and as docker compose would.
func checkShop(t *testing.T, g *guest) {
	t.Helper()
	for command, want := range map[string]string{
		"wget -qO- http://127.0.0.1:8080/":                                    "welcome to the shop",
		"docker exec shop-web-1 cat /run/secrets/word":                        "shop",
		"docker exec shop-web-1 /bin/busybox wget -qO- http://api:8000/ready": "ready",
		`docker inspect -f '{{index .Config.Labels "com.docker.compose.project"}} {{index .Config.Labels "com.docker.compose.service"}} {{.HostConfig.RestartPolicy.Name}}' shop-api-1`: "shop api no",
		"docker volume ls -q": "shop_data",
		"docker network ls -f name=shop -f label=com.docker.compose.project=shop --format '{{.Name}}'": "shop_default",
		"ros service list --json | grep -c '\"scope\": \"user\"'":                                      "3",
	} {
		if out := g.sh(t, command); out != want {
			t.Errorf("%s printed %q, want %q", command, out, want)
		}
	}
	if out := g.sh(t, "ros service list -a"); !strings.Contains(out, "enabled") {
		t.Errorf("ros service list -a:\n%s", out)
	}
}

// checkRefused enables what cannot be, and looks that nothing has changed.
func checkRefused(t *testing.T, g *guest, s *site) {
	state := func() string {
		return g.sh(t, "ros service list; docker ps -aq; docker network ls -q; docker volume ls -q; sudo grep -vx '#cloud-config' /var/lib/rancher/conf/cloud-config.yml 2>/dev/null; sudo ls /var/lib/rancher/enabled 2>/dev/null; true")
	}
	before := state()
	for name, tt := range map[string]struct{ file, want string }{
		"clash.yml": {"services: {ntp: {image: busybox}}", `there is a service "ntp" already`},
		"key.yml":   {"services: {web: {image: busybox, prots: ['80:80']}}", `key.yml:1: services.web.prots: unknown key (did you mean "ports"?)`},
		"build.yml": {"services: {web: {build: .}}", "services.web.build: is not supported in scope \"user\": nothing is built on this machine"},
		"image.yml": {"services: {web: {image: '10.0.2.2:9/none'}}", `cannot pull image "10.0.2.2:9/none"`},
		"fails.yml": {"services: {web: {image: busybox, command: [/none]}}", `service "web" is failed`},
		"ssh.yml":   {"services: {web: {image: busybox, ports: ['22:22']}}", `service "web": port 22/tcp of the machine is in use`},
	} {
		s.put(name, tt.file)
		r := g.try(t, "sudo ros service enable "+s.url+name, nil)
		if r.Code != 1 || !strings.Contains(r.Stderr, tt.want) {
			t.Errorf("enable %s: exit code %d: %s%s\nwant %s", name, r.Code, r.Stdout, r.Stderr, tt.want)
		}
	}
	r := g.try(t, "sudo ros service enable http://10.0.2.2:9/gone.yml", nil)
	if r.Code != 1 || !strings.Contains(r.Stderr, "cannot fetch the service file") {
		t.Errorf("enable from nowhere: exit code %d: %s", r.Code, r.Stderr)
	}
	if after := state(); after != before {
		t.Errorf("the machine is not as it was. Before:\n%s\nafter:\n%s", before, after)
	}
}

// another waits until a service has another process than the one that was killed.
func (g *guest) another(t *testing.T, name string, killed int) {
	t.Helper()
	g.eventually(t, stepPatience, func() error {
		now, err := g.services(t)
		if pid := now[name].Pid; err == nil && (pid == 0 || pid == killed) {
			err = fmt.Errorf("%s has pid %d, was %d when it was killed", name, pid, killed)
		}
		return err
	})
}

// engineCrash kills dockerd alone, which must change nothing, and then dockerd
// with every container.
func engineCrash(t *testing.T, g *guest) {
	before, err := g.services(t)
	if err != nil {
		t.Fatal(err)
	}
	g.sh(t, "sudo ros service kill docker")
	g.another(t, "docker", before["docker"].Pid)
	g.settle(t)
	after, err := g.services(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"db", "api", "web"} {
		if before[name].Pid != after[name].Pid || after[name].Restarts != 0 {
			t.Errorf("%s after dockerd was killed: pid %d, was %d", name, after[name].Pid, before[name].Pid)
		}
	}
	g.sh(t, "sudo ros service kill docker && sudo sh -c 'echo 1 > /proc/1/root/sys/fs/cgroup/docker/cgroup.kill'")
	g.another(t, "db", before["db"].Pid)
	g.settle(t)
	inOrder(t, g)
	checkShop(t, g)
}

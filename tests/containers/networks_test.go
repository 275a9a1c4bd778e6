//go:build root

package containers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/bridge"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// newNetworks is what a rosd knows of networks that has just started.
func (m *machine) newNetworks(services ...compose.Service) {
	if last, ok := m.opts.Networks.(*bridge.Networks); ok {
		last.Close()
	}
	m.opts.Networks = bridge.New(bridge.Options{
		Dir: filepath.Join(m.dir, "networks"), NetnsDir: filepath.Join(m.dir, "netns"), ResolvConf: filepath.Join(m.dir, "resolv.conf"),
		Services: func() []compose.Service { return services }, Log: m.opts.Log,
	})
	_ = m.runtime.Close()
	m.connect()
}

// Services find each other in a network of their own, in images whose names are
// links as those of the OS are; the network outlives rosd and goes with them.
func TestNetworks(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{"hosts", "resolv.conf", "hostname"} {
		if err := os.Symlink("/run/ros/net/"+name, filepath.Join(m.dir, "layers/base/etc", name)); err != nil {
			t.Fatal(err)
		}
	}
	m.write("resolv.conf", "nameserver 192.0.2.53\n", 0o644)
	networked := func(name string, command ...string) compose.Service {
		s := box(name, command...)
		s.NetworkMode, s.ReadOnly = compose.NetworkBridge, true
		s.Networks = []compose.Attachment{{Network: compose.Network{Name: "shop_default"}}}
		return s
	}
	web := networked("web", "/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/etc")
	web.User, web.CapDrop = "clock", []string{"ALL"} // port 80 is for everybody in it
	web.Ports = []compose.Port{{Published: 18080, Target: 80, Protocol: "tcp"}}
	db := networked("db")
	m.newNetworks(web, db)
	running, asking := m.start(web), m.start(db)
	ask := func(command string) string {
		t.Helper()
		code, out, err := asking.Exec(t.Context(), []string{"sh", "-c", command}, 10*time.Second)
		if err != nil || code != 0 {
			t.Errorf("%s: exit code %d, %v: %s", command, code, err, out)
		}
		return strings.TrimSpace(out)
	}
	check := func() {
		t.Helper()
		m.until("web answers", func() bool {
			code, _, _ := asking.Exec(t.Context(), []string{"/bin/busybox", "wget", "-qO-", "http://web/motd"}, 10*time.Second)
			return code == 0
		})
		for command, want := range map[string]string{
			"/bin/busybox wget -qO- http://web/motd": "box",
			"cat /etc/resolv.conf":                   "nameserver 192.0.2.53",
			"cat /etc/hostname; hostname":            "db\ndb",
			"cat /proc/net/dev | grep -c :":          "2", // lo, eth0
		} {
			if got := ask(command); got != want {
				t.Errorf("%s: %q, want %q", command, got, want)
			}
		}
	}
	check()
	hosts := ask("cat /etc/hosts")

	m.newNetworks(web, db)
	tasks, err := m.runtime.Running(t.Context())
	if err != nil || len(tasks) != 2 || tasks["web"].Pid() != running.Pid() {
		t.Fatalf("Running = %v, %v", tasks, err)
	}
	running, asking = tasks["web"], tasks["db"]
	check()

	// The container is made anew; its place is the same, and db need not know.
	if err := running.Signal(t.Context(), "SIGKILL", true); err != nil {
		t.Fatal(err)
	}
	m.ended(running)
	if err := running.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.start(web)
	check()
	if now := ask("cat /etc/hosts"); now != hosts {
		t.Errorf("hosts were %q and are %q", hosts, now)
	}
	m.start(web) // over one that runs
	check()

	m.stopAllTasks()
	for _, dir := range []string{"networks", "netns"} {
		if left, _ := os.ReadDir(filepath.Join(m.dir, dir)); len(left) > 0 {
			t.Errorf("left in %s: %v", dir, left)
		}
	}
	if links, err := os.ReadFile("/proc/net/dev"); err != nil || strings.Contains(string(links), "ros") {
		t.Errorf("links are left (%v):\n%s", err, links)
	}
}

// A service in the network of another one is where that is, and comes after it.
func TestNetworkOfAnotherService(t *testing.T) {
	m := newMachine(t)
	web := box("web", "/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/etc")
	web.NetworkMode = compose.NetworkBridge
	web.Networks = []compose.Attachment{{Network: compose.Network{Name: "shop_default"}, MAC: "02:00:00:00:00:0a", Interface: "lan0"}}
	spy := box("spy")
	spy.NetworkMode, spy.Hostname = "service:web", "web"
	m.newNetworks(web, spy)
	if _, err := m.runtime.Start(t.Context(), spy); !supervise.IsNotYet(err) {
		t.Fatalf("Start without web = %v", err)
	}
	for range 2 { // the second time over those that run
		m.start(web)
		inside := m.start(spy)
		for command, want := range map[string]string{
			"/bin/busybox wget -qO- http://127.0.0.1/motd": "box",
			"/bin/busybox wget -qO- http://web/motd":       "box",
			"hostname":                                     "web",
			"cat /sys/class/net/lan0/address":              "02:00:00:00:00:0a",
			"/bin/busybox tail -n1 /etc/hosts":             "web",
		} {
			m.until(command+" gives "+want, func() bool {
				code, out, err := inside.Exec(t.Context(), []string{"sh", "-c", command}, 10*time.Second)
				return err == nil && code == 0 && strings.HasSuffix(strings.TrimSpace(out), want)
			})
		}
	}
}

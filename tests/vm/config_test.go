//go:build vm

package vm

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// moved is a cloud-config as a RancherOS machine may have had it, with some of
// what its users lacked. %s is our ssh key.
const moved = `#cloud-config
hostname: moved
ssh_authorized_keys:
  - %s
write_files:
  - path: /etc/motd.d/text
    content: |
      one
      two
    permissions: 0600
    owner: rancher:docker
  - path: /opt/packed
    encoding: gz+b64
    content: H4sIAAAAAAACA0tMSk5JBQBl2IeFBQAAAA==
  - path: /home/rancher/bin/hello
    content: IyEvYmluL3NoCmVjaG8gaGVsbG8K
    encoding: b64
    permissions: "0755"
    owner: "1100:1100"
mounts:
  - ["/home/rancher", "/mnt/shelf", "", "bind"]
  - ["tmpfs", "/mnt/memory", "tmpfs", "size=4m"]
runcmd:
  - echo ran >> /run/by-line
  - [sh, -c, "echo ran $0 >> /run/by-words", here]
users:
  - name: maria
    gecos: Maria
    groups: docker
    sudo: ALL=(ALL) NOPASSWD:ALL
    passwd: $6$salt$egUxKNxDs8kPfh8iPMNcosMhb2eWah6d3R44JDm5Rj/j/XWR5E33QPd0YmHXoDHOIDR6kL5D3JcQcz0O8FHE00
    ssh_authorized_keys:
      - %s
groups:
  - logs: [rancher]
ntp:
  servers: [10.0.2.2]
timezone: Europe/Berlin
swap:
  size: 16M
rancher:
  environment:
    ZONE: eu-1
  modules: [dummy numdummies=0]
  sysctl:
    vm.swappiness: 7
    net/ipv4/tcp_keepalive_time: 1234
  docker:
    log_opts: {max-size: 5m}
    insecure_registry: [10.0.2.2:5000]
  network:
    dns:
      search: [moved.test]
  services:
    helper:
      image: ros/console
      command: [sleep, "987653"]
      restart: always
      labels:
        io.rancher.os.scope: system
        io.rancher.os.after: network
      environment: [ZONE]
`

// helperZone shows a variable of the service helper.
const helperZone = `sudo cat /proc/$(pgrep -xf "sleep 987653")/environ | tr "\0" "\n" | grep ZONE`

// configured boots a machine with a seed that says a lot, and changes what it
// says while the machine runs.
func configured(t *testing.T, l lab) {
	cfg := l.direct("rancher.sysctl.vm.swappiness=9", "cc.final_message=up", "--", "rancher.environment.SECRET=hidden")
	cfg.Disks = []string{l.newStateDisk(t)}
	key := l.key.Authorized
	g := l.startWith(t, cfg, "cidata", map[string]string{
		"meta-data": "instance-id: one\n",
		"user-data": fmt.Sprintf(moved, key, key),
	})
	g.logIn(t)
	g.step(t, "moved", func(t *testing.T) { g.settle(t); checkMoved(t, g) })
	g.step(t, "command-line", func(t *testing.T) { checkCommandLine(t, g) })
	g.step(t, "live", func(t *testing.T) { checkLive(t, g) })
	g.step(t, "one-line", func(t *testing.T) { checkOneLine(t, g) })
	g.step(t, "try", func(t *testing.T) { checkTry(t, g) })
	g.step(t, "garbage", func(t *testing.T) { checkGarbage(t, g) })
}

// prints says what commands must print.
func (g *guest) prints(t *testing.T, table map[string]string) {
	t.Helper()
	for command, want := range table {
		if r := g.try(t, command, nil); strings.TrimSpace(r.Stdout) != want {
			t.Errorf("%s: %q, want %q; exit code %d, %s", command, strings.TrimSpace(r.Stdout), want, r.Code, r.Stderr)
		}
	}
}

func checkMoved(t *testing.T, g *guest) {
	g.eventually(t, stepPatience, func() error {
		if r := g.try(t, "cat /run/by-words", nil); r.Code != 0 {
			return fmt.Errorf("runcmd has not run: %s", r.Stderr)
		}
		return nil
	})
	g.prints(t, map[string]string{
		"hostname":                                   "moved",
		"sudo cat /etc/motd.d/text":                  "one\ntwo",
		"stat -c '%a %U:%G' /etc/motd.d/text":        "600 rancher:docker",
		"cat /opt/packed":                            "abcde",
		"stat -c %a /opt/packed":                     "644",
		"/home/rancher/bin/hello":                    "hello",
		"stat -c '%a %u:%g' /home/rancher/bin/hello": "755 1100:1100",
		"cat /run/by-line":                           "ran",
		"cat /run/by-words":                          "ran here",
		"findmnt -n -o FSTYPE /mnt/memory":           "tmpfs",
		"touch /mnt/shelf/x; ls -d /home/rancher/x":  "/home/rancher/x",
		"id -nG maria | tr ' ' '\\n' | sort | xargs": "docker maria",
		"getent group logs | cut -d: -f4":            "rancher",
		"sudo -u maria sudo -n id -un":               "root",
		"getent passwd maria | cut -d: -f5-":         "Maria:/home/maria:/bin/bash",
		"sudo getent shadow maria | cut -d: -f2":     "$6$salt$egUxKNxDs8kPfh8iPMNcosMhb2eWah6d3R44JDm5Rj/j/XWR5E33QPd0YmHXoDHOIDR6kL5D3JcQcz0O8FHE00",
		"stat -c '%a %U' /home/maria":                "750 maria",
		"date +%Z | grep -c CE":                      "1",
		"tail -n +2 /proc/swaps | wc -l":             "1",
		"[ -d /sys/module/dummy ] && echo loaded":    "loaded",
		"cat /proc/sys/net/ipv4/tcp_keepalive_time":  "1234",
		"grep search /etc/resolv.conf":               "search moved.test",
		"docker info -f '{{.RegistryConfig.IndexConfigs}}' | grep -c 10.0.2.2:5000": "1",
		"ros service ps | grep -c '^helper  *running'":                              "1",
		helperZone:                            "ZONE=eu-1",
		"sudo ros config get rancher.modules": "- dummy numdummies=0",
		"sudo ros config get hostname":        "moved",
	})
}

// checkCommandLine: the last layer wins, and what stands behind -- is seen by
// nobody but us.
func checkCommandLine(t *testing.T, g *guest) {
	g.importBusybox(t)
	g.prints(t, map[string]string{
		"cat /proc/sys/vm/swappiness":                          "9",
		"sudo ros config get rancher.environment.SECRET":       "hidden",
		"ros env printenv SECRET":                              "hidden",
		"grep -c hidden /proc/cmdline":                         "0",
		"docker run --rm busybox grep -c hidden /proc/cmdline": "0",
	})
	if out := g.sh(t, "sudo ros config show rancher.sysctl --layers"); !strings.Contains(out, "kernel command line") || !strings.Contains(out, "30-user-data") {
		t.Errorf("ros config show --layers does not name both layers of vm.swappiness:\n%s", out)
	}
}

// shows says whether a command prints what it should.
func (g *guest) shows(t *testing.T, command, want string) error {
	if r := g.try(t, command, nil); strings.TrimSpace(r.Stdout) != want {
		return fmt.Errorf("%s: %q, want %q; exit code %d, %s", command, strings.TrimSpace(r.Stdout), want, r.Code, r.Stderr)
	}
	return nil
}

const conf = "/var/lib/rancher/conf/cloud-config.yml"

// checkOneLine: a file that somebody wrote by hand stays as it is but for one
// line.
func checkOneLine(t *testing.T, g *guest) {
	before := "#cloud-config\n# ours\nhostname: before   # a name\n\nrancher:\n    debug: false  # quiet\n"
	g.feed(t, "sudo tee "+conf, strings.NewReader(before))
	g.sh(t, "sudo ros config set hostname after")
	if after, want := g.try(t, "sudo cat "+conf, nil).Stdout, strings.Replace(before, "hostname: before", "hostname: after", 1); after != want {
		t.Errorf("the file after ros config set hostname:\n%s\nwant\n%s", after, want)
	}
	r := g.try(t, "sudo ros config set rancher.shutdown_timeout soon", nil)
	if r.Code == 0 || !strings.Contains(r.Stderr, "rancher.shutdown_timeout") {
		t.Errorf("a wrong value: exit code %d, %s", r.Code, r.Stderr)
	}
	if r := g.try(t, "ros config set hostname mine", nil); r.Code != 1 || !strings.Contains(r.Stderr, "sudo") {
		t.Errorf("without root: exit code %d, %s", r.Code, r.Stderr)
	}
	g.sh(t, "sudo ros config set rancher.registry_auths '{r.test: {username: u, password: geheim}}'")
	for _, command := range []string{"ros config export", "ros config show", "ros config get rancher", "ros status --json", "sudo ros config export", "sudo sh -c 'cat /var/log/ros/*.log'"} {
		if r := g.try(t, command, nil); r.Code != 0 || strings.Contains(r.Stdout+r.Stderr, "geheim") {
			t.Errorf("%s: exit code %d; shows the password: %v", command, r.Code, strings.Contains(r.Stdout+r.Stderr, "geheim"))
		}
	}
	if out := g.sh(t, "sudo ros config export -p"); !strings.Contains(out, "geheim") {
		t.Errorf("ros config export -p does not have the password: %s", out)
	}
}

// checkTry cuts the network and waits for it to come back by itself.
func checkTry(t *testing.T, g *guest) {
	before := g.sh(t, "sudo cat "+conf)
	g.hangUpAfter(t, "sudo ros config set --try 20s rancher.network.interfaces.eth0.address 192.0.2.7/24")
	time.Sleep(5 * time.Second)
	g.logIn(t) // when the time is over
	if after := g.sh(t, "sudo cat "+conf); after != before {
		t.Errorf("the file after the trial:\n%s\nwant\n%s", after, before)
	}
	if out := g.sh(t, "ip -o -4 addr show eth0"); strings.Contains(out, "192.0.2.7") {
		t.Errorf("the address on trial is still there: %s", out)
	}
	g.sh(t, "sudo ros config set --try 20s hostname kept && sudo ros config confirm && sleep 25")
	if name := g.sh(t, "hostname"); name != "kept" {
		t.Errorf("host name after a trial that was confirmed: %q, want kept", name)
	}
}

// hangUpAfter runs a command that ends the connection it came over.
func (g *guest) hangUpAfter(t *testing.T, command string) {
	t.Helper()
	ctx, cancel := g.within(15 * time.Second)
	defer cancel()
	_, _ = g.ssh.Run(ctx, command, nil)
	g.hangUp()
}

// checkGarbage boots with a file that makes no sense.
func checkGarbage(t *testing.T, g *guest) {
	g.eventually(t, stepPatience, func() error {
		if r := g.try(t, "sudo grep -q 'hostname: kept' /var/lib/rancher/conf/last-good/cloud-config.yml", nil); r.Code != 0 {
			return fmt.Errorf("the config has not become the last good one")
		}
		return nil
	})
	g.feed(t, "sudo tee "+conf, strings.NewReader("hostname: [\nthis is\n\tno YAML: {\n"))
	g.reboot(t, "sudo reboot")
	g.settle(t)
	if warnings := strings.Join(g.status(t).Warnings, "\n"); !strings.Contains(warnings, "cloud-config.yml:") || !strings.Contains(warnings, "is not valid YAML") {
		t.Errorf("ros status does not warn of the file: %q", warnings)
	}
	if name := g.sh(t, "hostname"); name != "moved" {
		t.Errorf("host name with a file that cannot be read: %q, want that of the seed, moved", name)
	}
	g.sh(t, "sudo ros config rollback")
	g.eventually(t, stepPatience, func() error { return g.shows(t, "hostname", "kept") })
	if warnings := strings.Join(g.status(t).Warnings, "\n"); strings.Contains(warnings, "cloud-config.yml:") {
		t.Errorf("ros status still warns of the file: %q", warnings)
	}
}

// configDrive boots with OpenStack's disk, and then by the boot menu's entry
// that counts nothing but the defaults.
func configDrive(t *testing.T, l lab) {
	disk := map[string]string{
		"openstack/latest/meta_data.json": fmt.Sprintf(`{"uuid": "1-2-3", "hostname": "driven", "public_keys": {"me": %q}}`, l.key.Authorized),
		"openstack/latest/user_data":      "#!/bin/sh\necho by script > /run/by-script\n",
	}
	t.Run("drive", func(t *testing.T) {
		g := l.startWith(t, l.direct(), "config-2", disk)
		g.logIn(t)
		g.settle(t)
		if name := g.sh(t, "hostname"); name != "driven" {
			t.Errorf("host name = %q, want driven", name)
		}
		g.eventually(t, stepPatience, func() error { return g.shows(t, "cat /run/by-script", "by script") })
		g.scan(t)
		g.Stop()
	})
	t.Run("defaults", func(t *testing.T) {
		g := l.startWith(t, l.direct("ros.config=defaults"), "config-2", disk)
		g.expect(t, loginPrompt, bootPatience)
		g.expect(t, regexp.MustCompile(`[$#] ?$`), stepPatience) // the live system logs in by itself
		g.onConsole(t, "i=0; until ros service ps | grep -q '^datasource  *done' || [ $i = 200 ]; do i=$((i+1)); sleep 1; done", "")
		g.onConsole(t, "hostname", "rancher")
		g.onConsole(t, "sudo ros config get hostname; sudo ros config diff | wc -l", "1")
		g.onConsole(t, "ros status | grep -c 'booted with ros.config=defaults'", "1")
		g.scan(t)
	})
}

// onConsole types a command on the console and says what it must print.
func (g *guest) onConsole(t *testing.T, command, want string) {
	t.Helper()
	ctx, cancel := g.within(bootPatience)
	defer cancel()
	if out, _, err := g.Console.Shell(ctx, command); err != nil || strings.TrimSpace(out) != want {
		t.Errorf("%s on the console: %q, %v; want %q", command, out, err, want)
	}
}

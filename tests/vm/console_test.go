//go:build vm

package vm

import (
	"fmt"
	"strings"
	"testing"

	oci "github.com/rosteros/ros/tests/registry"
	"github.com/rosteros/ros/tests/vm/qemu"
)

// consoleConfig has somebody who is not in any group of ours.
const consoleConfig = `#cloud-config
hostname: consoles
ssh_authorized_keys:
  - %s
users:
  - name: alice
    ssh_authorized_keys: [%q]
rancher:
  registry_auths:
    %q: {username: tester, password: secret}
  docker:
    insecure_registry: [%q]
`

// consoleImage is an image with a busybox and nothing of ours, as small as Alpine:
// no bash, no PAM, no /etc/shadow, no sudo.
func (g *guest) consoleImage(t *testing.T, says string) oci.Image {
	image := g.shellImage(t, says)
	for _, name := range []string{"id", "wc", "ls", "tee", "tr", "sort", "xargs", "hostname", "test", "pwd", "sync", "dmesg", "stty", "tty", "sleep", "ash", "passwd", "su", "adduser", "cut"} {
		image.Layers[0]["bin/"+name] = "->busybox"
	}
	image.Layers[0]["tmp/"] = ""
	image.Layers[0]["etc/group"] = "root:x:0:\ndocker:x:999:\n"
	image.Layers[0]["etc/profile"] = "export PATH=/usr/local/bin:/bin CONSOLE=" + says + "\nfor f in /etc/profile.d/*; do . $f; done\n"
	image.Layers[0]["etc/profile.d/"] = ""
	image.Config.Env = []string{"PATH=/usr/local/bin:/bin"}
	return image
}

// otherConsoles lets logins go on in containers of images, there and back, while
// user containers run.
func otherConsoles(t *testing.T, l lab) {
	disk := l.newStateDisk(t)
	reg, host := serveImages(t)
	cfg := l.direct()
	cfg.Disks = []string{disk}
	config := map[string]string{"meta-data": "instance-id: consoles\n", "user-data": fmt.Sprintf(consoleConfig, l.key.Authorized, l.key.Authorized, host, host)}
	g := l.startWith(t, cfg, "cidata", config)
	g.expect(t, loginPrompt, bootPatience)
	g.logIn(t)
	name := host + "/team/box:1"
	g.step(t, "refused", func(t *testing.T) {
		g.settle(t)
		g.importBusybox(t)
		g.sh(t, "docker run -d --name keep --restart always busybox sleep 987654")
		reg.Add("team/box:1", g.consoleImage(t, "one"))
		broken := g.consoleImage(t, "broken")
		for file := range broken.Layers[0] {
			if strings.HasPrefix(file, "bin/") {
				delete(broken.Layers[0], file)
			}
		}
		reg.Add("team/empty:1", broken)
		broken = g.consoleImage(t, "broken")
		broken.Layers[0]["bin/busybox"] = "no program"
		reg.Add("team/broken:1", broken)
		before := g.consoleState(t)
		for what, want := range map[string]string{
			host + "/team/nobody:1":   "does not have it",
			host + "/team/empty:1":    "the image has no shell: neither bash, ash nor sh",
			host + "/team/broken:1":   "the image gives no shell",
			"10.0.2.2:9/team/box:1":   "registry 10.0.2.2:9 cannot be reached",
			"defalt":                  `no catalog has "defalt" (did you mean "default"?)`,
			name + " --no-pull":       "--no-pull keeps it from being fetched",
			"/var/lib/rancher/no.tar": "no such file",
		} {
			r := g.try(t, "sudo ros console switch -f "+what, nil)
			if r.Code != 1 || !strings.Contains(r.Stderr, want) {
				t.Errorf("switch to %s: exit code %d: %s%s\nwant %s", what, r.Code, r.Stdout, r.Stderr, want)
			}
		}
		if after := g.consoleState(t); after != before {
			t.Errorf("the machine is not as it was. Before:\n%s\nafter:\n%s", before, after)
		}
	})
	g.step(t, "killed-midway", func(t *testing.T) { killedMidway(t, g, reg, host) })
	g.step(t, "switch", func(t *testing.T) {
		before := g.userContainer(t)
		t.Log(g.sh(t, "sudo ros console switch -f "+name))
		g.logIn(t)
		g.inConsole(t, "one", "box-1")
		if after := g.userContainer(t); after != before {
			t.Errorf("the user's container: %s, was %s", after, before)
		}
	})
	g.step(t, "reset", func(t *testing.T) {
		g.sh(t, "echo mine | sudo tee /etc/mine")
		g.try(t, "sudo ros service restart --no-wait console-box-1", nil) // the session ends with it
		g.logIn(t)
		g.eventually(t, stepPatience, func() error { return g.shows(t, "cat /etc/mine", "mine") })
		g.try(t, "sudo ros console reset -f", nil) // the session ends with it
		g.logIn(t)
		g.eventually(t, stepPatience, func() error { return g.shows(t, "cat /etc/says; ls /etc/mine 2>/dev/null; true", "one") })
	})
	g.step(t, "reboot", func(t *testing.T) {
		g.reboot(t, "sudo reboot")
		g.settle(t)
		g.inConsole(t, "one", "box-1")
	})
	g.step(t, "never-locked-out", func(t *testing.T) {
		g.try(t, "sudo ros service stop --no-wait console-box-1", nil)
		g.logIn(t)
		g.eventually(t, stepPatience, func() error {
			r := g.try(t, "cat /usr/lib/os-release", nil)
			if r.Code != 0 || !strings.Contains(r.Stdout, "Roster") || !strings.Contains(r.Stderr, "cannot enter the console") {
				return fmt.Errorf("a console that is stopped: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
			}
			return nil
		})
		if out := strings.Join(g.status(t).Warnings, "\n"); !strings.Contains(out, "logins are in the default console") {
			t.Errorf("warnings: %s", out)
		}
		g.sh(t, "sudo ros service start console-box-1")
		g.logIn(t)
		g.inConsole(t, "one", "box-1")
	})
	g.step(t, "enable", func(t *testing.T) {
		g.sh(t, "sudo ros console enable default")
		list := strings.Join(strings.Fields(g.sh(t, "ros console list")), " ")
		if !strings.Contains(list, "enabled default") || !strings.Contains(list, "current box-1") {
			t.Errorf("ros console list: %s", list)
		}
		g.inConsole(t, "one", "box-1")
		g.sh(t, "sudo ros console enable "+name)
	})
	g.step(t, "back", func(t *testing.T) {
		before := g.userContainer(t)
		g.try(t, "sudo ros console switch -f default", nil)
		g.logIn(t)
		g.eventually(t, stepPatience, func() error { return g.shows(t, "ros console current", "default") })
		if out := g.sh(t, "getent passwd rancher; ls /run/ros/login/console 2>/dev/null; sudo id -u"); !strings.HasSuffix(out, ":/bin/bash\n0") {
			t.Errorf("in the default console: %s", out)
		}
		if after := g.userContainer(t); after != before {
			t.Errorf("the user's container: %s, was %s", after, before)
		}
		all, err := g.services(t)
		if _, there := all["console-box-1"]; err != nil || there {
			t.Errorf("the console that is not in use is still a service (%v)", err)
		}
	})
	g.step(t, "by-config", func(t *testing.T) {
		g.sh(t, "sudo ros config set rancher.console box-1")
		g.logIn(t)
		g.eventually(t, stepPatience, func() error { return g.shows(t, "ros console current; cat /etc/says", "box-1\none") })
		g.try(t, "sudo ros config set rancher.force_console_rebuild true", nil) // may end the session
		g.logIn(t)
		g.eventually(t, stepPatience, func() error { return g.shows(t, "cat /etc/says; echo mine | sudo tee /etc/mine", "one\nmine") })
		g.try(t, "sudo ros service restart console-box-1", nil)
		g.logIn(t)
		g.eventually(t, stepPatience, func() error { return g.shows(t, "cat /etc/says; ls /etc/mine 2>/dev/null; true", "one") })
		g.try(t, "sudo ros config unset rancher.console rancher.force_console_rebuild", nil)
		g.logIn(t)
		g.eventually(t, stepPatience, func() error { return g.shows(t, "ros console current", "default") })
	})
}

// consoleState is what must be the same after a switch that was refused.
func (g *guest) consoleState(t *testing.T) string {
	return g.sh(t, "ros service list; ros console list; sudo cat /var/lib/rancher/conf/cloud-config.yml 2>/dev/null; sudo ls /var/lib/rancher/consoles 2>/dev/null; getent passwd rancher")
}

// inConsole looks at a console of an image from the inside.
func (g *guest) inConsole(t *testing.T, says, name string) {
	t.Helper()
	g.eventually(t, stepPatience, func() error { return g.shows(t, "cat /etc/says", says) })
	g.prints(t, map[string]string{
		"ros console current": name,
		"id -un; id -u; id -G | tr ' ' '\\n' | sort -n | xargs":              "rancher\n1100\n4 27 1100 1101 1102",
		"echo $HOME $USER; pwd":                                              "/home/rancher rancher\n/home/rancher",
		"sudo id -u":                                                         "0",
		"sudo -u root sh -c 'echo $SUDO_USER'":                               "rancher",
		"cat":                                                                "",
		"sh -lc 'echo $CONSOLE'":                                             says,
		"grep ^rancher: /etc/passwd | cut -d : -f 7":                         "/bin/ash",
		"ls /bin/bash /usr/bin/sudo /etc/pam.d 2>/dev/null":                  "",
		"docker ps -q | wc -l | xargs test 0 -lt && echo yes":                "yes",
		"ros status --json | grep -c '\"hostname\": \"consoles\"'":           "1",
		"system-docker ps --format '{{.Names}}' | grep '^console-'":          "console-" + name,
		"grep -c nameserver /etc/resolv.conf | xargs test 0 -lt && echo yes": "yes",
		"hostname": "consoles",
	})
	if r := g.try(t, "echo out; echo err >&2; exit 7", nil); r.Code != 7 || r.Stdout != "out\n" || r.Stderr != "err\n" {
		t.Errorf("a command with an exit code: %d %q %q", r.Code, r.Stdout, r.Stderr)
	}
	if out := g.feed(t, "wc -c", strings.NewReader(strings.Repeat("x", 300_000))); out != "300000" {
		t.Errorf("of 300000 bytes %s arrived", out)
	}
	g.onTerminal(t, says)
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	client, err := g.SSH(ctx, "alice", g.lab.key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r, err := client.Run(ctx, "cat /etc/says; id -un; sudo id -u", nil)
	if err != nil || r.Stdout != says+"\nalice\n" || !strings.Contains(r.Stderr, "sudo: alice is not allowed to") {
		t.Errorf("alice: %v %q %q", err, r.Stdout, r.Stderr)
	}
}

// onTerminal is a session of a person: a shell that has a terminal of its own,
// with the size of the person's, on which Ctrl-C ends what runs and not the shell.
func (g *guest) onTerminal(t *testing.T, says string) {
	t.Helper()
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	client, err := g.SSH(ctx, "rancher", g.lab.key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	out, err := client.Terminal(ctx, []qemu.Typed{
		{Text: "stty size; echo \"terminal $TERM of $(cat /etc/says)\"; tty; (echo be''gun; sleep 987654)\n"},
		{After: "begun", Text: "\x03"},
		{Text: "echo still he''re\n"},
		{After: "still here", Text: "exit\n"},
	})
	if err != nil {
		t.Errorf("a session on a terminal: %v\n%s", err, out)
	}
	for _, want := range []string{"33 99", "terminal vt220 of " + says, "/dev/pts/", "still here"} {
		if !strings.Contains(out, want) {
			t.Errorf("a session on a terminal does not show %q:\n%s", want, out)
		}
	}
	if home, err := client.SFTPHome(); err != nil || home != "/home/rancher" {
		t.Errorf("sftp is in %q: %v", home, err)
	}
}

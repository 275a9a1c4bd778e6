//go:build vm

package vm

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// onceABoot has the keys that take effect at a boot. The machine finds it at an
// address that only a proxy knows. %s is our ssh key.
//
// The kernel's own NFS server stands for one elsewhere. It has no mountd here,
// so what mountd would answer is written down beforehand, in the words of
// fs/nfsd/export.c and net/sunrpc/svcauth_unix.c.
const onceABoot = `#cloud-config
hostname: once
ssh_authorized_keys:
  - %s
bootcmd:
  - echo by line >> /run/by-bootcmd
  - [sh, -c, "echo by words >> /run/by-bootcmd"]
  - |
    modprobe nfsd
    mkdir -p /run/exported /var/lib/nfs/v4recovery
    mount -t tmpfs exported /run/exported
    echo shared >/run/exported/file
    mount -t nfsd nfsd /proc/fs/nfsd
    echo 'nfsd 127.0.0.1 2147483647 everybody' >/proc/net/rpc/auth.unix.ip/channel
    echo 'everybody /run/exported 2147483647 9218 65534 65534 0' >/proc/net/rpc/nfsd.export/channel
    echo 'everybody 1 \x00000000 2147483647 /run/exported' >/proc/net/rpc/nfsd.fh/channel
    echo -3 >/proc/fs/nfsd/versions
    echo 2 >/proc/fs/nfsd/threads
mounts:
  - ["127.0.0.1:/", "/mnt/nfs", "nfs4", "nofail"]
  - ["LABEL=GROWS", "/mnt/grows", "ext4", ""]
growpart:
  mode: auto
  devices: [LABEL=GROWS]
runcmd:
  - echo ran >> /run/by-runcmd
final_message: up from $datasource
rancher:
  resize_device: /dev/vdc
  restart_services: [cron]
`

// configAtBoot boots a machine whose address, name server and proxy are on the
// kernel command line, and whose config is at an address.
func configAtBoot(t *testing.T, l lab) {
	address := startProxy(t, fmt.Sprintf(onceABoot, strings.TrimSpace(l.key.Authorized)))
	cfg := l.direct(
		"rancher.network.interfaces.eth0.address=10.0.2.15/24", "rancher.network.interfaces.eth0.gateway=10.0.2.2",
		"rancher.network.dns.nameservers=[10.0.2.3]", "rancher.network.http_proxy=http://"+address,
		"rancher.cloud_init.datasources=[url:http://config.test/user-data]", "rancher.cloud_init.timeout=120",
	)
	dir := t.TempDir()
	grows, resized := filepath.Join(dir, "grows.qcow2"), filepath.Join(dir, "resized.qcow2")
	for disk, label := range map[string]string{grows: "GROWS", resized: "RESIZED"} {
		if err := l.build.DataDisk(disk, label, 16, 64); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Disks = []string{l.newStateDisk(t), grows, resized}
	g := l.startWith(t, cfg, "cidata", map[string]string{"user-data": "#cloud-config\nhostname: wrong\n"}) // nobody asks it
	g.logIn(t)
	g.step(t, "once", func(t *testing.T) { g.settle(t); checkOnce(t, g) })
	g.step(t, "again", func(t *testing.T) { checkOnceMore(t, g) })
	g.step(t, "power-state", func(t *testing.T) { checkPowerState(t, g) })
}

// startProxy is a proxy that knows one address. It gives what the guest calls
// it.
func startProxy(t *testing.T, userData string) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "http://config.test/user-data" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(userData))
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	return gateway + ":" + at.Port()
}

func checkOnce(t *testing.T, g *guest) {
	g.eventually(t, stepPatience, func() error { return g.shows(t, "cat /run/by-runcmd", "ran") })
	g.eventually(t, stepPatience, func() error { return g.shows(t, "cat /mnt/nfs/file", "shared") })
	g.prints(t, map[string]string{
		"hostname":            "once",
		"cat /run/by-bootcmd": "by line\nby words",
		"findmnt -n -o FSTYPE,SOURCE /mnt/nfs | xargs":      "nfs4 127.0.0.1:/",
		"sudo cat /var/lib/rancher/resizefs.done":           "/dev/vdc",
		"ip -o -4 addr show eth0 | grep -o 'inet [0-9./]*'": "inet 10.0.2.15/24",
		"pgrep -c dhcpcd":                   "0",
		"grep ^nameserver /etc/resolv.conf": "nameserver 10.0.2.3",
		"sudo grep -c '\"source\": *\"url' /var/lib/rancher/conf/datasource/source.json": "1",
	})
	for disk, where := range map[string]string{"vdb": "/sys/class/block/vdb/vdb1/size", "vdc": "/sys/class/block/vdc/vdc1/size"} {
		g.eventually(t, stepPatience, func() error {
			if size := g.sh(t, fmt.Sprintf("[ $(cat %s) -gt 120000 ] && echo grown || cat %s", where, where)); size != "grown" {
				return fmt.Errorf("the partition of %s has %s sectors", disk, size)
			}
			return nil
		})
	}
	g.prints(t, map[string]string{
		"[ $(df -m --output=size /mnt/grows | tail -n 1) -gt 50 ] && echo grown":                                  "grown",
		"[ $(sudo dumpe2fs -h /dev/vdc1 2>/dev/null | awk '/^Block count/ {print $3}') -gt 15000 ] && echo grown": "grown",
	})
	if restarts := g.sh(t, "sudo grep -c 'service=cron' /var/log/ros/rosd.log; ros service ps cron"); restarts == "" {
		t.Error("no word of cron")
	}
	if err := g.Console.Since(0); !strings.Contains(err, "up from url") {
		t.Error("final_message is not on the console")
	}
}

// checkOnceMore: what is for a boot is not done again by an application, and is
// by the next boot.
func checkOnceMore(t *testing.T, g *guest) {
	if again := g.sh(t, "sudo ros config apply"); !strings.Contains(again, "nothing on the machine had to change") {
		t.Errorf("ros config apply, with nothing new: %s", again)
	}
	g.sh(t, "sudo ros config set bootcmd '[echo later >> /run/by-bootcmd]' && sudo ros config set runcmd '[echo later >> /run/by-runcmd]'")
	g.prints(t, map[string]string{"cat /run/by-bootcmd": "by line\nby words", "cat /run/by-runcmd": "ran"})
}

// checkPowerState boots into a power_state.
func checkPowerState(t *testing.T, g *guest) {
	g.sh(t, "sudo ros config set power_state '{mode: poweroff, delay: now, message: good night, condition: [grep, -q, later, /run/by-runcmd]}'")
	mark := g.Console.Mark()
	g.hangUpAfter(t, "sudo reboot")
	ctx, cancel := g.within(bootPatience)
	defer cancel()
	if err := g.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if said := g.Console.Since(mark); !strings.Contains(said, "good night") {
		t.Error("the message of power_state is not on the console")
	}
}

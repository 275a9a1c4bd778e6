package apply_test

import (
	"errors"
	"testing"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

func sysctls(settings map[string]string) config.Config {
	return config.Config{Rancher: config.Rancher{Sysctl: settings}}
}

func TestSysctl(t *testing.T) {
	m := newMachine(t)
	m.write("proc/sys/net/ipv4/ip_forward", "0\n")
	m.write("proc/sys/net/ipv4/ping_group_range", "1\t0\n")
	m.write("proc/sys/vm/swappiness", "60\n")
	m.expect(apply.Sysctl, sysctls(map[string]string{
		"net.ipv4.ip_forward":       "1",
		"net/ipv4/ping_group_range": "0 2147483647",
		"vm.swappiness":             "60", // is so already
	}), did("net/ipv4/ip_forward is now 1", "net/ipv4/ping_group_range is now 0 2147483647"), "")
	m.want(map[string]string{
		"proc/sys/net/ipv4/ip_forward":       "1",
		"proc/sys/net/ipv4/ping_group_range": "0 2147483647",
		"proc/sys/vm/swappiness":             "60\n",
	})
	m.expect(apply.Sysctl, sysctls(map[string]string{"net.ipv4.ip_forward": "2"}),
		did("net/ipv4/ip_forward is now 2", "net/ipv4/ping_group_range is 1 0 again"), "")
	m.expect(apply.Sysctl, sysctls(nil), did("net/ipv4/ip_forward is 0 again"), "")
	m.want(map[string]string{
		"proc/sys/net/ipv4/ip_forward":       "0",
		"proc/sys/net/ipv4/ping_group_range": "1 0",
	})
}

func TestSysctlOfOthers(t *testing.T) {
	m := newMachine(t)
	m.write("proc/sys/vm/swappiness", "60\n")
	m.expect(apply.Sysctl, sysctls(map[string]string{"vm.swappiness": "10"}), did("vm/swappiness is now 10"), "")
	m.write("proc/sys/vm/swappiness", "5\n")
	m.expect(apply.Sysctl, sysctls(nil), apply.Outcome{Notes: []string{"vm/swappiness stays 5: somebody else has set it since"}}, "")
}

func TestSysctlNames(t *testing.T) {
	m := newMachine(t)
	m.write("proc/sys/net/ipv4/conf/eth0.100/rp_filter", "0\n")
	m.write("proc/sys/net/ipv4/conf/eth1/rp_filter", "0\n")
	m.write("proc/sys/kernel/x", "0\n")
	m.expect(apply.Sysctl, sysctls(map[string]string{"net/ipv4/conf/eth0.100/rp_filter": "1"}),
		did("net/ipv4/conf/eth0.100/rp_filter is now 1"), "")
	m.expect(apply.Sysctl, sysctls(map[string]string{"net.ipv4.conf.eth0/100.rp_filter": "2"}),
		did("net/ipv4/conf/eth0.100/rp_filter is now 2"), "")
	m.expect(apply.Sysctl, sysctls(map[string]string{"net.ipv4.conf.*.rp_filter": "2"}),
		did("net/ipv4/conf/eth1/rp_filter is now 2"), "")
	m.called()
	m.expect(apply.Sysctl, sysctls(map[string]string{"net.bridge.bridge-nf-call-iptables": "0", "net.ipv4.conf.*.rp_filter": "2"}),
		did("net/bridge/bridge-nf-call-iptables is now 0"), "")
	m.called("load br_netfilter ")
}

func TestSysctlFaults(t *testing.T) {
	m := newMachine(t)
	m.write("proc/sys/kernel/good", "0\n")
	m.fail["load ip_vs"] = errors.New(`cannot load kernel module "ip_vs": file does not exist`)
	m.expect(apply.Sysctl, sysctls(map[string]string{
		"kernel":              "1",
		"kernel.good":         "1",
		"kernel.none":         "1",
		"net.ipv4.vs.expire":  "1",
		"../../etc/passwd":    "1",
		"kernel/../../passwd": "1",
	}), did("kernel/good is now 1"), `rancher.sysctl: ../../etc/passwd is not a kernel setting
rancher.sysctl: cannot set kernel to "1": is a directory
rancher.sysctl: the kernel has no setting kernel.none
rancher.sysctl: kernel/../../passwd is not a kernel setting
rancher.sysctl: net.ipv4.vs.expire: cannot load kernel module "ip_vs": file does not exist`)
}

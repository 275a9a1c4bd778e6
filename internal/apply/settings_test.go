package apply_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

func TestTimezone(t *testing.T) {
	b := newBox(t)
	b.write("usr/share/zoneinfo/Europe/Vienna", "TZif2 Vienna")
	b.write("usr/share/zoneinfo/tzdata.zi", "# tables")
	b.write("etc/keep", "")
	b.write("run/ros/net/keep", "")
	zone := func(name string) config.Config { return config.Config{Timezone: name} }
	b.expect(apply.Timezone, zone(""), apply.Outcome{}, "")
	b.expect(apply.Timezone, zone("Europe/Vienna"), did("time zone is now Europe/Vienna"), "")
	b.want(map[string]string{"run/ros/net/localtime": "TZif2 Vienna"})
	if link, err := os.Readlink(b.Path("etc/localtime")); link != "/run/ros/net/localtime" {
		t.Errorf("/etc/localtime leads to %q, %v", link, err)
	}
	b.expect(apply.Timezone, zone("Europe/Wien"), apply.Outcome{}, `timezone: there is no time zone "Europe/Wien"`)
	b.expect(apply.Timezone, zone("tzdata.zi"), apply.Outcome{}, `timezone: there is no time zone "tzdata.zi"`)
	b.expect(apply.Timezone, zone("../../etc/shadow"), apply.Outcome{}, `timezone: "../../etc/shadow" is not a time zone`)
	b.want(map[string]string{"run/ros/net/localtime": "TZif2 Vienna"})
	b.expect(apply.Timezone, zone(""), did("time zone is UTC again"), "")
	b.want(map[string]string{"run/ros/net/localtime": "(none)"})
}

func TestNTP(t *testing.T) {
	b := newBox(t)
	ntp := func(n config.NTP) config.Config { return config.Config{NTP: n} }
	restart := []string{"ntp"}
	const file = "run/ros/config/ntp/ros.sources"
	b.expect(apply.NTP, ntp(config.NTP{}), apply.Outcome{}, "")
	b.expect(apply.NTP, ntp(config.NTP{Servers: []string{"ntp1.example.com", "192.0.2.1"}, Pools: []string{"pool.example.com"}}),
		apply.Outcome{Did: []string{"ntp asks 3 time servers or pools of the config"}, Restart: restart}, "")
	b.want(map[string]string{file: `# Written by rosd from ntp.servers and ntp.pools.
server ntp1.example.com iburst
server 192.0.2.1 iburst
pool pool.example.com iburst maxsources 4
`})
	b.expect(apply.NTP, ntp(config.NTP{Pools: []string{"pool.example.com"}}),
		apply.Outcome{Did: []string{"ntp asks 1 time servers or pools of the config"}, Restart: restart}, "")
	b.expect(apply.NTP, ntp(config.NTP{}), apply.Outcome{Did: []string{"ntp asks the built-in time servers"}, Restart: restart}, "")
	b.want(map[string]string{file: "(none)"})
}

func TestEnvironment(t *testing.T) {
	b := newBox(t)
	cfg := config.Config{Rancher: config.Rancher{
		Environment: map[string]string{"NAME": "it's $HOME `x`", "no_proxy": "mine", "not-a-name": "x"},
		Network:     config.Network{HTTPProxy: "http://proxy:3128", NoProxy: "localhost,.lan"},
	}}
	b.expect(apply.Environment, config.Config{}, apply.Outcome{}, "")
	b.expect(apply.Environment, cfg, did("variables of logins are new"), "")
	b.want(map[string]string{"run/ros/login/environment": `export HTTP_PROXY='http://proxy:3128'
export NAME='it'\''s $HOME ` + "`x`" + `'
export NO_PROXY='localhost,.lan'
export http_proxy='http://proxy:3128'
export no_proxy='mine'
`})
	if diff := cmp.Diff(map[string]string{
		"NAME": "it's $HOME `x`", "not-a-name": "x", "no_proxy": "mine", "NO_PROXY": "localhost,.lan",
		"http_proxy": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128",
	}, apply.Variables(&cfg)); diff != "" {
		t.Errorf("Variables() (-want +got):\n%s", diff)
	}
	cfg.Rancher.Environment = nil
	b.expect(apply.Environment, cfg, did("variables of logins are new"), "")
	b.expect(apply.Environment, config.Config{}, did("no variables of the config for logins any more"), "")
	b.want(map[string]string{"run/ros/login/environment": "(none)"})
}

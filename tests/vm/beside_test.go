//go:build vm

package vm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

// kitFile is a project of the system's containerd that names files beside it.
const kitFile = `services:
  kit:
    image: ros/console
    entrypoint: []
    command: [sleep, "100000"]
    restart: always
    env_file: [kit.env]
    environment: {OWN: "${OWN}"}
    configs: [{source: page, target: /etc/kit/page}]
    secrets: [{source: word, uid: "1100", mode: 0400}]
    volumes: ["kit:/data"]
    shm_size: 8m
    mem_reservation: 16m
    mem_limit: 64m
    memswap_limit: 96m
    cpuset: "0"
    x-ros: {scope: system}
  kit-debug:
    image: ros/console
    entrypoint: []
    command: [sleep, "100000"]
    restart: always
    profiles: [debug]
    volumes_from: ["kit:ro"]
    x-ros: {scope: system}
configs: {page: {file: ./page}}
secrets: {word: {file: ./word}}
volumes: {kit: {name: kit-data}}
`

// familyFiles are a project of the system's containerd that takes services from
// other files; none of them is there at the next start.
func familyFiles() map[string]string {
	const sleeps = "image: ros/console, entrypoint: [], command: [sleep, \"100000\"], restart: always, x-ros: {scope: system}"
	return map[string]string{
		"family.yml": "include: [cousin.yml]\nservices: {child: {extends: {file: parent.yml, service: parent}, environment: {OWN: child}}}\n",
		"parent.yml": "services: {parent: {" + sleeps + ", environment: {FROM: parent, OWN: parent}}}\n",
		"cousin.yml": "services: {cousin: {" + sleeps + "}}\n",
	}
}

const kitFolder = "/home/rancher/kit"

// enableKit enables it and lets its files change and vanish: neither a restart
// nor a reboot must notice.
func enableKit(t *testing.T, g *guest) {
	g.sh(t, "mkdir -p "+kitFolder)
	for name, text := range map[string]string{
		"kit.yml": kitFile, "kit.env": "GREETING=\"hello ${OWN}\"\n", ".env": "OWN=kit\n", "page": "page one\n", "word": "hush-hush\n",
	} {
		g.feed(t, "cat > "+kitFolder+"/"+name, strings.NewReader(text))
	}
	for name, text := range familyFiles() {
		g.feed(t, "cat > "+kitFolder+"/"+name, strings.NewReader(text))
	}
	g.sh(t, "sudo ros service enable "+kitFolder+"/family.yml && rm "+kitFolder+"/family.yml "+kitFolder+"/parent.yml "+kitFolder+"/cousin.yml")
	t.Log(g.sh(t, "sudo ros service enable "+kitFolder+"/kit.yml"))
	if all, err := g.services(t); err != nil || all["kit-debug"].Name != "" {
		t.Errorf("kit-debug is there without its profile: %+v, %v", all["kit-debug"], err)
	}
	g.sh(t, "sudo ros config set rancher.environment.COMPOSE_PROFILES debug")
	checkKit(t, g)
	g.feed(t, "cat > "+kitFolder+"/page", strings.NewReader("page two\n"))
	g.sh(t, "sudo ros service restart kit")
	checkKit(t, g)
	if out := g.sh(t, "sudo ros service update --dry-run "+kitFolder+"/kit.yml"); !strings.Contains(out, "kit: what its file names, or a variable, has changed") {
		t.Errorf("the update does not see the other page:\n%s", out)
	}
	g.sh(t, "rm "+kitFolder+"/kit.env "+kitFolder+"/.env "+kitFolder+"/page "+kitFolder+"/word")
}

// checkKit looks at it from inside of its containers, and for its secret from
// outside.
func checkKit(t *testing.T, g *guest) {
	t.Helper()
	g.eventually(t, stepPatience, func() error {
		all, err := g.services(t)
		for _, name := range []string{"kit", "kit-debug", "child", "cousin"} {
			if s := all[name]; err == nil && s.State != control.Running {
				err = fmt.Errorf("%s is %s (%s)", name, s.State, s.Reason)
			}
		}
		return err
	})
	in := "sudo ros service exec kit "
	g.sh(t, in+"touch /data/from-kit")
	for command, want := range map[string]string{
		in + "printenv GREETING OWN":                                        "hello kit\nkit",
		"sudo ros service exec child printenv FROM OWN":                     "parent\nchild",
		in + "cat /etc/kit/page /run/secrets/word":                          "page one\nhush-hush",
		in + "stat -c '%a %u %g' /etc/kit/page /run/secrets/word":           "444 0 0\n400 1100 0",
		in + "sh -c 'echo x > /etc/kit/page || echo read-only'":             "read-only",
		in + "sh -c 'df -k /dev/shm | grep -c 8192'":                        "1",
		"sudo ls /var/lib/rancher/volumes/kit-data":                         "from-kit",
		"sudo ros service exec kit-debug sh -c 'touch /data/x || ls /data'": "from-kit",
		"cat /sys/fs/cgroup/services/kit/memory.low /sys/fs/cgroup/services/kit/memory.swap.max /sys/fs/cgroup/services/kit/cpuset.cpus":                   "16777216\n33554432\n0",
		"cat /run/ros/roots/kit/files/* /run/ros/services/kit.json 2>/dev/null || echo closed":                                                             "closed",
		"{ sudo ros service inspect kit; sudo ros service logs kit; sudo grep -rs hush-hush /var/log/ros /run/ros/services; } | grep -c hush-hush || true": "0",
	} {
		if out := g.sh(t, command); out != want {
			t.Errorf("%s printed %q, want %q", command, out, want)
		}
	}
}

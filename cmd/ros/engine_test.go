package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestEngineList(t *testing.T) {
	rosd := machine()
	rosd.engines = []control.EngineEntry{
		{Name: "docker", State: control.EngineCurrent, Version: "29.0.0-ros", Image: "ros/docker"},
		{Name: "docker-debian", State: control.EngineEnabled, Version: "26.1.5", Image: "rosteros/docker-debian:trixie", Repository: "core"},
		{Name: "far", State: control.EngineDisabled, Repository: "core"},
		{Name: "none", State: control.EngineAvailable},
		{Name: "builds", State: "failed", Extra: true, Image: "ros/engine", Socket: "/run/ros/engines/builds/docker.sock", Error: "exit status 1"},
	}
	a := newApp(t, rosd)
	const list = `STATE      ENGINE         VERSION     FROM
current    docker         29.0.0-ros  ros/docker
enabled    docker-debian  26.1.5      rosteros/docker-debian:trixie
disabled   far            -           core
available  none           -           -
failed     builds         -           /run/ros/engines/builds/docker.sock
    exit status 1
`
	check(t, a, "ros engine list", result{out: list})
	check(t, a, "ros engine current", result{out: "docker\n"})
	check(t, a, "ros engine list -q", result{out: "docker\ndocker-debian\nfar\nnone\nbuilds\n"})
	rosd.engines = append(rosd.engines, control.EngineEntry{Repository: "x", Error: `cannot use repository "x": no route`})
	check(t, a, "ros engine list -u", result{out: list, err: "ros: cannot use repository \"x\": no route\n", code: 1})
	asks(t, rosd, "engines ", "engines ", "engines ", "engines refresh=1")
}

func TestEngineVerbs(t *testing.T) {
	rosd := machine()
	rosd.steps = []control.ImageStep{{Text: "stopping docker"}, {Text: "docker-debian answers: Docker 26.1.5"}, {Done: true}}
	a := newApp(t, rosd)
	a.uid = 0
	said := result{out: "stopping docker\ndocker-debian answers: Docker 26.1.5\n"}
	check(t, a, "ros engine switch docker-debian", said) // no terminal: nobody is asked
	check(t, a, "ros engine switch -f --no-pull docker-debian", said)
	check(t, a, "ros engine enable docker-debian", said)
	check(t, a, "ros engine create builds --network=lab --fixed-ip=10.9.0.7", said)
	check(t, a, "ros engine rm -f -t 3 builds", said)
	asks(t, rosd,
		`engine switch {"name":"docker-debian"}`, `engine switch {"name":"docker-debian","no_pull":true}`, `engine enable {"name":"docker-debian"}`,
		`engine create {"name":"builds","network":"lab","fixed_ip":"10.9.0.7"}`, `engine rm {"name":"builds","timeout_seconds":3}`)

	rosd.asked = nil
	a.terminal, a.stdin = true, strings.NewReader("n\n")
	check(t, a, "ros engine switch none", result{out: "Containers stop, and come back in none if they have a restart policy. Go on? [y/N] "})
	a.stdin = strings.NewReader("")
	check(t, a, "ros engine rm builds", result{code: 2, out: "All containers, images and volumes of builds are lost. Go on? [y/N] \n",
		err: "ros: cannot go on: nobody answers\ntry: ros engine rm builds --force\n"})
	asks(t, rosd)

	rosd.steps = []control.ImageStep{{Error: `cannot switch to engine dokcer: no catalog has "dokcer" (did you mean "docker"?)`}}
	check(t, a, "ros engine switch -f dokcer", result{err: "ros: cannot switch to engine dokcer: no catalog has \"dokcer\" (did you mean \"docker\"?)\n", code: 1})
	check(t, a, "ros engine switch", result{err: "ros: cannot switch: name one engine\ntry: ros engine list\n", code: 2})
	a.uid = 1100
	check(t, a, "ros engine enable none", result{err: "ros: cannot enable engines: needs root\ntry: sudo ros engine enable none\n", code: 1})
}

func TestEngineFlagsThatAreGone(t *testing.T) {
	a := newApp(t, machine())
	a.uid = 0
	check(t, a, "ros engine create builds -v 18.03.1", result{code: 2,
		err: "ros: cannot create engine builds: an extra engine is the Docker of the OS, which needs no download; --version cannot choose another\ntry: docker run -d --privileged docker:18.03.1-dind\n"})
	check(t, a, "ros engine create builds --ssh-port 2222", result{code: 2,
		err: "ros: cannot create engine builds: there is no sshd in it (--ssh-port, --authorized-keys); it is used by its socket\ntry: docker -H unix:///run/ros/engines/builds/docker.sock ps\n"})
}

func TestTLSGen(t *testing.T) {
	rosd := machine()
	rosd.tls = control.TLSMade{CA: "ca", Cert: "cert", Key: "key", NewCA: true, Applied: &control.ConfigApplied{
		Results: []control.ApplyResult{{Applier: "docker", Did: []string{"restarted docker"}}},
	}}
	a := newApp(t, rosd)
	a.uid = 0
	if err := os.MkdirAll(filepath.Join(a.homes, "rancher"), 0o755); err != nil {
		t.Fatal(err)
	}
	check(t, a, "ros tls gen --server -H edge-7 -H 192.0.2.7", result{out: `made an authority: rancher.docker.ca_cert, rancher.docker.ca_key
made the certificate of the engine: rancher.docker.server_cert, rancher.docker.server_key
written
restarted docker
`})
	rosd.tls.Applied, rosd.tls.NewCA = nil, false
	check(t, a, "ros tls gen", result{out: "wrote DIR/home/rancher/.docker: ca.pem and a certificate with its key\n"})
	for name, want := range map[string]string{"ca.pem": "ca -rw-r--r--", "cert.pem": "cert -rw-r--r--", "key.pem": "key -rw-------"} {
		path := filepath.Join(a.homes, "rancher/.docker", name)
		text, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(text)+" "+info.Mode().String() != want {
			t.Errorf("%s: %s, %v, want %s", name, text, err, want)
		}
	}
	check(t, a, "ros tls generate -s -H edge-7 -d "+a.homes+"/certs", result{
		out: "made the certificate of the engine: rancher.docker.server_cert, rancher.docker.server_key\nwrote DIR/home/certs: ca.pem and a certificate with its key\n"})
	check(t, a, "ros tls gen --server", result{code: 2,
		err: "ros: cannot make a certificate: what do clients call this machine?\ntry: ros tls generate --server -H NAME\n"})
	asks(t, rosd, `tls {"server":true,"hosts":["edge-7","192.0.2.7"],"name":"rancher"}`, `tls {"name":"rancher"}`, `tls {"server":true,"hosts":["edge-7"],"name":"rancher"}`)
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// installing is rosd whose worker answers plan to a look, and then installs.
func installing(t *testing.T) (*app, *fakeRosd) {
	t.Helper()
	rosd := &fakeRosd{work: map[string]string{"install": `{"event":"progress","step":"os image","total":209715200}
{"event":"progress","step":"os image","done":209715200,"total":209715200}
{"event":"note","text":"edge.yml:3: a note"}
{"event":"result","result":{"version":"v0.2.0","device":"/dev/vda","slot":"A"}}
`}}
	a := newApp(t, rosd)
	if err := os.WriteFile(filepath.Join(filepath.Dir(a.socket), "edge.yml"), []byte("#cloud-config\nhostname: edge\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return a, rosd
}

func TestInstall(t *testing.T) {
	a, rosd := installing(t)
	dir := filepath.Dir(a.socket)
	check(t, a, "ros install -f --no-reboot -d /dev/vda -c "+dir+"/edge.yml -a quiet", result{out: `os image: 0%  0 of 200.0 MiB
os image: 100%  200.0 MiB of 200.0 MiB, 0s
edge.yml:3: a note
Roster v0.2.0 is on /dev/vda. Take the medium out before the machine starts again.
`})
	asks(t, rosd, `os install {"device":"/dev/vda","type":"generic","config":"#cloud-config\nhostname: edge\n","config_name":"`+
		dir+`/edge.yml","append":"quiet"}`)
}

func TestInstallJSON(t *testing.T) {
	a, rosd := installing(t)
	check(t, a, "ros install -f --json --no-reboot -d /dev/vda -c https://example.com/x.yml", result{out: rosd.work["install"]})
	asks(t, rosd, `os install {"device":"/dev/vda","type":"generic","config_url":"https://example.com/x.yml"}`)
}

// TestInstallAsks: the same answer serves for the plan here; what matters is
// that no is no.
func TestInstallAsks(t *testing.T) {
	plan := `{"event":"result","result":{"version":"v0.2.0","device":"/dev/vda","model":"QEMU DISK","size":8589934592,` +
		`"found":["a partition table (gpt)","/dev/vda1: 8.0 GiB, ext4 \"photos\""],"lost":true,"notes":["no config is given"]}}` + "\n"
	const said = `/dev/vda: QEMU DISK, 8.0 GiB
  a partition table (gpt)
  /dev/vda1: 8.0 GiB, ext4 "photos"
note: no config is given
ALL OF THIS WILL BE LOST.
Install Roster v0.2.0 on /dev/vda? [y/N] `
	for answer, want := range map[string]result{
		"n\n":   {out: said, err: "ros: nothing was written\n", code: 1},
		"":      {out: said + "\n", err: "ros: nothing was written\n", code: 1},
		"yes\n": {out: said + "Roster v0.2.0 is on /dev/vda. Take the medium out before the machine starts again.\n"},
	} {
		a, rosd := installing(t)
		a.terminal = true
		a.stdin = strings.NewReader(answer)
		rosd.work["install"] = plan
		check(t, a, "ros install --no-reboot -d /dev/vda", want)
		first := `os install {"device":"/dev/vda","type":"generic","check":true}`
		if answer == "yes\n" {
			asks(t, rosd, first, `os install {"device":"/dev/vda","type":"generic"}`)
		} else {
			asks(t, rosd, first)
		}
	}
}

func TestInstallRefuses(t *testing.T) {
	const help = "try: ros install --help\n"
	for _, tt := range []struct {
		line string
		want result
	}{
		{"ros install -d /dev/vda", result{code: 2, err: "ros: cannot ask before everything on /dev/vda is lost: this is not a terminal, or for a program\ntry: ros install -d /dev/vda --force\n"}},
		{"ros install -f", result{code: 2, err: "ros: cannot install: name a disk with -d\n" + help}},
		{"ros install -f -d /dev/vda -t raid", result{code: 2, err: "ros: cannot install: there is no installation type \"raid\" here: this version knows no RAID\n" + help}},
		{"ros install -f -d /dev/vda -t ext4", result{code: 2, err: "ros: cannot install: there is no installation type \"ext4\": want generic or noformat\n" + help}},
		{"ros install -f -d /dev/vda -i rancher/os:v1.5.8", result{code: 2, err: "ros: cannot use --image: what is installed is the system that runs; another release comes by ros os upgrade afterwards\n" + help}},
		{"ros install -f -d /dev/vda -c nowhere.yml", result{code: 1, err: "ros: cannot use nowhere.yml: cannot stat it: no such file or directory\n"}},
	} {
		a, rosd := installing(t)
		check(t, a, tt.line, tt.want)
		asks(t, rosd)
	}
}

// TestInstallFails: what the worker says is the message.
func TestInstallFails(t *testing.T) {
	a, rosd := installing(t)
	rosd.work["install"] = `{"event":"error","error":"cannot install on \"/dev/vda\": it is read-only"}` + "\n"
	check(t, a, "ros install -f -d /dev/vda", result{code: 1, err: "ros: cannot install on \"/dev/vda\": it is read-only\n"})
	rosd.work["install"] = `{"event":"note","text":"began"}` + "\n"
	check(t, a, "ros install -f -d /dev/vda", result{code: 3, out: "began\n", err: "ros: cannot install: rosd went away meanwhile\ntry: ros service logs rosd\n"})
}

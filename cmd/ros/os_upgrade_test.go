package main

import (
	"slices"
	"strings"
	"testing"
)

const (
	found2  = `{"event":"result","result":{"version":"v2","digest":"sha256:0123456789abcdef","slot":"B","key":"cosign","transferred":0,"size":0}}`
	armed2  = `{"event":"result","result":{"version":"v2","digest":"sha256:0123456789abcdef","slot":"B","key":"cosign","transferred":1048576,"size":104857600,"armed":true}}`
	staged2 = `{"event":"result","result":{"version":"v2","digest":"sha256:0123456789abcdef","slot":"B","already":true,"transferred":0,"size":104857600}}`
	running = `{"event":"result","result":{"version":"v1","digest":"sha256:1","nothing":"it is what runs already","transferred":0,"size":0}}`
)

func TestOSUpgrade(t *testing.T) {
	const (
		said   = "v2 is in slot B; 1.0 MiB of its 100.0 MiB had to be fetched.\nThe next start tries it.\n"
		reboot = `{"op":"reboot"}` + "\n"
		asked  = "Upgrade to v2 (sha256:0123456789ab, signed with cosign)? What is in slot B now will be replaced. [y/N] "
	)
	for _, tt := range []struct {
		line, typed string // typed on a terminal; "": there is none
		events      string
		want        result
		asked       []string
		told        string
	}{
		{line: "ros os upgrade -f", events: armed2, want: result{out: said + "The machine will reboot now.\n"},
			asked: []string{`os upgrade {}`}, told: reboot},
		{line: "ros os upgrade -f -i host/os:v2 --kexec --append quiet", events: strings.Replace(armed2, `"armed"`, `"kexec":true,"armed"`, 1),
			want:  result{out: said + "The machine will reboot now.\n"},
			asked: []string{`os upgrade {"release":"host/os:v2","append":"quiet","kexec":true}`}, told: `{"op":"kexec"}` + "\n"},
		{line: "ros os upgrade --no-reboot v2", events: armed2, want: result{out: said}, asked: []string{`os upgrade {"release":"v2"}`}},
		{line: "ros os upgrade --stage --retry --below-floor --take-what-nobody-signed", events: staged2,
			want:  result{out: "v2 is in slot B already, whole.\n"},
			asked: []string{`os upgrade {"stage":true,"unsigned":true,"below_floor":true,"retry":true}`}},
		{line: "ros os upgrade", want: result{code: 2,
			err: "ros: cannot ask before the restart: this is not a terminal, or for a program\ntry: ros os upgrade --force\n"}},
		{line: "ros os upgrade a b", want: result{code: 2, err: "ros: cannot upgrade to more than one release\ntry: ros os upgrade --help\n"}},
		{line: "ros os upgrade -i a b", want: result{code: 2, err: "ros: cannot upgrade to more than one release\ntry: ros os upgrade --help\n"}},
		{line: "ros os upgrade --stage --kexec", want: result{code: 2,
			err: "ros: cannot use --stage with --kexec or --append: nothing is started\ntry: ros os upgrade --help\n"}},
		{line: "ros os upgrade -f", events: `{"event":"error","error":"cannot upgrade to v2: it is not signed"}`,
			want: result{code: 1, err: "ros: cannot upgrade to v2: it is not signed\n"}, asked: []string{`os upgrade {}`}},

		{line: "ros os upgrade", typed: "n\n", events: found2, want: result{out: asked}, asked: []string{`os upgrade {"check":true}`}},
		{line: "ros os upgrade", typed: "", events: "", want: result{code: 2,
			err: "ros: cannot ask before the restart: this is not a terminal, or for a program\ntry: ros os upgrade --force\n"}},
		{line: "ros os upgrade", typed: "y\n", events: running, want: result{out: "Nothing to do for v1: it is what runs already.\n"},
			asked: []string{`os upgrade {"check":true}`}},
		{line: "ros os upgrade", typed: "y\n", events: found2, want: result{out: asked + "v2 is in slot B; - of its - had to be fetched.\n"},
			asked: []string{`os upgrade {"check":true}`, `os upgrade {}`}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			rosd := &fakeRosd{work: map[string]string{"upgrade": tt.events + "\n"}}
			pid1 := &fakeInit{answer: `{"ok":true}`}
			a := newApp(t, rosd)
			a.terminal, a.stdin = tt.typed != "", strings.NewReader(tt.typed)
			pid1.serve(t, a.initSocket)
			check(t, a, tt.line, tt.want)
			asks(t, rosd, tt.asked...)
			var told []string
			if tt.told != "" {
				told = []string{tt.told}
			}
			if !slices.Equal(pid1.told, told) {
				t.Errorf("%s tells PID 1 %q, want %q", tt.line, pid1.told, told)
			}
		})
	}
}

func TestOSList(t *testing.T) {
	rosd := &fakeRosd{work: map[string]string{"list": `{"event":"result","result":[
		{"version":"v2","release":"host/os:v2","current":true},{"version":"v1","release":"host/os:v1","running":true}]}` + "\n"}}
	rosd.work["list"] = strings.ReplaceAll(rosd.work["list"], "\n\t\t", "")
	check(t, newApp(t, rosd), "ros os list", result{out: `VERSION  RELEASE
v2       host/os:v2  current
v1       host/os:v1  running
`})
}

func TestOSVerify(t *testing.T) {
	for _, tt := range []struct {
		name, slots string
		want        result
	}{
		{"sound", `[{"slot":"A","version":"v1","digest":"sha256:1","key":"cosign"},{"slot":"B","version":"","digest":"","empty":true}]`,
			result{out: "Slot A: v1 sha256:1: every byte is as it was signed with cosign\nSlot B: empty\n"}},
		{"damaged", `[{"slot":"A","version":"v1","digest":"sha256:1","key":"cosign","faults":["the kernel is damaged"]}]`,
			result{code: 1, out: "Slot A: v1 sha256:1: the kernel is damaged\n"}},
		{"unsigned", `[{"slot":"A","version":"v1","digest":"sha256:1"}]`,
			result{code: 1, out: "Slot A: v1 sha256:1: every byte is as it was built, but no key that this machine trusts has signed it\n"}},
		{"unreadable", `[{"slot":"A","version":"","digest":"","faults":["cannot read the release"]}]`,
			result{code: 1, out: "Slot A: cannot read the release\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rosd := &fakeRosd{work: map[string]string{"verify": `{"event":"result","result":` + tt.slots + "}\n"}}
			check(t, newApp(t, rosd), "ros os verify", tt.want)
		})
	}
}

func TestOSPause(t *testing.T) {
	for _, tt := range []struct {
		line  string
		want  result
		asked string
	}{
		{"ros os pause", result{out: "Automatic upgrades are paused until \"ros os resume\".\n"}, `os pause {"until":"0001-01-01T00:00:00Z"}`},
		{"ros os pause 7d", result{out: "Automatic upgrades are paused until 2026-11-30 12:00:00.\n"}, `os pause {"until":"2026-11-30T12:00:00Z"}`},
		{"ros os pause 90m", result{out: "Automatic upgrades are paused until 2026-11-23 13:30:00.\n"}, `os pause {"until":"2026-11-23T13:30:00Z"}`},
		{"ros os pause -- -1h", result{code: 2, err: "ros: cannot pause for \"-1h\": want 12h, 90m or 7d\ntry: ros os pause 7d\n"}, ""},
		{"ros os pause soon", result{code: 2, err: "ros: cannot pause for \"soon\": want 12h, 90m or 7d\ntry: ros os pause 7d\n"}, ""},
		{"ros os resume", result{out: "Automatic upgrades go on as rancher.upgrade.policy says.\n"}, `os resume {}`},
	} {
		t.Run(tt.line, func(t *testing.T) {
			rosd := &fakeRosd{work: map[string]string{"pause": `{"event":"result"}` + "\n", "resume": `{"event":"result"}` + "\n"}}
			check(t, newApp(t, rosd), tt.line, tt.want)
			var want []string
			if tt.asked != "" {
				want = []string{tt.asked}
			}
			asks(t, rosd, want...)
		})
	}
}

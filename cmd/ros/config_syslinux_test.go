package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withArgs is rosd on an installed machine whose kernel gets these arguments.
func withArgs(args string) *fakeRosd {
	return &fakeRosd{work: map[string]string{
		"args {}": `{"event":"result","result":{"args":"` + args + `"}}` + "\n",
		"args":    `{"event":"result","result":{"args":"whatever"}}` + "\n",
	}}
}

func TestConfigSyslinux(t *testing.T) {
	for _, tt := range []struct {
		name, editor, want string
		asked              []string
	}{
		{
			name: "one more", editor: `sed -i 's/quiet/quiet debug/' "$1"`,
			want:  "from the next boot on: console=ttyS0 quiet debug\n",
			asked: []string{"os args {}", `os args {"set":"console=ttyS0 quiet debug","was":"console=ttyS0 quiet"}`},
		},
		{
			name: "as RancherOS wrote it", editor: `printf '# mine\nAPPEND console=tty0\nquiet\n' >"$1"`,
			want:  "from the next boot on: console=tty0 quiet\n",
			asked: []string{"os args {}", `os args {"set":"console=tty0 quiet","was":"console=ttyS0 quiet"}`},
		},
		{
			name: "none", editor: `: >"$1"`,
			want:  "from the next boot on: (no arguments)\n",
			asked: []string{"os args {}", `os args {"set":"","was":"console=ttyS0 quiet"}`},
		},
		{name: "nothing", editor: "true", want: "nothing has changed\n", asked: []string{"os args {}"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rosd := withArgs("console=ttyS0 quiet")
			a := edits(t, rosd, tt.editor, "")
			check(t, a, "ros config syslinux", result{out: tt.want})
			asks(t, rosd, tt.asked...)
			if left := a.copies(t); len(left) > 0 {
				t.Errorf("editing leaves %q", left)
			}
		})
	}
}

// TestConfigSyslinuxAgain: a word that is not allowed, and then one that is.
func TestConfigSyslinuxAgain(t *testing.T) {
	rosd := withArgs("quiet")
	rosd.work[`args {"set":"ros.slot=B","was":"quiet"}`] = `{"event":"error","error":"cannot keep the kernel arguments: \"ros.slot\" belongs to the boot loader"}` + "\n"
	a := edits(t, rosd, `if grep -q ros.slot "$1"; then echo debug >"$1"; else echo ros.slot=B >"$1"; fi`, "y\n")
	check(t, a, "ros config syslinux", result{
		out: "Edit again? [Y/n] from the next boot on: debug\n",
		err: "cannot keep the kernel arguments: \"ros.slot\" belongs to the boot loader\n",
	})
	asks(t, rosd, "os args {}", `os args {"set":"ros.slot=B","was":"quiet"}`, `os args {"set":"debug","was":"quiet"}`)
}

// TestConfigSyslinuxKeepsTheCopy: what was written is never lost.
func TestConfigSyslinuxKeepsTheCopy(t *testing.T) {
	rosd := withArgs("quiet")
	rosd.work["args"] = `{"event":"error","error":"cannot keep the kernel arguments: no space left on device"}` + "\n"
	a := edits(t, rosd, `echo debug >"$1"`, "n\n")
	got := a.try("ros config syslinux")
	left := a.copies(t)
	if len(left) != 1 || got.code != 1 || !strings.HasSuffix(got.err, "ros: cannot change the kernel's arguments: nothing was written; what you wrote is in "+left[0]+"\n") {
		t.Fatalf("ends with %d, says %q and leaves %q", got.code, got.err, left)
	}
	text, err := os.ReadFile(left[0])
	if diff := cmp.Diff("debug\n", string(text)); diff != "" || err != nil {
		t.Errorf("the copy: %v (-want +got):\n%s", err, diff)
	}
}

func TestConfigSyslinuxOnTheISO(t *testing.T) {
	rosd := &fakeRosd{work: map[string]string{"args": `{"event":"error","error":"cannot edit the kernel's arguments: this machine was started from an ISO, whose boot menu cannot be written"}` + "\n"}}
	check(t, newApp(t, rosd), "ros config syslinux", result{code: 1, err: `ros: cannot edit the kernel's arguments: this machine was started from an ISO, whose boot menu cannot be written
try: e in the boot menu, for one boot
`})
}

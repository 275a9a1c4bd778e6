package cmdline_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/cmdline"
)

func TestParse(t *testing.T) {
	type w = cmdline.Word
	for _, tt := range []struct {
		name, text string
		want       cmdline.Line
	}{
		{name: "empty", text: " \n"},
		{name: "plain", text: "quiet root=/dev/sda1  console=ttyS0,115200\n", want: cmdline.Line{Words: []w{
			{Key: "quiet", Bare: true}, {Key: "root", Value: "/dev/sda1"}, {Key: "console", Value: "ttyS0,115200"}}}},
		{name: "value with equals signs", text: "cc.write=a=b=c", want: cmdline.Line{Words: []w{{Key: "cc.write", Value: "a=b=c"}}}},
		{name: "quoted value", text: `rancher.motd="hi there" x`, want: cmdline.Line{Words: []w{
			{Key: "rancher.motd", Value: "hi there"}, {Key: "x", Bare: true}}}},
		{name: "quoted word", text: `"rancher.motd=hi there" x`, want: cmdline.Line{Words: []w{
			{Key: "rancher.motd", Value: "hi there"}, {Key: "x", Bare: true}}}},
		{name: "quoted flag", text: `"a b"`, want: cmdline.Line{Words: []w{{Key: "a b", Bare: true}}}},
		{name: "quotes inside a value stay", text: `a=b"c d"e`, want: cmdline.Line{Words: []w{{Key: "a", Value: `b"c d"e`}}}},
		{name: "open quote reaches to the end", text: `a="b c`, want: cmdline.Line{Words: []w{{Key: "a", Value: "b c"}}}},
		{name: "lists stay text", text: `cc.dns=[8.8.8.8,1.1.1.1]`, want: cmdline.Line{Words: []w{{Key: "cc.dns", Value: "[8.8.8.8,1.1.1.1]"}}}},
		{name: "equals sign first", text: "=x", want: cmdline.Line{Words: []w{{Key: "=x", Bare: true}}}},
		{name: "empty value", text: "a= b", want: cmdline.Line{Words: []w{{Key: "a"}, {Key: "b", Bare: true}}}},
		{name: "UTF-8 is not cut", text: "a=à", want: cmdline.Line{Words: []w{{Key: "a", Value: "à"}}}},
		{name: "after the dashes", text: "a -- b c=d --", want: cmdline.Line{
			Words: []w{{Key: "a", Bare: true}},
			After: []w{{Key: "b", Bare: true}, {Key: "c", Value: "d"}, {Key: "--", Bare: true}}}},
		{name: "lone quote", text: `"`, want: cmdline.Line{Words: []w{{Bare: true}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, cmdline.Parse(tt.text)); diff != "" {
				t.Errorf("Parse(%q) differs (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"quiet panic=10\n":              "quiet panic=10",
		"quiet -- rancher.password=x\n": "quiet",
		"quiet  --\trancher.password=x": "quiet",
		"-- rancher.password=x":         "",
		`a="b -- c" -- d`:               `a="b -- c"`,
		"a=-- --b ---":                  "a=-- --b ---",
		"a -- b -- c":                   "a",
	} {
		if got := cmdline.Visible(text); got != want {
			t.Errorf("Visible(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestLookups(t *testing.T) {
	l := cmdline.Parse("a=1 b a=2 on=yes off=0 twice twice=false -- a=3")
	if v, ok := l.Value("a"); v != "2" || !ok {
		t.Errorf(`Value("a") = %q, %v, want "2", true`, v, ok)
	}
	if v, ok := l.Value("b"); v != "" || !ok {
		t.Errorf(`Value("b") = %q, %v, want "", true`, v, ok)
	}
	if v, ok := l.Value("none"); v != "" || ok {
		t.Errorf(`Value("none") = %q, %v, want "", false`, v, ok)
	}
	if got, want := l.Values("a"), []string{"1", "2"}; !slices.Equal(got, want) {
		t.Errorf(`Values("a") = %q, want %q`, got, want)
	}
	for key, want := range map[string]bool{"b": true, "on": true, "off": false, "twice": false, "none": false} {
		if got := l.Flag(key); got != want {
			t.Errorf("Flag(%q) = %v, want %v", key, got, want)
		}
	}
}

func TestConsoles(t *testing.T) {
	l := cmdline.Parse("console=ttyS0,115200n8 console=tty0 console= console=null console console=ttyS0")
	if got, want := l.Consoles(), []string{"tty0", "ttyS0"}; !slices.Equal(got, want) {
		t.Errorf("Consoles() = %q, want %q", got, want)
	}
}

func TestSettings(t *testing.T) {
	l := cmdline.Parse("quiet rancher.debug rancher.state.autoformat=[/dev/sda,/dev/vda] cc.hostname=box cc. ranchers.x=1 rancher.a=1 rancher.a=2 -- rancher.b=3")
	want := []cmdline.Setting{
		{Key: "rancher.debug", Value: "true"},
		{Key: "rancher.state.autoformat", Value: "[/dev/sda,/dev/vda]"},
		{Key: "hostname", Value: "box"},
		{Key: "rancher.a", Value: "1"}, {Key: "rancher.a", Value: "2"},
		{Key: "rancher.b", Value: "3"},
	}
	if diff := cmp.Diff(want, l.Settings()); diff != "" {
		t.Errorf("Settings() differs (-want +got):\n%s", diff)
	}

	l = cmdline.Parse("rancher.modules=[a, b=1,  c] rancher.x=[[1, 2], 3] cc.y=[open quiet rancher.debug other=[a b] rancher.z=[1] -- rancher.w=[k, l]")
	want = []cmdline.Setting{
		{Key: "rancher.modules", Value: "[a, b=1, c]"},
		{Key: "rancher.x", Value: "[[1, 2], 3]"},
		{Key: "y", Value: "[open"},
		{Key: "rancher.debug", Value: "true"},
		{Key: "rancher.z", Value: "[1]"},
		{Key: "rancher.w", Value: "[k, l]"},
	}
	if diff := cmp.Diff(want, l.Settings()); diff != "" {
		t.Errorf("Settings() of lists with spaces differs (-want +got):\n%s", diff)
	}
}

func TestModuleParams(t *testing.T) {
	l := cmdline.Parse(`rancher.debug=1 virtio-blk.queue_depth=8 virtio_blk.poll loop.max_loop=4 modprobe.blacklist=x x.name="a b" dyndbg.a.b=c`)
	want := map[string]string{"virtio_blk": "queue_depth=8 poll", "loop": "max_loop=4", "x": `name="a b"`}
	if diff := cmp.Diff(want, l.ModuleParams()); diff != "" {
		t.Errorf("ModuleParams() differs (-want +got):\n%s", diff)
	}
}

func TestOnlyDefaults(t *testing.T) {
	for line, want := range map[string]bool{
		"quiet console=ttyS0":                 false,
		"quiet ros.config=defaults":           true,
		"quiet -- ros.config=defaults":        true,
		"ros.config=none rancher.debug":       false,
		"ros.config=defaults cc.hostname=box": true,
	} {
		if got := cmdline.Parse(line).OnlyDefaults(); got != want {
			t.Errorf("OnlyDefaults() of %q = %v, want %v", line, got, want)
		}
	}
}

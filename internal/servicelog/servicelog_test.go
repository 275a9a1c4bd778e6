package servicelog_test

import (
	"math/rand/v2"
	"net/url"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/servicelog"
)

func TestParse(t *testing.T) {
	type l = servicelog.Line
	at := time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)
	for _, tt := range []struct {
		name, line string
		want       l
	}{
		{"plain", "2026-11-23T12:00:00.123456Z stdout the text", l{at, "stdout", "the text"}},
		{"spaces stay", "2026-11-23T12:00:00.123456Z stderr  a  b ", l{at, "stderr", " a  b "}},
		{"empty text", "2026-11-23T12:00:00.123456Z note ", l{at, "note", ""}},
		{"torn write", "00.123456Z stdout the text", l{Text: "00.123456Z stdout the text"}},
		{"unknown stream", "2026-11-23T12:00:00.123456Z stdin x", l{Text: "2026-11-23T12:00:00.123456Z stdin x"}},
		{"nothing", "", l{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := servicelog.Parse(tt.line)
			if got != tt.want {
				t.Errorf("Parse(%q) = %+v, want %+v", tt.line, got, tt.want)
			}
			if got.String() != tt.line {
				t.Errorf("String() = %q, want the line again", got.String())
			}
		})
	}
}

// shimArgs builds the arguments as containerd's runc shim (2.4) does from a
// binary URI: it ranges over the query, so pairs come in any order.
func shimArgs(t *testing.T, uri string) (path string, args []string) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "binary-v2" {
		t.Errorf("scheme of %q is %q, want binary-v2", uri, u.Scheme)
	}
	query := u.Query()
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, k)
	}
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, k := range keys {
		args = append(args, k, query[k][0])
	}
	return u.Path, exec.Command(u.Path, args...).Args[1:]
}

func TestURIReachesParseArgs(t *testing.T) {
	for _, service := range []string{"ntp", "my-app_2.web", "A"} {
		uri := servicelog.URI("/usr/lib/ros/init", service, 1<<30, 7)
		path, args := shimArgs(t, uri)
		if path != "/usr/lib/ros/init" {
			t.Errorf("path in %q is %q", uri, path)
		}
		name, limits, err := servicelog.ParseArgs(args)
		want := servicelog.Limits{MaxBytes: 1 << 30, Files: 7}
		if err != nil || name != service || limits != want {
			t.Errorf("ParseArgs(%q) = %q, %+v, %v", args, name, limits, err)
		}
	}
}

func TestParseArgs(t *testing.T) {
	for _, tt := range []struct {
		name    string
		args    []string
		service string
		limits  servicelog.Limits
		wantErr string
	}{
		{name: "bare name", args: []string{"log", "ntp"}, service: "ntp", limits: servicelog.DefaultLimits},
		{name: "zeros take the defaults", args: []string{"log", "ntp:0:0"}, service: "ntp", limits: servicelog.DefaultLimits},
		{name: "limits", args: []string{"log", "ntp:4096:2"}, service: "ntp", limits: servicelog.Limits{MaxBytes: 4096, Files: 2}},
		{name: "nothing", wantErr: `arguments are [], want log NAME[:MAXBYTES:FILES]`},
		{name: "a way out of the directory", args: []string{"log", "../passwd"},
			wantErr: `service name "../passwd" must be letters, digits, '.', '_' and '-', beginning with a letter or digit`},
		{name: "size", args: []string{"log", "ntp:1M:2"}, wantErr: `log argument is "ntp:1M:2": size "1M" is not a number of bytes`},
		{name: "files", args: []string{"log", "ntp:1:-2"}, wantErr: `log argument is "ntp:1:-2": "-2" is not a number of files`},
		{name: "two parts", args: []string{"log", "ntp:1"}, wantErr: `log argument is "ntp:1", want NAME[:MAXBYTES:FILES]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			service, limits, err := servicelog.ParseArgs(tt.args)
			msg := ""
			if err != nil {
				msg = err.Error()
			}
			if msg != tt.wantErr {
				t.Fatalf("ParseArgs(%q) error = %q, want %q", tt.args, msg, tt.wantErr)
			}
			if diff := cmp.Diff(tt.limits, limits); service != tt.service || diff != "" {
				t.Errorf("ParseArgs(%q) = %q, %+v", tt.args, service, limits)
			}
		})
	}
}

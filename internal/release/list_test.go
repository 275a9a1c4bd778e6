package release_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/release"
)

func TestParseList(t *testing.T) {
	for _, tt := range []struct {
		name, place, text string
		want              release.List
		wantErr           string
	}{
		{name: "RancherOS's", place: "https://host/os/releases.yml", text: "current: rancher/os:v1.5.6\navailable:\n  - rancher/os:v1.5.6\n  - rancher/os:v1.5.5\n",
			want: release.List{Current: "rancher/os:v1.5.6", Available: []string{"rancher/os:v1.5.6", "rancher/os:v1.5.5"}}},
		{name: "beside the list, at an address", place: "https://host/os/releases.yml", text: "current: ./v2\navailable: [../old/v1.tar]\n",
			want: release.List{Current: "https://host/os/v2", Available: []string{"https://host/old/v1.tar"}}},
		{name: "beside the list, in a folder", place: "/media/usb/releases.yml", text: "current: ./roster-v2.tar\n",
			want: release.List{Current: "/media/usb/roster-v2.tar"}},
		{name: "keys of a later form", place: "r.yml", text: "format: 2\ncurrent: host/os:v2\nstaged: {share: 10}\navailable: [host/os:v1]\n",
			want: release.List{Current: "host/os:v2", Available: []string{"host/os:v1"}}},
		{name: "a key of a later form, and nothing current", place: "r.yml", text: "channels: [a]\n", wantErr: "r.yml:1: it names no current release"},
		{name: "wrong key", place: "r.yml", text: "curent: x\n", wantErr: `r.yml:1: curent: there is no such key; did you mean "current"?`},
		{name: "wrong shapes", place: "r.yml", text: "current: [a]\navailable: b\n",
			wantErr: "r.yml:1: current: must be the reference of a release\nr.yml:2: available: must be a list of references"},
		{name: "nothing current", place: "r.yml", text: "available: [a]\n", wantErr: "r.yml:1: it names no current release"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := release.ParseList(tt.place, []byte(tt.text))
			msg := ""
			if err != nil {
				msg = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || msg != tt.wantErr {
				t.Errorf("ParseList: error %q, want %q (-want +got):\n%s", msg, tt.wantErr, diff)
			}
		})
	}
}

func TestReadList(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		if r.URL.Path != "/releases.yml" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("current: ./v2\n"))
	}))
	defer server.Close()
	l, err := release.ReadList(t.Context(), server.URL+"/releases.yml", "v1.0", nil)
	if err != nil || l.Current != server.URL+"/v2" || asked != "/releases.yml?current=v1.0" {
		t.Errorf("ReadList = %+v, %v; asked %s", l, err, asked)
	}
	_, err = release.ReadList(t.Context(), server.URL+"/none.yml", "v1.0", nil)
	if want := "cannot read the list of releases: " + server.URL + "/none.yml?current=v1.0: file does not exist"; err == nil || err.Error() != want {
		t.Errorf("ReadList error = %v, want %s", err, want)
	}
	file := filepath.Join(t.TempDir(), "releases.yml")
	if err := os.WriteFile(file, []byte("current: host/os:v3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if l, err := release.ReadList(t.Context(), file, "v1.0", nil); err != nil || l.Current != "host/os:v3" {
		t.Errorf("ReadList = %+v, %v", l, err)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("current: a\navailable: [b]\n")
	f.Add("current: ./%zz\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := release.ParseList("https://host/releases.yml", []byte(text))
		if err == nil && l.Current == "" {
			t.Errorf("no current release, and no error: %q", text)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "https://host/releases.yml:") {
			t.Errorf("error %q does not name the list", err)
		}
	})
}

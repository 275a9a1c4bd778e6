package fetch_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/fetch"
	"github.com/rosteros/ros/internal/yamldoc"
)

func TestText(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/small":
			_, _ = w.Write([]byte("a: 1\n"))
		case "/large":
			_, _ = w.Write(make([]byte, yamldoc.MaxSize+1))
		case "/broken":
			w.WriteHeader(http.StatusBadGateway)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	for _, tt := range []struct{ path, want, err string }{
		{"/small", "a: 1\n", ""},
		{"/large", "", "SERVER/large has more than 1048576 bytes"},
		{"/broken", "", "SERVER/broken answers 502 Bad Gateway"},
		{"/missing", "", "SERVER/missing: file does not exist"},
	} {
		text, err := fetch.Text(t.Context(), server.URL+tt.path, nil)
		if tt.err == "" {
			if err != nil || string(text) != tt.want {
				t.Errorf("%s: got %q, %v", tt.path, text, err)
			}
			continue
		}
		if got := strings.ReplaceAll(errText(err), server.URL, "SERVER"); got != tt.err {
			t.Errorf("%s: error %q, want %q", tt.path, got, tt.err)
		}
		if (tt.path == "/missing") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v counts as missing", tt.path, err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/osupdate"
)

// fakeWorker says back what it was asked.
type fakeWorker struct{}

func (fakeWorker) Run(_ context.Context, verb string, options []byte, emit func(osupdate.Event) error) error {
	switch verb {
	case "status":
		return emit(osupdate.Event{Event: osupdate.Result, Result: json.RawMessage(`{"running":"A"}`)})
	case "install":
		for _, e := range []osupdate.Event{
			{Event: osupdate.Progress, Step: "os image", Done: 1, Total: 2},
			{Event: osupdate.Note, Text: fmt.Sprintf("options <%s>", options)},
			{Event: osupdate.Result, Result: json.RawMessage(`{}`)},
		} {
			if err := emit(e); err != nil {
				return err
			}
		}
		return nil
	}
	return emit(osupdate.Event{Event: osupdate.Error, Error: "wrong usage: " + verb})
}

func TestOS(t *testing.T) {
	needRoot(t)
	socket, _ := serve(t)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/os", "", http.StatusOK, `{"running":"A"}` + "\n"},
		{"POST", "/v1/os/install", `{"device":"/dev/vda"}`, http.StatusOK, `{"event":"progress","step":"os image","done":1,"total":2}
{"event":"note","text":"options <{\"device\":\"/dev/vda\"}>"}
{"event":"result","result":{}}
`},
		{"POST", "/v1/os/rollback", "", http.StatusOK, `{"event":"error","error":"wrong usage: rollback"}` + "\n"},
		{"POST", "/v1/os/install", "{", http.StatusBadRequest, `{"error":"cannot read the body of the request: it is not JSON"}` + "\n"},
		{"POST", "/v1/os/install", strings.Repeat(" ", 2<<20+1), http.StatusBadRequest,
			`{"error":"cannot read the body of the request: http: request body too large"}` + "\n"},
	} {
		status, body := ask(t, socket, tt.method, tt.path, tt.body)
		if diff := cmp.Diff(tt.want, body); diff != "" || status != tt.status {
			t.Errorf("%s %s = %d, want %d (-want +got):\n%s", tt.method, tt.path, status, tt.status, diff)
		}
	}
}

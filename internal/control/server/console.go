package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
)

// Consoles does what is asked about consoles, and lets logins into the one that
// is in use.
type Consoles interface {
	List(ctx context.Context, refresh bool) []control.Console
	Do(ctx context.Context, verb string, name control.ConsoleName, say func(control.ImageStep)) error
	Enter(ctx context.Context, uid int, q control.Enter) (*containers.Session, error)
	Sudo(ctx context.Context, uid int, q control.Sudo) (*containers.Session, error)
}

// everybody may talk to the socket of logins.
const everybody = 0o666

// maxCommand is for a request with a command line in it: what one argument of a
// program can be (MAX_ARG_STRLEN), and JSON's way to write it.
const maxCommand = 1 << 20

// ListenConsole makes the socket that logins talk to.
func ListenConsole(path string) (net.Listener, error) {
	l, err := listen(path, 0)
	if err == nil {
		err = os.Chmod(path, everybody)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %q: %w", path, err)
	}
	return l, nil
}

// ServeConsole answers logins until ctx ends.
func (s *Server) ServeConsole(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.ConsoleHandler())
}

// ConsoleHandler is what logins may ask.
func (s *Server) ConsoleHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/console/enter", func(w http.ResponseWriter, r *http.Request) {
		var q control.Enter
		enter(s, w, r, &q, func(uid int) (*containers.Session, error) { return s.Consoles.Enter(r.Context(), uid, q) })
	})
	mux.HandleFunc("POST /v1/console/sudo", func(w http.ResponseWriter, r *http.Request) {
		var q control.Sudo
		enter(s, w, r, &q, func(uid int) (*containers.Session, error) { return s.Consoles.Sudo(r.Context(), uid, q) })
	})
	return jsonErrors(mux)
}

// enter connects who asks, whom the kernel names, with what is started for them.
func enter(s *Server, w http.ResponseWriter, r *http.Request, q any, start func(uid int) (*containers.Session, error)) {
	uid, known := r.Context().Value(peerKey{}).(uint32)
	if !known {
		s.answerError(w, http.StatusForbidden, errors.New("cannot say who asks"))
		return
	}
	if err := decode(w, r, q, maxCommand); err != nil {
		s.answerError(w, http.StatusBadRequest, fmt.Errorf("cannot read the body of the request: %w", err))
		return
	}
	session, err := start(int(uid))
	if err != nil {
		s.answerError(w, http.StatusConflict, err)
		return
	}
	s.talk(w, r, session, true)
}

func (s *Server) consoleRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/consoles", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, s.Consoles.List(r.Context(), r.URL.Query().Get("refresh") == "1"))
	})
	for _, verb := range []string{"switch", "enable", "reset"} {
		mux.HandleFunc("POST /v1/consoles/"+verb, s.forRoot(verb+" consoles", func(w http.ResponseWriter, r *http.Request) {
			var name control.ConsoleName
			if !s.read(w, r, &name) {
				return
			}
			w.Header().Set("Content-Type", "application/x-ndjson")
			steps := &steps{to: w, flush: http.NewResponseController(w).Flush}
			steps.end(s.Consoles.Do(r.Context(), verb, name, steps.line))
		}))
	}
}

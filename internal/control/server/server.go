// Package server is rosd's side of the conversation with ros: the routes that
// package control documents, over a unix socket.
//
// It stands apart from package control so that ros, which speaks the protocol
// without net/http, does not link net/http. It decides nothing about services:
// it asks a supervise.Supervisor and writes down the answers.
package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/supervise"
)

// maxBody bounds the body of a request; Options are a few words.
const maxBody = 64 << 10

// maxConfig is for a request with a config in it: yamldoc.MaxSize in base64.
const maxConfig = 2 << 20

// Server answers the routes. Every field must be set.
type Server struct {
	Supervisor   *supervise.Supervisor
	Machine      Machine // what Status says beside the services
	Boot         func() (bootlog.Record, error)
	Plan         func() control.Plan // what was read last
	Reload       func() control.Plan // reads the service files again
	Config       Config              // what the machine should be
	Catalog      Catalog             // service files of catalogs
	Consoles     Consoles            // where logins are
	Engines      Engines             // the user's
	Certificates Certificates        // of the engine
	Pending      func() []string     // what the config wants and the machine does not have yet; nil: nothing
	EngineLog    Log                 // of services of scope user
	OS           osupdate.Worker     // what touches disks and slots
	Images       Images              // those that are not baked
	Baked        images.Catalogue    // those that are
	Preload      func(ctx context.Context, say func(line string), step func(images.Event)) error
	Containers   Containers
	Services     string // folder of the operator's service files
	Cgroups      string // folder with a cgroup per service
	Log          *slog.Logger
}

// Listen makes the socket at path, for root and the group gid only. What
// stands there already is replaced in one step, so that nobody ever meets a
// socket with other rights.
func Listen(path string, gid int) (net.Listener, error) {
	l, err := listen(path, gid)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %q: %w", path, err)
	}
	return l, nil
}

func listen(path string, gid int) (_ net.Listener, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	temp := path + ".new"
	if err := os.RemoveAll(temp); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.Close()
			os.Remove(temp)
		}
	}()
	// The name it was bound to is not the one it will have. It stays when
	// rosd ends: a refused connection says more than a missing file.
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(temp, 0o660); err != nil {
		return nil, err
	}
	if err := os.Chown(temp, -1, gid); err != nil {
		return nil, err
	}
	return l, os.Rename(temp, path)
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.Handler())
}

func (s *Server) serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	h := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends the event streams
		ConnContext:       withPeer,
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		// Answers that are being written may be finished.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if h.Shutdown(bounded) != nil {
			h.Close()
		}
	})
	err := h.Serve(l)
	if !stop() {
		<-closed
		return nil
	}
	return fmt.Errorf("cannot serve the control socket: %w", err)
}

// Handler is the routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/services", s.services)
	mux.HandleFunc("GET /v1/services/{name}", s.service)
	mux.HandleFunc("GET /v1/services/{name}/definition", s.definition)
	mux.HandleFunc("GET /v1/services/{name}/spec", s.spec)
	for _, verb := range supervise.Verbs() {
		mux.HandleFunc("POST /v1/services/{name}/"+string(verb), s.act(verb))
	}
	mux.HandleFunc("POST /v1/reload", s.reload)
	mux.HandleFunc("GET /v1/plan", s.plan)
	mux.HandleFunc("GET /v1/boot", s.boot)
	mux.HandleFunc("GET /v1/events", s.events)
	s.configRoutes(mux)
	s.imageRoutes(mux)
	s.catalogRoutes(mux)
	s.consoleRoutes(mux)
	s.engineRoutes(mux)
	s.enginesRoutes(mux)
	s.containerRoutes(mux)
	s.osRoutes(mux)
	return jsonErrors(mux)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	record, err := s.Boot()
	if err != nil {
		// The screen that says what is wrong has to come up without it.
		record.Warnings = append(record.Warnings, err.Error())
	}
	status := s.Machine.status(record)
	for _, fault := range s.Plan().Faults {
		if fault.Service == "" { // the others stand in the list of services
			status.Warnings = append(status.Warnings, fault.Error)
		}
	}
	if s.Pending != nil {
		status.Warnings = append(status.Warnings, s.Pending()...)
	}
	status.Services = s.list()
	s.answer(w, status)
}

func (s *Server) services(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.list()) }

func (s *Server) list() []control.Service {
	services := s.Supervisor.Services()
	for i := range services {
		s.fill(&services[i])
	}
	return services
}

// fill adds what only the kernel knows.
func (s *Server) fill(service *control.Service) {
	if dir := s.cgroup(*service); dir != "" {
		service.Memory = number(dir, "memory.current") // 0: it ended just now, or its cgroup counts no memory
	}
}

func (s *Server) service(w http.ResponseWriter, r *http.Request) {
	service, err := s.Supervisor.Service(r.PathValue("name"))
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.fill(&service)
	s.answer(w, service)
}

func (s *Server) definition(w http.ResponseWriter, r *http.Request) {
	definition, err := s.Supervisor.Definition(r.Context(), r.PathValue("name"))
	if err == nil {
		definition, err = project.Shown(definition)
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.answer(w, definition)
}

func (s *Server) spec(w http.ResponseWriter, r *http.Request) {
	spec, err := s.Supervisor.Spec(r.Context(), r.PathValue("name"))
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.answer(w, json.RawMessage(spec))
}

func (s *Server) act(verb supervise.Verb) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var options control.Options
		if err := decode(w, r, &options, maxBody); err != nil {
			s.answerError(w, http.StatusBadRequest, fmt.Errorf("cannot read the body of the request: %w", err))
			return
		}
		service, err := s.Supervisor.Do(r.Context(), r.PathValue("name"), verb, options)
		if err != nil {
			s.refuse(w, err)
			return
		}
		s.fill(&service)
		s.answer(w, service)
	}
}

func (s *Server) reload(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.Reload()) }

func (s *Server) plan(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.Plan()) }

func (s *Server) boot(w http.ResponseWriter, _ *http.Request) {
	record, err := s.Boot()
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.answer(w, control.Boot{Record: record, Services: s.list()})
}

// events writes one event a line until the reader goes, rosd ends, or the
// reader falls so far behind that it is cut off.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	events, stop := s.Supervisor.Events()
	defer stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	flow := http.NewResponseController(w)
	if flow.Flush() != nil { // the reader knows by this that it misses nothing from here on
		return
	}
	out := json.NewEncoder(w)
	for {
		select {
		case e, ok := <-events:
			if !ok || out.Encode(e) != nil || flow.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// decode reads the body, which may be empty, strictly.
func decode(w http.ResponseWriter, r *http.Request, into any, bound int64) error {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, bound))
	in.DisallowUnknownFields()
	err := in.Decode(into)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	case in.More():
		return errors.New("there is more than one value")
	}
	return nil
}

func (s *Server) answer(w http.ResponseWriter, value any) { s.write(w, http.StatusOK, value) }

// refuse answers with an error and the status that fits it.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	var unknown *supervise.UnknownServiceError
	var refused *supervise.RefusedError
	var conflict *configstore.ConflictError
	switch {
	case errors.As(err, &unknown), missing(err):
		s.answerError(w, http.StatusNotFound, err)
	case errors.As(err, &refused), errors.As(err, &conflict):
		s.answerError(w, http.StatusConflict, err)
	default:
		s.answerError(w, http.StatusInternalServerError, err)
	}
}

func (s *Server) answerError(w http.ResponseWriter, status int, err error) {
	s.write(w, status, control.Error{Message: err.Error()})
}

func (s *Server) write(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		s.Log.Error("internal error: cannot write an answer as JSON", "error", err)
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal error: see the log of rosd"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // who asked may be gone
}

// jsonErrors gives the mux's own errors (no such route, wrong method) a body
// like those of all others.
func jsonErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		refused := httpRefusal{header: http.Header{}}
		mux.ServeHTTP(&refused, r)
		status := cmp.Or(refused.status, http.StatusNotFound)
		text, _ := json.Marshal(control.Error{Message: fmt.Sprintf("no route %s %s (%s)", r.Method, r.URL.Path, http.StatusText(status))})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(append(text, '\n'))
	})
}

// httpRefusal keeps only the status of an answer.
type httpRefusal struct {
	header http.Header
	status int
}

func (r *httpRefusal) Header() http.Header         { return r.header }
func (r *httpRefusal) WriteHeader(status int)      { r.status = status }
func (r *httpRefusal) Write(p []byte) (int, error) { return len(p), nil }

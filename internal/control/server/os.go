package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/rosteros/ros/internal/osupdate"
)

func (s *Server) osRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/os", s.osStatus)
	mux.HandleFunc("POST /v1/os/{verb}", s.forRoot("change the OS", s.osVerb))
}

func (s *Server) osStatus(w http.ResponseWriter, r *http.Request) {
	var status json.RawMessage
	if err := osupdate.Collect(r.Context(), s.OS, "status", nil, &status, nil); err != nil {
		s.refuse(w, err)
		return
	}
	s.answer(w, status)
}

// osVerb relays what the worker says, an event a line. The answer has begun by
// then, so that an error is an event too. When who asked goes away the worker
// is asked to end: Ctrl-C on an installation stops it.
func (s *Server) osVerb(w http.ResponseWriter, r *http.Request) {
	options, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxConfig))
	if err == nil && len(options) > 0 && !json.Valid(options) {
		err = errors.New("it is not JSON")
	}
	if err != nil {
		s.answerError(w, http.StatusBadRequest, fmt.Errorf("cannot read the body of the request: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	flow := http.NewResponseController(w)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	err = s.OS.Run(r.Context(), r.PathValue("verb"), options, func(e osupdate.Event) error {
		return errors.Join(out.Encode(e), flow.Flush())
	})
	if err != nil {
		s.Log.Info("nobody waits for the worker any more", "verb", r.PathValue("verb"), "error", err)
	}
}

package server

import (
	"context"
	"net/http"

	"github.com/rosteros/ros/internal/control"
)

// Engines does what is asked about engines. say tells the steps to who asked.
type Engines interface {
	List(ctx context.Context, refresh bool) []control.EngineEntry
	Do(ctx context.Context, verb string, ask control.EngineAsk, say func(control.ImageStep)) error
}

// engineVerbs are the verbs of Engines.Do.
var engineVerbs = []string{"switch", "enable", "create", "rm"}

func (s *Server) enginesRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/engines", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, s.Engines.List(r.Context(), r.URL.Query().Get("refresh") == "1"))
	})
	mux.HandleFunc("POST /v1/tls", s.forRoot("make certificates", s.makeCertificate))
	for _, verb := range engineVerbs {
		mux.HandleFunc("POST /v1/engines/"+verb, s.forRoot(verb+" engines", inSteps(s, func(ctx context.Context, ask control.EngineAsk, say func(control.ImageStep)) error {
			return s.Engines.Do(ctx, verb, ask, say)
		})))
	}
}

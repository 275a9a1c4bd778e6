package server

import (
	"context"
	"net/http"

	"github.com/rosteros/ros/internal/control"
)

// Catalog does what is asked about service files of catalogs. say tells the
// steps to who asked.
type Catalog interface {
	List(ctx context.Context, refresh bool) []control.CatalogEntry
	Missing(ctx context.Context, services []string) []string
	Do(ctx context.Context, verb string, names control.CatalogNames, say func(control.ImageStep)) error
}

func (s *Server) catalogRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/catalog", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, s.Catalog.List(r.Context(), r.URL.Query().Get("refresh") == "1"))
	})
	mux.HandleFunc("POST /v1/catalog/missing", func(w http.ResponseWriter, r *http.Request) {
		var names control.CatalogNames
		if s.read(w, r, &names) {
			s.answer(w, s.Catalog.Missing(r.Context(), names.Names))
		}
	})
	for _, verb := range []string{"enable", "disable", "delete", "update", "pull"} {
		mux.HandleFunc("POST /v1/catalog/"+verb, s.forRoot(verb+" services", inSteps(s, func(ctx context.Context, names control.CatalogNames, say func(control.ImageStep)) error {
			return s.Catalog.Do(ctx, verb, names, say)
		})))
	}
}

// inSteps answers a request with the steps of what it asks for.
func inSteps[T any](s *Server, do func(ctx context.Context, ask T, say func(control.ImageStep)) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var ask T
		if !s.read(w, r, &ask) {
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		steps := &steps{to: w, flush: http.NewResponseController(w).Flush}
		steps.end(do(r.Context(), ask, steps.line))
	}
}

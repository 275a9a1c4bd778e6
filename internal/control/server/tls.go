package server

import (
	"context"
	"net/http"

	"github.com/rosteros/ros/internal/control"
)

// Certificates makes those of the engine and its clients.
type Certificates func(ctx context.Context, ask control.TLSAsk) (control.TLSMade, error)

func (s *Server) makeCertificate(w http.ResponseWriter, r *http.Request) {
	var ask control.TLSAsk
	if !s.read(w, r, &ask) {
		return
	}
	made, err := s.Certificates(r.Context(), ask)
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.answer(w, made)
}

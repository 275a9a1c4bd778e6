package server

import (
	"net/http"
	"path/filepath"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
)

// usage is what the containers of the system take that run.
func (s *Server) usage(w http.ResponseWriter, r *http.Request) {
	list, err := s.allContainers(r.Context())
	if err != nil {
		s.refuse(w, err)
		return
	}
	total := s.Machine.memory("MemTotal")
	all := []control.Usage{}
	for _, c := range list {
		if c.Pid == 0 {
			continue
		}
		u := control.Usage{ID: c.ID, Stats: counted(filepath.Join(s.Cgroups, c.Name), c.Name, compose.ScopeSystem)}
		if u.MemoryLimit == 0 {
			u.MemoryLimit = total
		}
		all = append(all, u)
	}
	s.answer(w, all)
}

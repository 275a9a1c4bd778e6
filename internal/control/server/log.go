package server

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/servicelog"
)

// Log reads what a service of scope user has written.
type Log func(ctx context.Context, svc compose.Service, lines int, follow bool, emit func(servicelog.Line) error) error

func (s *Server) engineRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/services/{name}/log", s.engineLog)
	mux.HandleFunc("GET /v1/stats", s.stats)
}

func (s *Server) engineLog(w http.ResponseWriter, r *http.Request) {
	definition, err := s.Supervisor.Definition(r.Context(), r.PathValue("name"))
	if err != nil {
		s.refuse(w, err)
		return
	}
	lines, err := strconv.Atoi(r.URL.Query().Get("lines"))
	if err != nil {
		lines = 100
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flow := json.NewEncoder(w), http.NewResponseController(w)
	begun := flow.Flush() == nil
	err = s.EngineLog(r.Context(), definition, lines, r.URL.Query().Get("follow") == "1", func(line servicelog.Line) error {
		if err := out.Encode(control.LogLine{Time: line.Time, Stream: line.Stream, Text: line.Text}); err != nil {
			return err
		}
		return flow.Flush()
	})
	if err != nil && begun {
		_ = out.Encode(control.LogLine{Error: err.Error()}) // who asked may be gone
	}
}

// cgroup is the folder of a service's cgroup; "": it has none now.
func (s *Server) cgroup(service control.Service) string {
	if service.Pid == 0 {
		return ""
	}
	if service.Scope != compose.ScopeUser {
		return filepath.Join(s.Cgroups, service.Name)
	}
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(service.Pid), "cgroup"))
	path, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "0::")
	if !ok {
		return ""
	}
	return filepath.Join("/sys/fs/cgroup", path)
}

func (s *Server) stats(w http.ResponseWriter, _ *http.Request) {
	list := []control.Stats{}
	for _, service := range s.Supervisor.Services() {
		dir := s.cgroup(service)
		if dir == "" {
			continue
		}
		list = append(list, counted(dir, service.Name, service.Scope))
	}
	s.answer(w, list)
}

// counted is what the kernel counts in a cgroup.
func counted(dir, name string, scope compose.Scope) control.Stats {
	return control.Stats{
		Service: name, Scope: scope,
		CPUMicroseconds: field(dir, "cpu.stat", "usage_usec"),
		Memory:          number(dir, "memory.current"),
		MemoryLimit:     number(dir, "memory.max"),
		Pids:            number(dir, "pids.current"),
		ReadBytes:       sum(dir, "io.stat", "rbytes="),
		WrittenBytes:    sum(dir, "io.stat", "wbytes="),
	}
}

func number(dir, name string) int64 {
	text, _ := os.ReadFile(filepath.Join(dir, name))
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}

func field(dir, file, name string) int64 {
	text, _ := os.ReadFile(filepath.Join(dir, file))
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key == name {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}

func sum(dir, file, prefix string) (total int64) {
	text, _ := os.ReadFile(filepath.Join(dir, file))
	for word := range strings.FieldsSeq(string(text)) {
		if value, ok := strings.CutPrefix(word, prefix); ok {
			n, _ := strconv.ParseInt(value, 10, 64)
			total += n
		}
	}
	return total
}

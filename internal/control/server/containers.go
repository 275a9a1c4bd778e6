package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/supervise"
)

// Containers are those of the system containerd; a *containers.Runtime.
type Containers interface {
	Containers(ctx context.Context) ([]containers.Container, error)
	Run(ctx context.Context, svc compose.Service, attach, input, remove bool) (*containers.Session, error)
	StartRun(ctx context.Context, name string) error
	StopRun(ctx context.Context, name string, grace time.Duration) error
	KillRun(ctx context.Context, name, signal string) error
	RemoveRun(ctx context.Context, name string, force bool) error
	Exec(ctx context.Context, container string, c containers.Command) (*containers.Session, error)
}

func (s *Server) containerRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/containers", s.listContainers)
	mux.HandleFunc("GET /v1/containers/{name}", s.oneContainer)
	mux.HandleFunc("GET /v1/usage", s.usage)
	mux.HandleFunc("POST /v1/containers", s.forRoot("run containers", s.runContainer))
	for _, verb := range []string{"start", "stop", "restart", "kill", "rm"} {
		mux.HandleFunc("POST /v1/containers/{name}/"+verb, func(w http.ResponseWriter, r *http.Request) {
			s.actOnContainer(w, r, verb)
		})
	}
	mux.HandleFunc("POST /v1/containers/{name}/exec", s.forRoot("run programs in containers", s.exec))
}

// containerID is what scripts take for the ID of a container.
func containerID(name string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(name))) }

func (s *Server) listContainers(w http.ResponseWriter, r *http.Request) {
	list, err := s.allContainers(r.Context())
	if err != nil {
		s.refuse(w, err)
		return
	}
	for i := range list {
		list[i].Spec = nil
	}
	s.answer(w, list)
}

func (s *Server) oneContainer(w http.ResponseWriter, r *http.Request) {
	list, err := s.allContainers(r.Context())
	if err != nil {
		s.refuse(w, err)
		return
	}
	name := r.PathValue("name")
	at := slices.IndexFunc(list, func(c control.Container) bool { return c.Name == name })
	if at < 0 {
		s.refuse(w, fmt.Errorf("cannot show %q: %w", name, containers.ErrNoContainer))
		return
	}
	s.answer(w, list[at])
}

// allContainers are the containers that containerd has and the services that
// have none now, by name.
func (s *Server) allContainers(ctx context.Context) ([]control.Container, error) {
	known, err := s.Containers.Containers(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]control.Container{}
	for _, c := range known {
		all[c.Name] = fromRecord(c)
	}
	for _, service := range s.Supervisor.Services() {
		if service.Scope != compose.ScopeSystem {
			continue
		}
		c := all[service.Name]
		c.ID, c.Name, c.Image, c.Service = containerID(service.Name), service.Name, service.Image, true
		c.State, c.Reason, c.Pid, c.ExitCode = service.State, service.Reason, service.Pid, service.ExitCode
		c.StartedAt = service.StartedAt
		if service.Up() {
			c.Ports = service.Ports
		} else {
			c.FinishedAt = service.Since
		}
		if c.Created.IsZero() {
			c.Created = service.StartedAt
		}
		all[service.Name] = c
	}
	list := make([]control.Container, 0, len(all))
	for _, c := range all {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b control.Container) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// fromRecord is a container by hand; a service's is filled in from what the
// supervisor says.
func fromRecord(c containers.Container) control.Container {
	out := control.Container{
		ID: containerID(c.Name), Name: c.Name, Image: c.Image, Labels: c.Labels, Pid: c.Pid, ExitCode: c.ExitCode,
		Created: c.Created, StartedAt: c.Started, FinishedAt: c.Finished,
	}
	if c.Spec != nil {
		out.Spec, _ = json.Marshal(c.Spec)
		if c.Spec.Process != nil {
			out.Command = c.Spec.Process.Args
		}
	}
	switch {
	case c.Pid != 0:
		out.State = supervise.Running
	case c.ExitCode != nil && *c.ExitCode == 0:
		out.State = supervise.Done
	case c.ExitCode != nil:
		out.State = supervise.Failed
	default: // the machine went down under it
		out.State = supervise.Stopped
	}
	return out
}

func (s *Server) actOnContainer(w http.ResponseWriter, r *http.Request, verb string) {
	var o control.ContainerOptions
	if !s.read(w, r, &o) {
		return
	}
	name := r.PathValue("name")
	var err error
	if _, unknown := s.Supervisor.Service(name); unknown == nil {
		err = s.actOnService(r.Context(), name, verb, o)
	} else {
		err = s.actOnRun(r.Context(), name, verb, o)
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.answer(w, control.Container{Name: name, ID: containerID(name)})
}

func (s *Server) actOnService(ctx context.Context, name, verb string, o control.ContainerOptions) error {
	options := control.Options{Signal: o.Signal, TimeoutSeconds: o.TimeoutSeconds, Wait: verb != "kill"}
	if verb == "rm" && o.Force {
		if _, err := s.Supervisor.Do(ctx, name, supervise.Stop, options); err != nil {
			return err
		}
	}
	verbs := map[string]supervise.Verb{
		"start": supervise.Start, "stop": supervise.Stop, "restart": supervise.Restart, "kill": supervise.Kill, "rm": supervise.Remove,
	}
	if _, err := s.Supervisor.Do(ctx, name, verbs[verb], options); err != nil {
		return err
	}
	if verb == "rm" {
		return s.forget(name)
	}
	return nil
}

func (s *Server) actOnRun(ctx context.Context, name, verb string, o control.ContainerOptions) error {
	grace := time.Duration(-1)
	if o.TimeoutSeconds != nil {
		grace = time.Duration(*o.TimeoutSeconds) * time.Second
	}
	switch verb {
	case "start":
		return s.Containers.StartRun(ctx, name)
	case "stop":
		return s.Containers.StopRun(ctx, name, grace)
	case "restart":
		if err := s.Containers.StopRun(ctx, name, grace); err != nil {
			return err
		}
		return s.Containers.StartRun(ctx, name)
	case "kill":
		if o.Signal == "" {
			o.Signal = "SIGKILL"
		}
		return s.Containers.KillRun(ctx, name, o.Signal)
	}
	return s.Containers.RemoveRun(ctx, name, o.Force)
}

func (s *Server) runContainer(w http.ResponseWriter, r *http.Request) {
	var q control.Run
	if !s.read(w, r, &q) {
		return
	}
	list, faults := compose.Parse("run.yml", q.File, nil)
	if len(faults) > 0 {
		var all []error
		for _, f := range faults {
			all = append(all, errors.New(strings.TrimPrefix(f.Error(), "run.yml:1: ")))
		}
		s.answerError(w, http.StatusBadRequest, fmt.Errorf("cannot run it: %w", errors.Join(all...)))
		return
	}
	if len(list) != 1 || list[0].Scope != compose.ScopeSystem {
		s.answerError(w, http.StatusBadRequest, errors.New("cannot run it: there must be one service, of the system"))
		return
	}
	svc := list[0]
	if _, err := s.Supervisor.Service(svc.Name); err == nil {
		s.answerError(w, http.StatusConflict, fmt.Errorf("cannot run %q: a service has that name", svc.Name))
		return
	}
	if q.Service {
		s.runService(w, r, svc.Name, q.File)
		return
	}
	session, err := s.Containers.Run(r.Context(), svc, q.Attach, q.Input, q.Remove)
	if err != nil {
		s.refuse(w, err)
		return
	}
	if session == nil {
		s.answer(w, control.Container{Name: svc.Name, ID: containerID(svc.Name)})
		return
	}
	s.talk(w, r, session, svc.TTY)
}

// runMark begins a service file that system-docker run has made.
const runMark = "# Made by system-docker run; system-docker rm removes it.\n"

// runService makes a service of what somebody runs by hand and wants to have
// restarted.
func (s *Server) runService(w http.ResponseWriter, r *http.Request, name string, file []byte) {
	path := filepath.Join(s.Services, name+".yml")
	err := os.MkdirAll(s.Services, 0o755)
	if err == nil {
		if _, there := os.Stat(path); there == nil {
			err = fmt.Errorf("%s exists", path)
		}
	}
	if err == nil {
		err = atomicfile.WriteFile(path, append([]byte(runMark), append(file, '\n')...), 0o644)
	}
	if err == nil {
		s.Reload()
		_, err = s.Supervisor.Do(r.Context(), name, supervise.Up, control.Options{})
	}
	if err != nil {
		s.refuse(w, fmt.Errorf("cannot run %q: %w", name, err))
		return
	}
	s.answer(w, control.Container{Name: name, ID: containerID(name), Service: true})
}

// forget removes the file of a service that runService has made.
func (s *Server) forget(name string) error {
	path := filepath.Join(s.Services, name+".yml")
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), runMark) {
		return nil // somebody else's
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("cannot remove service %q: %w", name, err)
	}
	s.Reload()
	return nil
}

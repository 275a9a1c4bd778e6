package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/imagestore"
)

// Images are those of the system containerd; an *imagestore.Store.
type Images interface {
	List(ctx context.Context) ([]imagestore.Image, error)
	Get(ctx context.Context, name string) (imagestore.Image, error)
	Pull(ctx context.Context, name string, say func(imagestore.Event)) (imagestore.Image, error)
	Load(ctx context.Context, r io.Reader, total int64, say func(imagestore.Event)) ([]imagestore.Image, error)
	Save(ctx context.Context, w io.Writer, names ...string) error
	Remove(ctx context.Context, name string) (imagestore.Image, error)
	Tag(ctx context.Context, name, as string) (imagestore.Image, error)
}

func (s *Server) imageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/images", s.listImages)
	mux.HandleFunc("GET /v1/images/one", s.oneImage)
	mux.HandleFunc("POST /v1/images/pull", s.forRoot("pull images", s.pullImage))
	mux.HandleFunc("POST /v1/images/load", s.forRoot("load images", s.loadImages))
	mux.HandleFunc("POST /v1/images/save", s.forRoot("save images", s.saveImages))
	mux.HandleFunc("POST /v1/images/remove", s.forRoot("remove images", s.removeImage))
	mux.HandleFunc("POST /v1/images/tag", s.forRoot("name images", s.tagImage))
	mux.HandleFunc("POST /v1/preload", s.forRoot("load images", s.preload))
}

func (s *Server) listImages(w http.ResponseWriter, r *http.Request) {
	list, err := s.Images.List(r.Context())
	if err != nil {
		s.refuse(w, err)
		return
	}
	all := []control.Image{}
	for _, name := range s.Baked.Names() {
		all = append(all, bakedImage(s.Baked[name]))
	}
	for _, i := range list {
		all = append(all, storedImage(i))
	}
	s.answer(w, all)
}

func (s *Server) oneImage(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if baked, err := s.Baked.Find(name); err == nil {
		s.answer(w, bakedImage(baked))
		return
	}
	image, err := s.Images.Get(r.Context(), name)
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.answer(w, storedImage(image))
}

func bakedImage(i images.Image) control.Image {
	return control.Image{Name: i.Name, Digest: i.Digest, ID: i.Digest, Baked: true, Config: i.Config, Layers: i.Layers}
}

func storedImage(i imagestore.Image) control.Image {
	return control.Image{
		Name: i.Name, Digest: i.Digest, ID: i.ID, Size: i.Size, Created: i.Created,
		Architecture: i.Platform.Architecture, Config: i.Baked().Config, Labels: i.Config.Labels, Layers: i.Layers,
	}
}

// read decodes the body into a value; false says that it has been refused.
func (s *Server) read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := decode(w, r, into, maxBody); err != nil {
		s.answerError(w, http.StatusBadRequest, fmt.Errorf("cannot read the body of the request: %w", err))
		return false
	}
	return true
}

func (s *Server) pullImage(w http.ResponseWriter, r *http.Request) {
	var q control.ImageName
	if !s.read(w, r, &q) {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	steps := &steps{to: w, flush: http.NewResponseController(w).Flush}
	image, err := s.Images.Pull(r.Context(), q.Name, steps.event)
	if err == nil {
		steps.image(image)
	}
	steps.end(err)
}

func (s *Server) loadImages(w http.ResponseWriter, r *http.Request) {
	conn, in, err := takeOver(w)
	if err != nil {
		s.answerError(w, http.StatusInternalServerError, err)
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(r.Context(), func() { conn.Close() })
	defer stop()
	steps := &steps{to: conn, flush: func() error { return nil }}
	list, err := s.Images.Load(r.Context(), in, 0, steps.event)
	for _, image := range list {
		steps.image(image)
	}
	steps.end(err)
	// Closing with bytes unread would take the answer from its reader.
	_, _ = io.Copy(io.Discard, in)
}

func (s *Server) saveImages(w http.ResponseWriter, r *http.Request) {
	var q control.ImageNames
	if !s.read(w, r, &q) {
		return
	}
	for _, name := range q.Names {
		if _, err := s.Images.Get(r.Context(), name); err != nil {
			s.refuse(w, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	frames := &control.FrameWriter{W: w}
	end := control.Ending{}
	if err := s.Images.Save(r.Context(), frames.Stream(control.Output), q.Names...); err != nil {
		end = control.Ending{Code: 1, Error: err.Error()}
	}
	_ = frames.Value(control.End, end) // who asked may be gone
}

func (s *Server) removeImage(w http.ResponseWriter, r *http.Request) {
	var q control.ImageName
	if !s.read(w, r, &q) {
		return
	}
	if _, err := s.Baked.Find(q.Name); err == nil {
		s.answerError(w, http.StatusConflict, fmt.Errorf("cannot remove image %q: it is part of the OS image", q.Name))
		return
	}
	if user := s.userOf(r.Context(), q.Name); user != "" && !q.Force {
		s.answerError(w, http.StatusConflict, fmt.Errorf("cannot remove image %q: service %s needs it", q.Name, user))
		return
	}
	s.imageAnswer(w)(s.Images.Remove(r.Context(), q.Name))
}

// userOf is a service that has an image; "" if there is none.
func (s *Server) userOf(ctx context.Context, name string) string {
	image, err := s.Images.Get(ctx, name)
	if err != nil {
		return ""
	}
	services := s.Supervisor.Services()
	at := slices.IndexFunc(services, func(service control.Service) bool {
		if service.Image == "" || strings.HasPrefix(service.Image, "ros/") {
			return false
		}
		used, err := s.Images.Get(ctx, service.Image)
		return err == nil && used.Name == image.Name
	})
	if at < 0 {
		return ""
	}
	return services[at].Name
}

func (s *Server) tagImage(w http.ResponseWriter, r *http.Request) {
	var q control.ImageTag
	if s.read(w, r, &q) {
		s.imageAnswer(w)(s.Images.Tag(r.Context(), q.Name, q.As))
	}
}

func (s *Server) imageAnswer(w http.ResponseWriter) func(imagestore.Image, error) {
	return func(image imagestore.Image, err error) {
		if err != nil {
			s.refuse(w, err)
			return
		}
		s.answer(w, storedImage(image))
	}
}

func (s *Server) preload(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	steps := &steps{to: w, flush: http.NewResponseController(w).Flush}
	steps.end(s.Preload(r.Context(), steps.text, steps.event))
}

// steps writes a stream of ImageStep, a line each.
type steps struct {
	mu    sync.Mutex
	to    io.Writer
	flush func() error
}

func (s *steps) event(e imagestore.Event) { s.line(control.ImageStep{Step: &e}) }
func (s *steps) text(line string)         { s.line(control.ImageStep{Text: line}) }
func (s *steps) image(image imagestore.Image) {
	i := storedImage(image)
	s.line(control.ImageStep{Image: &i})
}
func (s *steps) line(step control.ImageStep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A reader that is gone ends what is asked for by its context.
	_ = json.NewEncoder(s.to).Encode(step)
	_ = s.flush()
}

func (s *steps) end(err error) {
	if err != nil {
		s.line(control.ImageStep{Error: err.Error()})
		return
	}
	s.line(control.ImageStep{Done: true})
}

// takeOver answers a request with nothing but headers and hands over its
// connection: what is written there and read from in is the talk's own.
func takeOver(w http.ResponseWriter) (conn net.Conn, in io.Reader, err error) {
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("internal error: %w", err)
	}
	_, err = io.WriteString(conn, "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n")
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	// The reader that comes with it ends the request's context at the end of
	// the input, which is not the end of the talk.
	early, _ := both.Peek(both.Reader.Buffered())
	return conn, io.MultiReader(bytes.NewReader(early), conn), nil
}

// missing says whether an error is that an image or a container is not there.
func missing(err error) bool {
	var image *imagestore.MissingError
	return errors.As(err, &image) || errors.Is(err, containers.ErrNoContainer)
}

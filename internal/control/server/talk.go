package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
)

func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	var q control.Exec
	if !s.read(w, r, &q) {
		return
	}
	session, err := s.Containers.Exec(r.Context(), r.PathValue("name"), containers.Command(q))
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.talk(w, r, session, true)
}

// talk connects a session with who asked for it, until its process has ended.
// When that one goes away before, the process is told so if hangUp says it.
func (s *Server) talk(w http.ResponseWriter, r *http.Request, session *containers.Session, hangUp bool) {
	defer session.Close()
	conn, in, err := takeOver(w)
	if err != nil {
		s.answerError(w, http.StatusInternalServerError, err)
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(r.Context(), func() { conn.Close() })
	defer stop()

	frames := &control.FrameWriter{W: conn}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(frames.Stream(control.Output), session.Output) })
		if session.Errors != nil {
			both.Go(func() { _, _ = io.Copy(frames.Stream(control.Errors), session.Errors) })
		}
		both.Wait()
	}()
	go func() {
		hear(ctx, in, session)
		if hangUp && ctx.Err() == nil {
			_ = session.HangUp(ctx) // it may have ended just now
		}
	}()
	end := control.Ending{}
	if end.Code, err = session.Wait(ctx); err != nil {
		end.Error = err.Error()
	}
	session.Drained(copied)
	_ = frames.Value(control.End, end) // who asked may be gone
}

// hear hands on what comes from the other side until that is gone.
func hear(ctx context.Context, in io.Reader, session *containers.Session) {
	for {
		kind, data, err := control.ReadFrame(in)
		if err != nil {
			return
		}
		switch kind {
		case control.Input:
			if session.Input != nil {
				_, _ = session.Input.Write(data) // the process may not read any more
			}
		case control.InputEnd:
			_ = session.EndInput(ctx)
		case control.Resize:
			var size control.Size
			if json.Unmarshal(data, &size) == nil {
				_ = session.Resize(ctx, size.Rows, size.Columns)
			}
		}
	}
}

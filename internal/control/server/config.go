package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/control"
)

// Config is the config of the machine, as rosd keeps it. Its methods may be
// called from any goroutine. An error that is a *configstore.ConflictError says
// that the request does not fit what there is.
type Config interface {
	View(private bool) control.ConfigView
	Preview(text []byte) control.ConfigPreview
	Write(ctx context.Context, w control.ConfigWrite) (control.ConfigApplied, error)
	Apply(ctx context.Context) (control.ConfigApplied, error)
	Confirm(ctx context.Context) (control.ConfigApplied, error)
	Rollback(ctx context.Context) (control.ConfigApplied, error)
}

const changeConfig = "change the config"

func (s *Server) configRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/config", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, s.Config.View(byRoot(r)))
	})
	mux.HandleFunc("POST /v1/config/preview", s.forRoot(changeConfig, func(w http.ResponseWriter, r *http.Request) {
		var write control.ConfigWrite
		if err := decode(w, r, &write, maxConfig); err != nil {
			s.answerError(w, http.StatusBadRequest, fmt.Errorf("cannot read the body of the request: %w", err))
			return
		}
		s.answer(w, s.Config.Preview(write.Text))
	}))
	mux.HandleFunc("POST /v1/config/write", s.forRoot(changeConfig, func(w http.ResponseWriter, r *http.Request) {
		var write control.ConfigWrite
		if err := decode(w, r, &write, maxConfig); err != nil {
			s.answerError(w, http.StatusBadRequest, fmt.Errorf("cannot read the body of the request: %w", err))
			return
		}
		if write.TrySeconds < 0 {
			s.answerError(w, http.StatusBadRequest, errors.New("try_seconds must not be negative"))
			return
		}
		s.change(w, r, func(ctx context.Context) (control.ConfigApplied, error) { return s.Config.Write(ctx, write) })
	}))
	for verb, act := range map[string]func(context.Context) (control.ConfigApplied, error){
		"apply":    s.Config.Apply,
		"confirm":  s.Config.Confirm,
		"rollback": s.Config.Rollback,
	} {
		mux.HandleFunc("POST /v1/config/"+verb, s.forRoot(changeConfig, func(w http.ResponseWriter, r *http.Request) {
			s.change(w, r, act)
		}))
	}
}

// change goes on to its end also when who asked is gone: a change of the
// network may well end the session it was asked for in.
func (s *Server) change(w http.ResponseWriter, r *http.Request, act func(context.Context) (control.ConfigApplied, error)) {
	applied, err := act(context.WithoutCancel(r.Context()))
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.answer(w, applied)
}

// forRoot keeps out everybody else. The group of the socket may look at the
// machine and run its services; who writes its config, or its disks, has all of
// it.
func (s *Server) forRoot(doing string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !byRoot(r) {
			s.answerError(w, http.StatusForbidden, errors.New("only root may "+doing))
			return
		}
		next(w, r)
	}
}

type peerKey struct{}

// withPeer keeps who is at the other end of a connection, as the kernel says.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	uid, err := peer(c)
	if err != nil {
		return ctx // nobody special
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

func byRoot(r *http.Request) bool {
	uid, known := r.Context().Value(peerKey{}).(uint32)
	return known && uid == 0
}

func peer(c net.Conn) (uid uint32, err error) {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

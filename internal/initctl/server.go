package initctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxLine bounds a request and an answer.
const maxLine = 64 << 10

// Handler obeys requests. Its methods may be called at the same time; an
// error is the answer to the client.
type Handler interface {
	// Power starts an orderly shutdown, or a forced one, and returns before
	// the machine is down.
	Power(op string, force bool) error
	// Log owns the two files from here on, also when it fails.
	Log(service string, maxBytes int64, files int, stdout, stderr *os.File) error
	// Settings: a trialDeadline of 0 leaves it as it is.
	Settings(shutdownTimeout, trialDeadline time.Duration) error
	Status() Answer
	// Trial decides the trial boot. When it returns, what it was told is on
	// the disk; a failed one is followed by a reboot.
	Trial(Trial) error
}

// Listen makes the socket. One that an earlier process left behind is
// replaced.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot listen on %q: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("cannot listen on %q: %w", path, err)
	}
	return l, nil
}

// Serve answers requests until the context ends; it closes the listener and
// waits for the answers under way.
func Serve(ctx context.Context, l *net.UnixListener, h Handler) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := l.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			// Out of descriptors or memory: it may pass, and PID 1 without a
			// socket would be deaf for good.
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("cannot serve %q: %w", l.Addr(), err)
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		conns.Go(func() { serve(conn, h) })
	}
}

func serve(conn *net.UnixConn, h Handler) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	a := answer(conn, h)
	if line, err := json.Marshal(a); err == nil {
		_, _ = conn.Write(append(line, '\n'))
	}
}

func answer(conn *net.UnixConn, h Handler) (a Answer) {
	defer func() { // one bad request must not take PID 1 with it
		if p := recover(); p != nil {
			a = Answer{Error: fmt.Sprintf("internal error: %v", p)}
		}
	}()
	if err := checkPeer(conn); err != nil {
		return Answer{Error: err.Error()}
	}
	req, files, err := receive(conn)
	handed := false
	defer func() {
		if !handed {
			closeAll(files)
		}
	}()
	if err == nil {
		err = req.Check()
	}
	if err == nil && req.Op == OpLog && len(files) != 2 {
		err = fmt.Errorf("op log wants 2 file descriptors, got %d", len(files))
	}
	if err != nil {
		return Answer{Error: err.Error()}
	}
	switch req.Op {
	case OpLog:
		handed = true
		err = h.Log(req.Service, req.MaxBytes, req.Files, files[0], files[1])
	case OpSettings:
		err = h.Settings(time.Duration(req.ShutdownTimeoutSeconds)*time.Second, time.Duration(req.TrialDeadlineSeconds)*time.Second)
	case OpStatus:
		a = h.Status()
	case OpTrial:
		err = h.Trial(*req.Trial)
	default:
		err = h.Power(req.Op, req.Force)
	}
	if err != nil {
		return Answer{Error: err.Error()}
	}
	a.OK = true
	return a
}

// checkPeer refuses everybody but our own user, whatever the socket's mode.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return fmt.Errorf("cannot tell who asks: %w", err)
	}
	if int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("user %d may not talk to PID 1", cred.Uid)
	}
	return nil
}

// receive reads the request and the files that come with it.
func receive(conn *net.UnixConn) (Request, []*os.File, error) {
	var req Request
	var files []*os.File
	var line []byte
	buf := make([]byte, 4096)
	oob := make([]byte, unix.CmsgSpace(8*4))
	for {
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		got, ferr := parseFiles(oob[:oobn])
		files = append(files, got...)
		if ferr != nil {
			return req, files, ferr
		}
		if err != nil {
			return req, files, fmt.Errorf("cannot read request: %w", err)
		}
		if n == 0 {
			return req, files, errors.New("cannot read request: it ended before its newline")
		}
		line = append(line, buf[:n]...)
		if bytes.IndexByte(buf[:n], '\n') >= 0 {
			break
		}
		if len(line) > maxLine {
			return req, files, fmt.Errorf("request is longer than %d bytes", maxLine)
		}
	}
	line, _, _ = bytes.Cut(line, []byte{'\n'})
	if err := json.Unmarshal(line, &req); err != nil {
		return req, files, fmt.Errorf("cannot read request: %w", err)
	}
	return req, files, nil
}

func parseFiles(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("cannot read file descriptors: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // credentials or the like
		}
		for _, fd := range fds {
			// Non-blocking before os.NewFile looks: then a read parks a
			// goroutine instead of a whole thread for each silent service.
			_ = unix.SetNonblock(fd, true)
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

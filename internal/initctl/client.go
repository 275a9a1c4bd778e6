package initctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// answerTime bounds a call whose context has no deadline of its own. PID 1
// answers at once or is in trouble.
const answerTime = 10 * time.Second

// Call sends one request with the files, if any, and returns the answer. An
// answer that is a refusal becomes the error.
func Call(ctx context.Context, socket string, req Request, files ...*os.File) (Answer, error) {
	a, err := call(ctx, socket, req, files)
	if err != nil {
		return Answer{}, fmt.Errorf("cannot ask PID 1 to %s: %w", req.verb(), err)
	}
	return a, nil
}

// verb makes "cannot ask PID 1 to …" a sentence.
func (r Request) verb() string {
	switch r.Op {
	case OpLog:
		return fmt.Sprintf("log service %q", r.Service)
	case OpSettings:
		return "take settings"
	case OpStatus:
		return "tell its status"
	case OpTrial:
		return "end the trial"
	}
	return r.Op
}

func call(ctx context.Context, socket string, req Request, files []*os.File) (Answer, error) {
	var a Answer
	if err := req.Check(); err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	line, err := json.Marshal(req)
	if err != nil {
		return a, err
	}
	if err := send(conn.(*net.UnixConn), append(line, '\n'), files); err != nil {
		return a, err
	}
	text, err := bufio.NewReader(io.LimitReader(conn, maxLine)).ReadBytes('\n')
	if ctx.Err() != nil {
		return a, ctx.Err()
	}
	if err != nil {
		return a, fmt.Errorf("no answer: %w", err)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("answer %q: %w", text, err)
	}
	if !a.OK {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func send(conn *net.UnixConn, line []byte, files []*os.File) error {
	if len(files) == 0 {
		_, err := conn.Write(line)
		return err
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	n, _, err := conn.WriteMsgUnix(line, unix.UnixRights(fds...), nil)
	runtime.KeepAlive(files) // an os.File that nobody refers to closes itself
	if err != nil {
		return err
	}
	if n < len(line) {
		_, err = conn.Write(line[n:])
	}
	return err
}

// Power asks for poweroff, reboot, halt or kexec. It returns as soon as PID 1
// has taken the order; the machine goes down after that.
func Power(ctx context.Context, socket, op string, force bool) error {
	_, err := Call(ctx, socket, Request{Op: op, Force: force})
	return err
}

// Log hands the read ends of a service's stdout and stderr to PID 1. When it
// returns nil, PID 1 has them and the caller may close its own and go.
func Log(ctx context.Context, socket, service string, maxBytes int64, files int, stdout, stderr *os.File) error {
	_, err := Call(ctx, socket, Request{Op: OpLog, Service: service, MaxBytes: maxBytes, Files: files}, stdout, stderr)
	return err
}

// Settings tells PID 1 what the configuration says about it. A trialDeadline
// of 0 leaves PID 1's as it is.
func Settings(ctx context.Context, socket string, shutdownTimeout, trialDeadline time.Duration) error {
	_, err := Call(ctx, socket, Request{
		Op: OpSettings, ShutdownTimeoutSeconds: seconds(shutdownTimeout), TrialDeadlineSeconds: seconds(trialDeadline),
	})
	return err
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// Status asks PID 1 how its children are.
func Status(ctx context.Context, socket string) (Answer, error) {
	return Call(ctx, socket, Request{Op: OpStatus})
}

// trialText bounds the log lines of a trial, so that the request fits.
const trialText = 32 << 10

// EndTrial tells PID 1 how the trial boot went. When it returns nil, PID 1 has
// written that down; after a failed trial the machine reboots a few seconds
// later. A boot that is no trial, and a second word that differs from the
// first, are refused, but for TrialEnded: where no trial is open there is none
// to end. Of many log lines the last are sent.
func EndTrial(ctx context.Context, socket string, t Trial) error {
	room := trialText
	for i := len(t.Lines) - 1; i >= 0; i-- {
		text, _ := json.Marshal(t.Lines[i]) // a string never fails
		if room -= len(text) + 1; room < 0 {
			t.Lines = t.Lines[i+1:]
			break
		}
	}
	_, err := Call(ctx, socket, Request{Op: OpTrial, Trial: &t})
	return err
}

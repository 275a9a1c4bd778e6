package docker

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rosteros/ros/internal/supervise"
)

// task is a container that was started.
type task struct {
	runtime    *Runtime
	id         string
	hash       string
	pid        int
	started    time.Time
	stopSignal string // of the container, from its file or its image

	lost   atomic.Bool
	exited chan struct{}
	code   int // valid once exited is closed
}

var _ supervise.Task = (*task)(nil)

func (t *task) Pid() int                { return t.pid }
func (t *task) StartedAt() time.Time    { return t.started }
func (t *task) Hash() string            { return t.hash }
func (t *task) Exited() <-chan struct{} { return t.exited }
func (t *task) ExitCode() int           { return t.code }

// Lost implements supervise.Mortal: the task did not end by itself, it went down
// with the engine.
func (t *task) Lost() bool { return t.lost.Load() }

// Signal implements supervise.Task. An empty signal is the one that stops the
// container. The engine has no call that reaches more than the main process, but
// the others die with it.
func (t *task) Signal(ctx context.Context, signal string, _ bool) error {
	if signal == "" {
		signal = "SIGTERM"
		if t.stopSignal != "" {
			signal = t.stopSignal
		}
	}
	err := t.runtime.call(ctx, "POST", "/containers/"+t.id+"/kill?signal="+url.QueryEscape(signal), nil, nil)
	var status *StatusError
	if errors.As(err, &status) && (status.Status == 404 || status.Status == 409) { // it has ended meanwhile
		return nil
	}
	return err
}

// Exec implements supervise.Task. The engine probes by itself, so this asks how
// it went. As long as nothing is known of the health it says "down": ask again
// soon, and count nothing.
func (t *task) Exec(ctx context.Context, _ []string, _ time.Duration) (int, string, error) {
	c, err := t.runtime.inspect(ctx, t.id)
	if err != nil {
		return 0, "", err
	}
	h := c.State.Health
	if h == nil {
		return 1, "neither the service file nor the image has a healthcheck", nil
	}
	switch {
	case h.FailingStreak > 0 && len(h.Log) > 0:
		last := h.Log[len(h.Log)-1]
		return max(1, last.ExitCode), strings.TrimSpace(last.Output), nil
	case h.Status == "healthy":
		return 0, "", nil
	default:
		return 0, "", supervise.Down(errors.New("the engine has not probed yet"))
	}
}

// Delete implements supervise.Task: an ended container is kept.
func (t *task) Delete(context.Context) error { return nil }

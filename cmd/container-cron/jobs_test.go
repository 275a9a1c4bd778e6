package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/docker"
)

// fake is an engine that writes down what it is told, and when.
type fake struct {
	mu     sync.Mutex
	list   []docker.Labelled
	began  time.Time
	did    []string
	change chan struct{}
}

func (f *fake) Labelled(context.Context, string) ([]docker.Labelled, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list, nil
}

func (f *fake) Act(_ context.Context, id, action string, seconds int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprintf("%v %s %s %d", time.Since(f.began), action, id, seconds))
	return nil
}

func (f *fake) Changes(ctx context.Context, changed func()) error {
	changed()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-f.change:
			if !ok {
				return errors.New("the engine has ended")
			}
			changed()
		}
	}
}

func (f *fake) set(list ...docker.Labelled) {
	f.mu.Lock()
	f.list = list
	f.mu.Unlock()
	f.change <- struct{}{}
}

func labelled(id string, labels ...string) docker.Labelled {
	l := docker.Labelled{ID: id, Name: id, Labels: map[string]string{}}
	for i := 0; i < len(labels); i += 2 {
		l.Labels[labels[i]] = labels[i+1]
	}
	return l
}

func TestJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		f := &fake{began: time.Now(), change: make(chan struct{})}
		f.list = []docker.Labelled{
			labelled("a", "cron.schedule", "*/30 * * * * *"),
			labelled("b", "cron.schedule", "0 1 * * * *", "cron.action", "restart", "cron.restart_timeout", "3"),
			labelled("c", "cron.schedule", "61 * * * * *"),
			labelled("d", "cron.schedule", "@hourly", "cron.action", "explode"),
		}
		ctx, cancel := context.WithCancel(t.Context())
		j := &jobs{engine: f, log: slog.New(slog.NewTextHandler(&said, nil)), now: time.Now}
		ended := make(chan struct{})
		go func() {
			j.run(ctx)
			close(ended)
		}()
		time.Sleep(61 * time.Second)
		f.set(labelled("b", "cron.schedule", "0 1 * * * *", "cron.action", "restart", "cron.restart_timeout", "3"),
			labelled("e", "cron.schedule", "@every 10s", "cron.action", "stop"))
		time.Sleep(15 * time.Second)
		cancel()
		<-ended
		// Two are due in the same second, and may be started in any order.
		for i, line := range f.did {
			if strings.HasPrefix(line, "1m0s restart") && i == 1 {
				f.did[1], f.did[2] = f.did[2], f.did[1]
			}
		}
		want := []string{"30s start a 10", "1m0s start a 10", "1m0s restart b 3", "1m11s stop e 10"}
		if diff := cmp.Diff(want, f.did); diff != "" {
			t.Errorf("did (-want +got):\n%s", diff)
		}
		for _, want := range []string{`second: \"61\" is not from 0 to 59`, `cron.action is \"explode\"; there are: start, restart, stop`} {
			if strings.Count(said.String(), want) != 1 {
				t.Errorf("%s is said %d times:\n%s", want, strings.Count(said.String(), want), said.String())
			}
		}
	})
}

package main

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/reaper"
)

// fakeProcess ends after a while, or by a signal that it obeys.
type fakeProcess struct {
	obeys syscall.Signal
	done  chan struct{}
	once  sync.Once
	exit  reaper.Exit
}

func newFakeProcess(life time.Duration, code int, obeys syscall.Signal) *fakeProcess {
	p := &fakeProcess{obeys: obeys, done: make(chan struct{})}
	if life > 0 {
		time.AfterFunc(life, func() { p.end(reaper.Exit{Code: code}) })
	}
	return p
}

func (p *fakeProcess) end(e reaper.Exit) { p.once.Do(func() { p.exit = e; close(p.done) }) }

func (p *fakeProcess) Pid() int              { return 7 }
func (p *fakeProcess) Done() <-chan struct{} { return p.done }
func (p *fakeProcess) Exit() reaper.Exit     { return p.exit }
func (p *fakeProcess) Signal(s syscall.Signal) error {
	if s == p.obeys {
		p.end(reaper.Exit{Code: 0})
	}
	return nil
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func never() bool  { return false }
func always() bool { return true }

func TestChildBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var starts []string
		lives := []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, time.Minute, 0, 0}
		c := newChild("containerd", quietLog(), nil, never)
		c.start = func() (process, error) {
			n := len(starts)
			starts = append(starts, time.Since(began).String())
			if n >= len(lives) {
				return newFakeProcess(0, 0, unix.SIGTERM), nil
			}
			if n == 1 {
				return nil, errors.New("no such file")
			}
			return newFakeProcess(lives[n]+time.Nanosecond, 1, unix.SIGTERM), nil
		}
		go c.keep()
		time.Sleep(10 * time.Minute)
		<-c.stop(unix.SIGTERM)
		for i := range starts { // without the nanosecond that every life takes
			d, _ := time.ParseDuration(starts[i])
			starts[i] = d.Truncate(time.Millisecond).String()
		}
		want := []string{"0s", "200ms", "600ms", "1.4s", "3s", "6.2s", "12.6s", "22.6s", "32.6s",
			"1m32.8s", "1m33.2s", "1m34s"} // after a good minute it begins anew
		if diff := cmp.Diff(want, starts); diff != "" {
			t.Errorf("starts (-want +got):\n%s", diff)
		}
	})
}

func TestChildStop(t *testing.T) {
	for _, tt := range []struct {
		name string
		life time.Duration // of the process; 0: until its signal
		when time.Duration // stop is called
		want time.Duration // stop takes
	}{
		{"running", 0, time.Second, 0},
		{"between two runs", time.Second, time.Second + 100*time.Millisecond, 0},
		{"ends by itself meanwhile", 3 * time.Second, time.Second, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				obeys := unix.SIGTERM
				if tt.want > 0 {
					obeys = 0
				}
				starts := 0
				c := newChild("rosd", quietLog(), func() (process, error) {
					starts++
					return newFakeProcess(tt.life, 0, obeys), nil
				}, always)
				go c.keep()
				time.Sleep(tt.when)
				began := time.Now()
				<-c.stop(unix.SIGTERM)
				if took := time.Since(began); took != tt.want {
					t.Errorf("stop took %s, want %s", took, tt.want)
				}
				<-c.stop(unix.SIGTERM) // again: no harm
				time.Sleep(time.Hour)
				if starts != 1 {
					t.Errorf("%d starts, want 1: it must stay down", starts)
				}
			})
		})
	}
}

func TestChildReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var proc *fakeProcess
		c := newChild("containerd", quietLog(), func() (process, error) {
			proc = newFakeProcess(0, 0, unix.SIGTERM)
			return proc, nil
		}, func() bool { return time.Since(began) > 3*time.Second })
		var runs []run
		c.ended = func(r run) { runs = append(runs, r) }
		go c.keep()
		err := c.waitReady(time.Second)
		if want := "containerd does not answer after 1s"; err == nil || err.Error() != want {
			t.Errorf("waitReady = %v, want %s", err, want)
		}
		if err := c.waitReady(time.Minute); err != nil {
			t.Errorf("waitReady = %v", err)
		}
		if s := c.status(); s.Pid != 7 || !s.Ready || s.Restarts != 0 {
			t.Errorf("status = %+v", s)
		}
		proc.end(reaper.Exit{Code: 137, Signal: unix.SIGKILL})
		synctest.Wait()
		if s := c.status(); s.Pid != 0 || s.Ready || s.Restarts != 1 || s.LastExit != "killed by SIGKILL" {
			t.Errorf("status after a kill = %+v", s)
		}
		if len(runs) != 1 || !runs[0].ready || runs[0].exit.Signal != unix.SIGKILL {
			t.Errorf("runs = %+v", runs)
		}
		<-c.stop(unix.SIGTERM)
	})
}

func TestChildThatNeverComesUpSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChild("rosd", quietLog(), func() (process, error) {
			return newFakeProcess(time.Second, 3, unix.SIGTERM), nil
		}, never)
		go c.keep()
		err := c.waitReady(10 * time.Second)
		if err == nil || !strings.Contains(err.Error(), "its last run ended with: exit status 3") {
			t.Errorf("waitReady = %v", err)
		}
		<-c.stop(unix.SIGTERM)
	})
}

package supervise_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/supervise"
)

// Who asks something of a service at the moment it is forgotten gets an answer, and
// a file that describes it again at that moment counts.
func TestAskedWhileForgotten(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, newRoom(nil))
		defer r.end()
		ntp := []supervise.Definition{service("ntp")}
		for range 300 {
			r.sup.Reload(ntp)
			synctest.Wait()
			r.sup.Reload(nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := r.sup.Do(ctx, "ntp", supervise.Stop, supervise.Options{})
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("nobody has answered")
			}
			synctest.Wait()

			r.sup.Reload(ntp)
			synctest.Wait()
			r.sup.Reload(nil)
			r.sup.Reload(ntp)
			synctest.Wait()
			if _, err := r.sup.Service("ntp"); err != nil {
				t.Fatalf("its file is there: %v", err)
			}
		}
	})
}

// Files are read again while a rosd finds out what an earlier one has left: what runs
// goes on, and is not started beside itself, and what is new can start.
func TestReloadWhileAdopting(t *testing.T) {
	dir := t.TempDir()
	record := filepath.Join(dir, "old.json")
	if err := unix.Mkfifo(record, 0o600); err != nil {
		t.Fatal(err)
	}
	room := newRoom(nil)
	if _, err := room.Start(t.Context(), service("old").Service); err != nil {
		t.Fatal(err)
	}
	sup := supervise.New(supervise.Config{Runtime: room, Dir: dir})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	ended, reread := make(chan struct{}), make(chan struct{})
	go func() { _ = sup.Run(ctx, nil); close(ended) }()
	defer func() { cancel(); <-ended }()
	told, err := os.OpenFile(record, os.O_WRONLY, 0) // waits until somebody reads it
	if err != nil {
		t.Fatal(err)
	}
	go func() { sup.Reload(nil); close(reread) }()
	select { // it may have to wait
	case <-reread:
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := told.WriteString("{}"); err != nil {
		t.Fatal(err)
	}
	if err := told.Close(); err != nil {
		t.Fatal(err)
	}
	<-reread
	<-sup.Adopted()
	sup.Reload([]supervise.Definition{service("fresh")})
	if s, err := sup.Do(ctx, "fresh", supervise.Up, supervise.Options{Wait: true}); err != nil || s.State != supervise.Running {
		t.Errorf("what is new is %s, %v", s.State, err)
	}
	if s, err := sup.Service("old"); err != nil || s.State != supervise.Running || !s.Adopted {
		t.Errorf("what ran is %s, adopted %t, %v", s.State, s.Adopted, err)
	}
}

// What no file describes any more was started by one that did: it gets the time to
// stop that Compose gives where nothing is said.
func TestServiceWithoutAFileMayStop(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		room := newRoom(map[string][]run{"db": {{stopping: 3 * time.Second}}})
		first := start(t, dir, room, service("db"))
		time.Sleep(5 * time.Second)
		first.end()
		second := start(t, dir, room)
		defer second.end()
		began := time.Now()
		if _, err := second.sup.Do(t.Context(), "db", supervise.Stop, supervise.Options{Wait: true}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it was gone after %s, want 3s", took)
		}
	})
}

// Who looks at a service whose file has a fault by now, at its log or into it, has to
// know as what it runs.
func TestDefinitionBeforeTheFault(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, newRoom(nil), service("ntp", command("chronyd")))
		defer r.end()
		const fault = "ntp.yml:1: bad"
		r.sup.Reload([]supervise.Definition{{Service: service("ntp").Service, Fault: fault}})
		synctest.Wait()
		if def, err := r.sup.Definition(t.Context(), "ntp"); err != nil || len(def.Command) != 1 {
			t.Errorf("Definition() = %+v, %v", def, err)
		}
		if _, err := r.sup.Spec(t.Context(), "ntp"); err == nil || err.Error() != fault {
			t.Errorf("Spec() error = %v, want %s", err, fault)
		}
	})
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/servicelog"
)

// shim plays containerd's side: three pipes.
type shim struct {
	stdout, stderr, ready *os.File // its ends
	files                 handoverFiles
}

func newShim(t *testing.T, socket, dir string) shim {
	t.Helper()
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		return r, w
	}
	var s shim
	s.files.socket, s.files.dir = socket, dir
	s.files.stdout, s.stdout = pipe()
	s.files.stderr, s.stderr = pipe()
	s.ready, s.files.ready = pipe()
	return s
}

func logged(t *testing.T, dir string) []string {
	t.Helper()
	lines, err := servicelog.Tail(dir, "ntp", -1)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range lines {
		all = append(all, l.Stream+" "+l.Text)
	}
	return all
}

// The whole way of a line: container, pipe, PID 1, file; the handover process
// is gone meanwhile.
func TestHandover(t *testing.T) {
	dir := t.TempDir()
	m, _ := testMachine(t)
	m.sink = servicelog.NewSink(dir, quietLog())
	socket := filepath.Join(t.TempDir(), "init.sock")
	l, err := initctl.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = initctl.Serve(ctx, l, m) })
	defer func() { cancel(); wg.Wait() }()

	s := newShim(t, socket, dir)
	if code := handover([]string{"log", "ntp:4096:2"}, s.files); code != 0 {
		t.Fatalf("handover = %d", code)
	}
	if n, err := s.ready.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("ready pipe: %d, %v, want a byte", n, err)
	}
	s.files.stdout.Close()
	s.files.stderr.Close()
	fmt.Fprint(s.stdout, "hello\nlast")
	s.stdout.Close()
	s.stderr.Close()
	m.sink.Close(time.Minute)
	if diff := cmp.Diff([]string{"stdout hello", "stdout last"}, logged(t, dir)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestHandoverWithoutPID1(t *testing.T) {
	dir := t.TempDir()
	s := newShim(t, filepath.Join(dir, "no.sock"), dir)
	code := make(chan int)
	go func() { code <- handover([]string{"log", "ntp"}, s.files) }()
	if _, err := io.ReadFull(s.ready, make([]byte, 1)); err != nil {
		t.Fatalf("ready pipe: %v", err)
	}
	fmt.Fprintln(s.stderr, "hello")
	s.stdout.Close()
	s.stderr.Close()
	if got := <-code; got != 0 {
		t.Errorf("handover = %d", got)
	}
	got := logged(t, dir)
	if len(got) != 2 || got[1] != "stderr hello" || got[0][:len("note this log is lost")] != "note this log is lost" {
		t.Errorf("log = %q", got)
	}
}

func TestHandoverOfNonsense(t *testing.T) {
	s := newShim(t, "", t.TempDir())
	if code := handover([]string{"log", "../x"}, s.files); code != 2 {
		t.Errorf("handover = %d, want 2", code)
	}
}

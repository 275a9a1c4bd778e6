package reaper_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/reaper"
)

// TestMain lets the test binary play the child: there is nothing else that is
// sure to be on the machine.
func TestMain(m *testing.M) {
	switch os.Getenv("REAPER_CHILD") {
	case "":
		os.Exit(m.Run())
	case "exit":
		code, _ := strconv.Atoi(os.Args[1])
		os.Exit(code)
	case "say":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		os.Exit(3)
	case "flood":
		fmt.Print(strings.Repeat("x", 200<<10), "the end")
		os.Exit(0)
	case "wait":
		gone := make(chan os.Signal, 1)
		signal.Notify(gone, syscall.SIGTERM)
		<-gone
	case "orphan": // leaves a child behind and tells its pid
		proc, err := os.StartProcess(os.Args[0], os.Args[:1], &os.ProcAttr{
			Env: []string{"REAPER_CHILD=gate"}, Files: []*os.File{os.Stdin, nil, nil},
		})
		if err != nil {
			os.Exit(1)
		}
		fmt.Print(proc.Pid)
		os.Exit(0)
	case "gate": // ends when its standard input does
		buf := make([]byte, 1)
		_, _ = os.Stdin.Read(buf)
		os.Exit(9)
	}
}

func start(t *testing.T) *reaper.Reaper {
	t.Helper()
	r := reaper.New()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r
}

func child(role string, args ...string) reaper.Command {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return reaper.Command{Path: self, Args: append([]string{self}, args...), Env: []string{"REAPER_CHILD=" + role}}
}

func TestExitCodesOfManyShortChildren(t *testing.T) {
	r := start(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			p, err := r.Start(child("exit", strconv.Itoa(i)))
			if err != nil {
				t.Errorf("Start: %v", err)
				return
			}
			<-p.Done()
			if got := p.Exit(); got != (reaper.Exit{Code: i}) {
				t.Errorf("child %d: exit = %+v", i, got)
			}
		})
	}
	wg.Wait()
}

func TestSignal(t *testing.T) {
	r := start(t)
	p, err := r.Start(child("wait"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatalf("Signal: %v", err)
	}
	<-p.Done()
	if got, want := p.Exit(), (reaper.Exit{Code: 137, Signal: unix.SIGKILL}); got != want {
		t.Errorf("exit = %+v, want %+v", got, want)
	}
	if got := p.Exit().String(); got != "killed by SIGKILL" {
		t.Errorf("String() = %q", got)
	}
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Errorf("Signal to an ended process: %v, want nil", err)
	}
}

func TestStartOfMissingFile(t *testing.T) {
	r := start(t)
	path := filepath.Join(t.TempDir(), "missing")
	_, err := r.Start(reaper.Command{Path: path, Args: []string{path}})
	want := fmt.Sprintf("cannot start %q: fork/exec %s: no such file or directory", path, path)
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestOutput(t *testing.T) {
	r := start(t)
	out, code, err := r.Output(t.Context(), child("say"))
	if err != nil || code != 3 || string(out) != "to stdout\nto stderr\n" {
		t.Errorf("Output = %q, %d, %v", out, code, err)
	}
	out, code, err = r.Output(t.Context(), child("flood"))
	if err != nil || code != 0 || len(out) != 64<<10 || !strings.HasSuffix(string(out), "xthe end") {
		t.Errorf("Output of a flood = %d bytes, %d, %v", len(out), code, err)
	}
}

func TestOutputIsCutShortByItsContext(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, code, err := r.Output(ctx, child("wait"))
	if !errors.Is(err, context.DeadlineExceeded) || code != 137 {
		t.Errorf("Output = %d, %v, want 137 and the context's error", code, err)
	}
}

// An orphan falls to the nearest subreaper, as it does to PID 1, and must not
// stay a zombie.
func TestOrphansAreReaped(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatalf("cannot become a subreaper: %v", err)
	}
	r := start(t)
	gate, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	said, say, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()

	c := child("orphan")
	c.Files = []*os.File{gate, say, nil}
	p, err := r.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	gate.Close()
	say.Close()
	<-p.Done()
	buf := make([]byte, 16)
	n, err := said.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(buf[:n]))
	if err != nil {
		t.Fatal(err)
	}
	if parent := parentOf(t, pid); parent != os.Getpid() {
		t.Fatalf("parent of the orphan is %d, want this process (%d)", parent, os.Getpid())
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	hold.Close() // now it ends

	// A pidfd cannot be signalled any more once its process is reaped, while
	// a zombie still takes signals.
	deadline := time.Now().Add(10 * time.Second)
	for unix.PidfdSendSignal(fd, 0, nil, 0) != unix.ESRCH {
		if time.Now().After(deadline) {
			t.Fatal("the orphan was not reaped")
		}
		time.Sleep(time.Millisecond) // a real process, not a timer: nothing to wait on
	}
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	ppid, err := strconv.Atoi(strings.Fields(rest)[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

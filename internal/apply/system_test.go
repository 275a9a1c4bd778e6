package apply_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/apply"
)

func local() apply.System { return apply.LocalSystem(nil, slog.New(slog.DiscardHandler)) }

func TestLocalSystemRun(t *testing.T) {
	t.Setenv("SECRET", "x")
	for _, tt := range []struct {
		name, script, want, wantErr string
	}{
		{"prints", "echo one; echo two", "one\ntwo\n", ""},
		{"fails and says why", "echo part; echo first >&2; echo no such disk >&2; exit 3", "part\n", "sh: exit status 3: no such disk"},
		{"fails and says nothing", "exit 1", "", "sh: exit status 1"},
		{"has none of our environment", `echo "$SECRET$HOME$PATH"`, "/usr/sbin:/usr/bin:/sbin:/bin\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := local().Run(t.Context(), "sh", "-c", tt.script)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if string(out) != tt.want || text != tt.wantErr {
				t.Errorf("Run() = %q, error %q; want %q, %q", out, text, tt.want, tt.wantErr)
			}
		})
	}
}

func TestLocalSystemRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready := filepath.Join(t.TempDir(), "ready")
	ended := make(chan error, 1)
	go func() {
		_, err := local().Run(ctx, "sh", "-c", "sleep 1000 & : >"+ready+"; wait") // a child that keeps the pipe open
		ended <- err
	}()
	for _, err := os.Stat(ready); err != nil; _, err = os.Stat(ready) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err == nil || !strings.HasPrefix(err.Error(), "sh: signal: killed") {
		t.Errorf("Run() error = %v, want that it was killed", err)
	}
}

// TestLocalSystemCalls does what it can in namespaces of its own.
func TestLocalSystemCalls(t *testing.T) {
	done := make(chan struct{})
	go func() { // the thread ends with it and takes the namespaces along
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
			t.Logf("not tested, namespaces are for root: %v", err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Errorf("cannot keep the mounts in: %v", err)
			return
		}
		s := local()
		if err := s.Sethostname("box"); err != nil {
			t.Errorf("Sethostname() error = %v", err)
		}
		var name unix.Utsname
		if err := unix.Uname(&name); err != nil || unix.ByteSliceToString(name.Nodename[:]) != "box" {
			t.Errorf("host name is %q, %v", unix.ByteSliceToString(name.Nodename[:]), err)
		}
		dir := t.TempDir()
		if err := s.Mount("none", dir, "tmpfs", unix.MS_NOSUID, "size=64k"); err != nil {
			t.Errorf("Mount() error = %v", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Error(err)
		}
		if err := s.Unmount(dir); err != nil {
			t.Errorf("Unmount() error = %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "file")); err == nil {
			t.Error("it is still mounted")
		}
		if err := s.Unmount(dir); !errors.Is(err, unix.EINVAL) {
			t.Errorf("Unmount() of nothing: error = %v, want %v", err, unix.EINVAL)
		}
		swap := filepath.Join(dir, "swap")
		for call, err := range map[string]error{"Swapon": s.Swapon(swap), "Swapoff": s.Swapoff(swap)} {
			if !errors.Is(err, unix.ENOENT) {
				t.Errorf("%s() of nothing: error = %v, want %v", call, err, unix.ENOENT)
			}
		}
		if err := s.Mount("none", dir, "nosuchfs", 0, ""); err == nil || err.Error() != `no file system of type "nosuchfs": no such device` {
			t.Errorf("Mount() of an unknown type: error = %v", err)
		}
	}()
	<-done
}

//go:build root

package containers_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

func TestServiceRunsEndsAndIsRemoved(t *testing.T) {
	m := newMachine(t)
	svc := box("hello", "sh", "-c", "cat /etc/motd; id; echo $FROM $HOME; ls -ld / /data; touch /new && echo writable; exit 7")
	svc.User = "clock"
	svc.Mounts = []compose.Mount{{Type: "tmpfs", Target: "/data"}}
	task := m.start(svc)
	if code := m.ended(task); code != 7 {
		t.Errorf("exit code = %d, want 7", code)
	}
	m.until("the log is written", func() bool { return strings.Count(m.read("hello.log"), "\n") >= 5 })
	for _, want := range []string{"box\n", "uid=1201(clock) gid=1201", "image /var/lib/clock\n", "drwxr-xr-x", "Permission denied"} {
		if got := m.read("hello.log"); !strings.Contains(got, want) {
			t.Errorf("log = %q, want %q in it", got, want)
		}
	}
	if err := task.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(m.opts.RunDir, "hello")); !os.IsNotExist(err) {
		t.Errorf("the writable layer is still there: %v", err)
	}
	if err := task.Delete(t.Context()); err != nil {
		t.Errorf("second Delete = %v", err)
	}
}

func TestWritableLayerIsNew(t *testing.T) {
	m := newMachine(t)
	svc := box("fresh", "sh", "-c", "touch /once 2>/dev/null; ls /twice; touch /twice; exit 0")
	for range 2 {
		task := m.start(svc)
		m.ended(task) // left undeleted: the second start finds its leftovers
	}
	m.until("both runs have logged", func() bool { return strings.Count(m.read("fresh.log"), "/twice: No such file") == 2 })
}

func TestStartReplacesWhatRuns(t *testing.T) {
	m := newMachine(t)
	first := m.start(box("twice"))
	second := m.start(box("twice"))
	if code := m.ended(first); code != 137 && code != 255 {
		t.Errorf("exit code of the first = %d, want 137", code)
	}
	if alive(first.Pid()) || !alive(second.Pid()) {
		t.Errorf("alive: first %v, second %v; want only the second", alive(first.Pid()), alive(second.Pid()))
	}
}

func TestReadOnlyAndLimits(t *testing.T) {
	m := newMachine(t)
	svc := box("narrow", "sh", "-c", "touch /x; touch /sys/x; touch /proc/sys/kernel/x; hostname; cat /proc/self/status; exit 0")
	svc.ReadOnly, svc.NetworkMode, svc.CapDrop = true, "none", []string{"ALL"}
	svc.CapAdd = []string{"NET_BIND_SERVICE"}
	m.ended(m.start(svc))
	m.until("the status is in the log", func() bool { return strings.Contains(m.read("narrow.log"), "voluntary_ctxt_switches") })
	got := m.read("narrow.log")
	for _, want := range []string{
		"/x: Read-only file system", "/sys/x: Read-only file system", "narrow\n", "NoNewPrivs:\t1", "Seccomp:\t2",
		"CapEff:\t0000000000000400", "CapBnd:\t0000000000000400", "CapInh:\t0000000000000000",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// Configs and secrets are where they belong, also on a tmpfs and below a root
// that cannot be written, and their owner and mode are those of the file. A new
// volume can be written by whom the image means it for.
func TestConfigsAndSecrets(t *testing.T) {
	m := newMachine(t)
	svc := box("told", "sh", "-c", "ls -ln /page /run/secrets/word; cat /page /run/secrets/word; echo x > /page; cat /run/secrets/root; busybox df -k /dev/shm; touch /vol/x && echo can write; echo end")
	svc.User, svc.ReadOnly, svc.ShmBytes = "clock", true, 8<<20
	svc.Mounts = []compose.Mount{{Type: "tmpfs", Target: "/run"}, {Type: "volume", Source: "vol", Target: "/vol"}}
	place := filepath.Join(m.dir, "layers/box/vol")
	if err := errors.Join(os.Mkdir(place, 0o700), os.Chown(place, 1201, 1201)); err != nil {
		t.Fatal(err)
	}
	svc.Files = []compose.File{
		{Source: "configs.page", Target: "/page", Mode: 0o444, Text: []byte("the page\n")},
		{Source: "secrets.word", Target: "/run/secrets/word", UID: 1201, GID: 1201, Mode: 0o400, Text: []byte("the word\n")},
		{Source: "secrets.root", Target: "/run/secrets/root", Mode: 0o400, Text: []byte("not for it\n")},
	}
	m.ended(m.start(svc))
	m.until("it has logged", func() bool { return strings.Contains(m.read("told.log"), "end\n") })
	got := m.read("told.log")
	for _, want := range []string{"-r--r--r--", "-r--------", "1201     1201", "the page\nthe word\n", "/page: Read-only file system", "/run/secrets/root': Permission denied", "8192", "can write"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if strings.Contains(got, "not for it") {
		t.Errorf("a secret of root is read by another: %s", got)
	}
}

// A privileged service has the machine's /dev, and the runtime must not tidy
// up in there: it would be everybody's.
func TestPrivilegedSharesDev(t *testing.T) {
	m := newMachine(t)
	look := func() string {
		out := ""
		for _, name := range []string{"ptmx", "null", "console", "fd", "stdin", "pts"} {
			info, err := os.Lstat("/dev/" + name)
			if err != nil {
				out += name + " missing\n"
				continue
			}
			out += name + " " + info.Mode().String() + "\n"
		}
		return out
	}
	before := look()
	svc := box("wide", "sh", "-c", "echo x >/dev/null && ls /dev >/dev/null && ls -d /dev/null; echo end")
	svc.Privileged, svc.PidMode, svc.IpcMode, svc.CgroupMode = true, "host", "host", "host"
	svc.CapDrop = []string{"SYS_RESOURCE"} // the machine that builds may not have it
	svc.Mounts = []compose.Mount{{Type: "bind", Source: "/run", Target: "/run", Propagation: "rshared"}}
	if code := m.ended(m.start(svc)); code != 0 {
		t.Errorf("exit code = %d", code)
	}
	m.until("it has logged", func() bool { return strings.Contains(m.read("wide.log"), "end\n") })
	if got := m.read("wide.log"); got != "/dev/null\nend\n" {
		t.Errorf("log = %q", got)
	}
	if after := look(); after != before {
		t.Errorf("the machine's /dev has changed from\n%sto\n%s", before, after)
	}
}

func TestCannotStart(t *testing.T) {
	m := newMachine(t)
	for _, tt := range []struct {
		name      string
		change    func(*compose.Service)
		want      string
		permanent bool
	}{
		{"image", func(s *compose.Service) { s.Image = "ros/foo" }, `cannot start service "bad": image "ros/foo" is not in this OS image (it has ros/box)`, true},
		{"program", func(s *compose.Service) { s.Command = []string{"nonesuch"} }, "nonesuch", false},
		{"user", func(s *compose.Service) { s.User = "nobody" }, `user "nobody"`, true},
		{"bind", func(s *compose.Service) {
			s.Mounts = []compose.Mount{{Type: "bind", Source: "/nonesuch", Target: "/a"}}
		}, "/nonesuch, to be mounted on /a, does not exist", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := box("bad")
			tt.change(&svc)
			_, err := m.runtime.Start(t.Context(), svc)
			if err == nil || !strings.Contains(err.Error(), tt.want) || supervise.IsPermanent(err) != tt.permanent {
				t.Errorf("Start = %v (permanent %v), want %q (%v)", err, supervise.IsPermanent(err), tt.want, tt.permanent)
			}
			t.Log(err)
			tasks, err := m.runtime.Running(t.Context())
			if err != nil || len(tasks) != 0 {
				t.Errorf("Running = %v, %v, want none", tasks, err)
			}
		})
	}
	m.ended(m.start(box("bad", "sh", "-c", "exit 0"))) // nothing is in the way
}

func TestExec(t *testing.T) {
	m := newMachine(t)
	task := m.start(box("probed"))
	for _, tt := range []struct {
		name string
		argv []string
		code int
		out  string
	}{
		{"output of both", []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, 3, "out\nerr\n"},
		{"quiet", []string{"sh", "-c", "exit 0"}, 0, ""},
		{"signal", []string{"sh", "-c", "kill -9 $$"}, 137, ""},
	} {
		code, out, err := task.Exec(t.Context(), tt.argv, 10*time.Second)
		sorted := out == tt.out || out == "err\nout\n"
		if err != nil || code != tt.code || !sorted {
			t.Errorf("%s: Exec = %d, %q, %v, want %d, %q", tt.name, code, out, err, tt.code, tt.out)
		}
	}
	code, out, err := task.Exec(t.Context(), []string{"sh", "-c", "yes | head -c 1000000; echo END"}, 20*time.Second)
	if err != nil || code != 0 || len(out) != 4096 || !strings.HasSuffix(out, "y\nEND\n") {
		t.Errorf("much output: Exec = %d, %d bytes, %v", code, len(out), err)
	}
	if _, _, err := task.Exec(t.Context(), []string{"nonesuch"}, 10*time.Second); err == nil {
		t.Error("Exec of a program that does not exist: no error")
	} else {
		t.Log(err)
	}

	before := runtime.NumGoroutine()
	for range 3 {
		_, out, err = task.Exec(t.Context(), []string{"sh", "-c", "echo begun; sleep 500; echo never"}, 300*time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "no end after 300ms") || out != "begun\n" {
			t.Errorf("slow: Exec = %q, %v", out, err)
		}
	}
	_, out, err = task.Exec(t.Context(), []string{"sh", "-c", "ls /proc | while read p; do cat /proc/$p/cmdline 2>/dev/null; echo; done"}, 10*time.Second)
	if err != nil || strings.Contains(out, "sleep\x00500") {
		t.Errorf("left running after a timeout: %q, %v", out, err)
	}
	if fifos, _ := filepath.Glob(filepath.Join(m.opts.RunDir, "probed", "probe*")); len(fifos) != 0 {
		t.Errorf("left in the run directory: %v", fifos)
	}
	m.until("the goroutines of Exec have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestRosdRestart(t *testing.T) {
	m := newMachine(t)
	first := m.start(box("kept"))
	ended := m.start(box("ended", "sh", "-c", "sleep 1; exit 5"))
	_ = m.runtime.Close()
	m.until("the second task has ended", func() bool { return !alive(ended.Pid()) })

	m.connect()
	tasks, err := m.runtime.Running(t.Context())
	if err != nil || len(tasks) != 2 {
		t.Fatalf("Running = %v, %v, want two", tasks, err)
	}
	kept := tasks["kept"]
	if kept.Pid() != first.Pid() || kept.Hash() != first.Hash() {
		t.Errorf("adopted pid %d hash %s, want %d %s", kept.Pid(), kept.Hash(), first.Pid(), first.Hash())
	}
	if d := kept.StartedAt().Sub(first.StartedAt()).Abs(); d > 2*time.Second {
		t.Errorf("adopted start differs by %v", d)
	}
	if hash, err := m.runtime.DefinitionHash(box("kept")); err != nil || hash != kept.Hash() {
		t.Errorf("DefinitionHash = %s, %v, want the adopted task's %s", hash, err, kept.Hash())
	}
	if code := m.ended(tasks["ended"]); code != 5 {
		t.Errorf("exit code of the one that ended meanwhile = %d, want 5", code)
	}
	if code, out, err := kept.Exec(t.Context(), []string{"echo", "hi"}, 10*time.Second); code != 0 || out != "hi\n" || err != nil {
		t.Errorf("Exec in an adopted task = %d, %q, %v", code, out, err)
	}
	if err := kept.Signal(t.Context(), "SIGKILL", false); err != nil {
		t.Error(err)
	}
	if code := m.ended(kept); code != 137 {
		t.Errorf("exit code = %d, want 137", code)
	}
}

func TestContainerdRestart(t *testing.T) {
	m := newMachine(t)
	kept := m.start(box("kept"))
	ends := m.start(box("ends", "sh", "-c", "sleep 1; exit 9"))
	m.killContainerd()

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	_, err := m.runtime.Running(ctx)
	cancel()
	if !supervise.IsDown(err) {
		t.Errorf("Running without containerd = %v, want one that IsDown", err)
	}
	m.until("a task has ended while containerd is down", func() bool { return !alive(ends.Pid()) })
	m.startContainerd()
	if code := m.ended(ends); code != 9 {
		t.Errorf("exit code of the one that ended meanwhile = %d, want 9", code)
	}
	select {
	case <-kept.Exited():
		t.Fatal("the restart ended a task")
	default:
	}
	if code, out, err := kept.Exec(t.Context(), []string{"echo", "hi"}, 10*time.Second); code != 0 || out != "hi\n" || err != nil {
		t.Errorf("Exec after the restart = %d, %q, %v", code, out, err)
	}
}

func TestShimDies(t *testing.T) {
	m := newMachine(t)
	task := m.start(box("orphan"))
	if err := unix.Kill(m.shim("orphan"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := m.ended(task); code != 255 {
		t.Errorf("exit code = %d, want 255", code)
	}
	if alive(task.Pid()) {
		t.Error("the process runs on although its task counts as ended")
	}
	again := m.start(box("orphan"))
	if !alive(again.Pid()) {
		t.Error("the second task does not run")
	}
}

func TestShimAndContainerdDie(t *testing.T) {
	m := newMachine(t)
	task := m.start(box("orphan"))
	shim := m.shim("orphan")
	m.killContainerd()
	if err := unix.Kill(shim, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.startContainerd()
	if code := m.ended(task); code != 255 {
		t.Errorf("exit code = %d, want 255", code)
	}
	if alive(task.Pid()) {
		t.Error("the process runs on although its task counts as ended")
	}
	m.start(box("orphan"))
}

func TestDatabaseLost(t *testing.T) {
	m := newMachine(t)
	task := m.start(box("kept"))
	m.killContainerd()
	if err := os.RemoveAll(filepath.Join(m.dir, "root")); err != nil {
		t.Fatal(err)
	}
	m.startContainerd()
	m.ended(task)
	again := m.start(box("kept"))
	if !alive(again.Pid()) || alive(task.Pid()) {
		t.Errorf("alive: old %v, new %v; want only the new", alive(task.Pid()), alive(again.Pid()))
	}
}

func TestRosdStartsBeforeContainerd(t *testing.T) {
	m := newMachine(t)
	m.killContainerd()
	_ = os.Remove(m.opts.Socket)
	m.connect()
	type result struct {
		task supervise.Task
		err  error
	}
	got := make(chan result, 1)
	go func() {
		task, err := m.runtime.Start(t.Context(), box("early"))
		got <- result{task, err}
	}()
	m.startContainerd()
	if r := <-got; r.err != nil {
		t.Fatal(r.err)
	}
}

//go:build root

package containers_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/supervise"
)

// machine is a containerd with one image, ros/box: a busybox and two users.
type machine struct {
	t       *testing.T
	dir     string // short: it holds sockets
	opts    containers.Options
	runtime *containers.Runtime
	daemon  *exec.Cmd
}

const parent = "/ros-test"

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "ros")
	if err != nil {
		t.Fatal(err)
	}
	// As on the OS: the writable layers lie on a tmpfs.
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dir: dir}
	m.opts = containers.Options{
		Socket:       filepath.Join(dir, "c.sock"),
		ImagesDir:    filepath.Join(dir, "images"),
		LayersDir:    filepath.Join(dir, "layers"),
		RunDir:       filepath.Join(dir, "roots"),
		RootsDir:     filepath.Join(dir, "lasting"),
		VolumesDir:   filepath.Join(dir, "volumes"),
		InitPath:     filepath.Join(dir, "log"),
		RuntimeRoot:  filepath.Join(dir, "oci"),
		Runtime:      os.Getenv("ROS_TEST_RUNTIME"),
		CgroupParent: parent,
		ShimCgroup:   parent + "-shims",
		Log:          slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	m.makeImage()
	m.startContainerd()
	m.connect()
	t.Cleanup(func() {
		m.stopAll()
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = os.Remove(dir)
	})
	return m
}

func (m *machine) write(path, content string, mode os.FileMode) {
	m.t.Helper()
	path = filepath.Join(m.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) makeImage() {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		m.t.Fatalf("a static busybox is needed: %v", err)
	}
	m.write("layers/base/bin/busybox", string(busybox), 0o755)
	for _, name := range []string{"sh", "sleep", "cat", "echo", "id", "ls", "mount", "touch", "kill", "yes", "head", "hostname"} {
		if err := os.Symlink("busybox", filepath.Join(m.dir, "layers/base/bin", name)); err != nil {
			m.t.Fatal(err)
		}
	}
	m.write("layers/base/etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644)
	m.write("layers/base/etc/motd", "base\n", 0o644)
	m.write("layers/box/etc/passwd", "root:x:0:0::/root:/bin/sh\nclock:x:1201:1201::/var/lib/clock:/bin/sh\n", 0o644)
	m.write("layers/box/etc/motd", "box\n", 0o644)
	m.write("images/box.json", `{"name":"ros/box","layers":["base","box"],"config":{"cmd":["sleep","1000"],"env":["FROM=image"]},"digest":"sha256:1"}`, 0o644)
	// Stands for "init log NAME": says that it is ready on 5, copies 3 and 4.
	m.write("log", "#!/bin/sh\nexec >>"+m.dir+"/${2%%:*}.log\nprintf x >&5\nexec 5>&-\ncat <&3 &\ncat <&4\nwait\n", 0o755)
}

func (m *machine) startContainerd() {
	m.t.Helper()
	bin := os.Getenv("ROS_TEST_BIN")
	m.write("containerd.toml", fmt.Sprintf("version = 3\nroot = %q\nstate = %q\n[plugins.'io.containerd.server.v1.grpc']\naddress = %q\n[plugins.'io.containerd.server.v1.ttrpc']\naddress = %q\n",
		m.dir+"/root", m.dir+"/state", m.opts.Socket, m.opts.Socket+".ttrpc"), 0o644)
	log, err := os.OpenFile(filepath.Join(m.dir, "containerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	m.daemon = exec.Command(filepath.Join(bin, "containerd"), "--config", filepath.Join(m.dir, "containerd.toml"))
	m.daemon.Stdout, m.daemon.Stderr = log, log
	if err := m.daemon.Start(); err != nil {
		m.t.Fatalf("ROS_TEST_BIN must name the directory of containerd and its shim: %v", err)
	}
}

func (m *machine) killContainerd() {
	_ = m.daemon.Process.Kill()
	_ = m.daemon.Wait()
}

// connect makes a Runtime, as a rosd does that has just started.
func (m *machine) connect() {
	m.t.Helper()
	r, err := containers.New(m.opts)
	if err != nil {
		m.t.Fatal(err)
	}
	m.runtime = r
}

func (m *machine) stopAll() {
	m.stopAllTasks()
	_ = m.runtime.Close()
	_ = m.daemon.Process.Signal(unix.SIGTERM)
	_ = m.daemon.Wait()
	for _, name := range []string{m.opts.CgroupParent, m.opts.ShimCgroup} {
		_ = os.Remove("/sys/fs/cgroup" + name)
	}
	if m.t.Failed() {
		m.t.Logf("containerd:\n%s", m.read("containerd.log"))
	}
}

func (m *machine) stopAllTasks() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tasks, err := m.runtime.Running(ctx)
	if err != nil {
		m.t.Error(err)
	}
	for _, task := range tasks {
		_ = task.Signal(ctx, "SIGKILL", true)
		select {
		case <-task.Exited():
		case <-ctx.Done():
		}
		if err := task.Delete(ctx); err != nil {
			m.t.Error(err)
		}
	}
}

func (m *machine) read(path string) string {
	b, err := os.ReadFile(filepath.Join(m.dir, path))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// until polls: what it waits for is done by other processes.
func (m *machine) until(what string, cond func() bool) {
	m.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if cond() {
			return
		}
	}
	m.t.Fatalf("not within 20 s: %s", what)
}

func (m *machine) start(svc compose.Service) supervise.Task {
	m.t.Helper()
	task, err := m.runtime.Start(m.t.Context(), svc)
	if err != nil {
		m.t.Fatal(err)
	}
	return task
}

func (m *machine) ended(task supervise.Task) int {
	m.t.Helper()
	select {
	case <-task.Exited():
	case <-time.After(20 * time.Second):
		m.t.Fatal("the task has not ended within 20 s")
	}
	return task.ExitCode()
}

// shim is the pid of the shim of a service.
func (m *machine) shim(service string) int {
	m.t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		args := strings.Split(string(b), "\x00")
		if strings.HasSuffix(args[0], "containerd-shim-runc-v2") && strings.Contains(string(b), "\x00-id\x00"+service+"\x00") &&
			strings.Contains(string(b), m.opts.Socket) {
			var pid int
			_, _ = fmt.Sscanf(f, "/proc/%d/cmdline", &pid)
			return pid
		}
	}
	m.t.Fatalf("no shim of %s", service)
	return 0
}

// alive does not count a process that has ended and waits to be reaped.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func box(name string, command ...string) compose.Service {
	return compose.Service{
		Name: name, File: "box.yml", Image: "ros/box", Command: command, NetworkMode: "host",
		// The default's hard limit may be above what the machine that builds allows.
		Ulimits:         []compose.Ulimit{{Name: "nofile", Soft: 512, Hard: 1024}},
		NoNewPrivileges: true, LogMaxBytes: 1 << 20, LogFiles: 3,
	}
}

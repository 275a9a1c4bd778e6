//go:build root

package containers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Process 1 of a service with init: true hands signals on, waits for orphans and
// ends as the program does.
func TestInit(t *testing.T) {
	m := newMachine(t)
	tini, err := os.ReadFile(filepath.Join(os.Getenv("ROS_TEST_BIN"), "../layers/docker/usr/bin/tini-static"))
	if err != nil {
		t.Fatalf("beside ROS_TEST_BIN there must be the layers of the images: %v", err)
	}
	m.write("layers/docker/usr/bin/tini-static", string(tini), 0o755)
	m.write("images/docker.json", `{"name":"ros/docker","layers":["base","docker"],"digest":"sha256:2"}`, 0o644)
	_ = m.runtime.Close()
	m.connect()
	svc := box("tidy", "sh", "-c", `busybox tr '\0' ' ' < /proc/1/cmdline; trap "echo asked; exit 9" TERM; (sleep 0 & exec sleep 0.1) & while :; do sleep 0.1; done`)
	svc.Init, svc.ReadOnly, svc.User = true, true, "clock"
	task := m.start(svc)
	m.until("it has said who is process 1", func() bool { return strings.Contains(m.read("tidy.log"), "/sbin/docker-init -- sh -c") })
	m.until("nobody is left to wait for", func() bool {
		code, out, err := task.Exec(t.Context(), []string{"sh", "-c", "cat /proc/[0-9]*/stat"}, 10*time.Second)
		return err == nil && code == 0 && !strings.Contains(out, ") Z ")
	})
	if err := task.Signal(t.Context(), "SIGTERM", false); err != nil {
		t.Fatal(err)
	}
	if code := m.ended(task); code != 9 || !strings.Contains(m.read("tidy.log"), "asked") {
		t.Errorf("exit code = %d, log %q", code, m.read("tidy.log"))
	}
}

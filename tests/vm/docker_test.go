//go:build vm

package vm

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// applets are the names that the test image gives its one program.
var applets = []string{"sh", "sleep", "echo", "true", "cat", "grep"}

// importBusybox makes the image busybox in the guest's Docker, from the static
// busybox that the OS has for its rescue shell: the right architecture, and
// nothing to download.
func (g *guest) importBusybox(t *testing.T) {
	t.Helper()
	r := g.try(t, "sudo cat /proc/1/root/usr/bin/busybox", nil)
	if r.Code != 0 || r.Stdout == "" {
		t.Fatalf("cannot read the OS's busybox: exit code %d: %s", r.Code, r.Stderr)
	}
	var image bytes.Buffer
	if err := busyboxTar(&image, []byte(r.Stdout)); err != nil {
		t.Fatal(err)
	}
	g.feed(t, `docker import --change 'CMD ["/bin/sh"]' - busybox`, &image)
}

func checkDockerRun(t *testing.T, g *guest) {
	g.importBusybox(t)
	if out := g.sh(t, "docker run --rm busybox echo hello from a container"); out != "hello from a container" {
		t.Errorf("docker run printed %q", out)
	}
	// The default network, too: a container has an address and a resolver.
	if out := g.sh(t, "docker run --rm busybox cat /etc/resolv.conf"); !strings.Contains(out, "nameserver") {
		t.Errorf("no nameserver in a container's resolv.conf: %q", out)
	}
}

// checkRemoveAll removes every container that Docker shows. No service of the
// OS may be among them.
func checkRemoveAll(t *testing.T, g *guest) {
	before := g.settle(t)
	for i := range 2 {
		g.sh(t, fmt.Sprintf("docker run -d --name victim%d busybox sleep 100000", i))
	}
	g.sh(t, "docker rm -f $(docker ps -aq)")
	if left := g.sh(t, "docker ps -aq"); left != "" {
		t.Errorf("docker ps -aq after removing all: %q", left)
	}
	sameServices(t, before, g.settle(t))
}

// userContainer is what must not change about a container while OS services
// come and go.
func (g *guest) userContainer(t *testing.T) string {
	t.Helper()
	return g.sh(t, "docker inspect -f '{{.State.Status}} since {{.State.StartedAt}} pid {{.State.Pid}} restarts {{.RestartCount}}' keep")
}

// sleepers are the processes of the user container, asked without Docker.
func sleepers(all []process) []int {
	var pids []int
	for _, p := range all {
		if strings.HasSuffix(p.cmdline, "sleep 987654") && strings.HasPrefix(p.cgroup, "/docker/") {
			pids = append(pids, p.pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func busyboxTar(to *bytes.Buffer, program []byte) error {
	w := tar.NewWriter(to)
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return err
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	for _, name := range applets {
		err := w.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777})
		if err != nil {
			return err
		}
	}
	return w.Close()
}

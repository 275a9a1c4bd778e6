//go:build vm

package vm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/control"
)

// victim is a process whose death must harm nobody else.
type victim struct {
	name string
	// find picks its processes.
	find func([]process) []process
	// services end with it and come back; nobody else may.
	services []string
}

var victims = []victim{
	{"containerd", func(all []process) []process { return ofRole(all, "/containerd", "containerd") }, nil},
	{"rosd", func(all []process) []process { return ofRole(all, "/rosd", "rosd") }, nil},
	{"shim", func(all []process) []process { return shimOf(all, "cron") }, []string{"cron"}},
	{"dockerd", func(all []process) []process {
		return slices.DeleteFunc(slices.Clone(all), func(p process) bool { return p.name != "dockerd" })
	}, []string{"docker"}},
	{"docker-containerd", func(all []process) []process {
		return slices.DeleteFunc(slices.Clone(all), func(p process) bool {
			return p.name != "containerd" || !strings.HasPrefix(p.cgroup, "/services/docker-containerd")
		})
	}, []string{"docker-containerd"}},
}

// shimOf finds the shim of a service.
func shimOf(all []process, service string) []process {
	return slices.DeleteFunc(slices.Clone(all), func(p process) bool {
		return p.cgroup != "/shims" || !strings.HasPrefix(p.name, "containerd-shim") || !strings.Contains(p.cmdline+" ", " -id "+service+" ")
	})
}

// checkKills kills one part of the OS after the other, each on a machine that
// was put back to the snapshot.
func checkKills(t *testing.T, g *guest, snapshot string) {
	for _, v := range victims {
		g.step(t, "kill-"+v.name, func(t *testing.T) {
			g.restore(t, snapshot)
			checkKill(t, g, v)
		})
	}
	g.step(t, "console-restart", func(t *testing.T) {
		g.restore(t, snapshot)
		checkConsoleRestart(t, g)
	})
}

func checkKill(t *testing.T, g *guest, v victim) {
	services := g.settle(t)
	container := g.userContainer(t)
	all := g.processes(t)
	sleeping := sleepers(all)
	if len(sleeping) != 1 {
		t.Fatalf("the user container has the processes %v, want one", sleeping)
	}
	old := v.find(all)
	if len(old) != 1 {
		t.Fatalf("%d processes are %s, want 1: %v", len(old), v.name, old)
	}

	g.sh(t, fmt.Sprintf("sudo kill -9 %d", old[0].pid))

	g.eventually(t, stepPatience, func() error {
		now := v.find(g.processes(t))
		if len(now) != 1 || now[0].pid == old[0].pid {
			return fmt.Errorf("%s was killed as process %d; now it is %v", v.name, old[0].pid, now)
		}
		return nil
	})
	g.settle(t)
	// A wrong reaction may come late: look again after a while.
	time.Sleep(5 * time.Second)
	sameServices(t, services, g.settle(t), v.services...)
	if now := sleepers(g.processes(t)); !slices.Equal(now, sleeping) {
		t.Errorf("processes of the user container: %v, were %v", now, sleeping)
	}
	if now := g.userContainer(t); now != container {
		t.Errorf("user container is %s, was %s", now, container)
	}
	g.sh(t, "wait-for-docker && docker exec keep true && docker run --rm busybox true")
	checkContainment(t, g)
}

// sameServices compares what runs now with what ran before: a service that is
// not in but must have the same process still.
func sameServices(t *testing.T, before, now map[string]control.Service, but ...string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		b, n := before[name], now[name]
		switch changed := b.Pid != n.Pid || b.Restarts != n.Restarts; {
		case slices.Contains(but, name) && b.Pid == n.Pid:
			t.Errorf("service %s still has process %d: it should have died and come back", name, n.Pid)
		case !slices.Contains(but, name) && changed:
			t.Errorf("service %s: process %d after %d restarts, was process %d after %d", name, n.Pid, n.Restarts, b.Pid, b.Restarts)
		}
	}
	if len(now) != len(before) {
		t.Errorf("%d services, were %d", len(now), len(before))
	}
}

// checkConsoleRestart restarts the console from an ssh session, which must
// live on, as must the user's containers.
func checkConsoleRestart(t *testing.T, g *guest) {
	services := g.settle(t)
	container := g.userContainer(t)
	// A shell with a state of its own, open across the restart.
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	session := make(chan error, 1)
	go func() {
		r, err := g.ssh.Run(ctx, "mine=1; while [ ! -e /tmp/restarted ]; do sleep 1; done; echo still $mine", nil)
		if err == nil && strings.TrimSpace(r.Stdout) != "still 1" {
			err = fmt.Errorf("the session ended with %d and printed %q", r.Code, r.Stdout)
		}
		session <- err
	}()

	g.Console.Skip()
	g.sh(t, "ros service restart console")
	g.expect(t, loginPrompt, stepPatience)
	sameServices(t, services, g.settle(t), "console")
	if now := g.userContainer(t); now != container {
		t.Errorf("user container is %s, was %s", now, container)
	}
	g.sh(t, "touch /tmp/restarted")
	if err := <-session; err != nil {
		t.Error(errors.Join(errors.New("the ssh session did not live on"), err))
	}
}

//go:build vm

package vm

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/control"
	oci "github.com/rosteros/ros/tests/registry"
	"github.com/rosteros/ros/tests/vm/qemu"
)

// held is a registry that lets those wait who ask for some images.
type held struct {
	on    atomic.Bool
	asked chan struct{} // somebody waits
}

func hold(reg *oci.Registry) *held {
	h := &held{asked: make(chan struct{}, 100)}
	reg.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if !h.on.Load() || !strings.Contains(r.URL.Path, "/team/held") {
			return false
		}
		h.asked <- struct{}{}
		<-r.Context().Done() // until the other end is gone
		return true
	}
	return h
}

// heldFile is a service whose image is the registry's.
const heldFile = `services:
  held: {image: "HOST/team/held-service:1", restart: always, x-ros: {scope: system}}
`

// killedMidway kills rosd while it takes a console and a service in: first while
// it waits for the registry, when nothing may have changed, then at other
// moments, when it may have been done or not, but not by half.
func killedMidway(t *testing.T, g *guest, reg *oci.Registry, host string) {
	h := hold(reg)
	defer func() { reg.Fault = nil }()
	reg.Add("team/held:1", g.consoleImage(t, "held"))
	reg.Add("team/held-service:1", g.shellImage(t, "held"))
	g.feed(t, "cat > held.yml", strings.NewReader(strings.ReplaceAll(heldFile, "HOST", host)))
	const service = "sudo ros service enable /home/rancher/held.yml"
	console := "sudo ros console switch -f " + host + "/team/held:1"
	for _, command := range []string{console, service} {
		before := g.consoleState(t)
		h.on.Store(true)
		r := g.whileRosdIsKilled(t, command, func() {
			select {
			case <-h.asked:
			case <-time.After(stepPatience):
				t.Errorf("%s: the registry was not asked", command)
			}
		})
		h.on.Store(false)
		if r.Code != 3 || !strings.Contains(r.Stderr, "rosd went away meanwhile") {
			t.Errorf("%s while rosd was killed: exit code %d: %s%s", command, r.Code, r.Stdout, r.Stderr)
		}
		if after := g.consoleState(t); after != before {
			t.Errorf("%s, rosd killed: the machine is not as it was. Before:\n%s\nafter:\n%s", command, before, after)
		}
	}
	for _, delay := range []time.Duration{time.Second, 3 * time.Second, 5 * time.Second} {
		g.whileRosdIsKilled(t, console, func() { time.Sleep(delay) })
		g.wholeConsole(t, delay)
		g.whileRosdIsKilled(t, service, func() { time.Sleep(delay) })
		g.wholeService(t, delay)
	}
	g.try(t, console, nil)
	g.logIn(t)
	g.eventually(t, stepPatience, func() error { return g.shows(t, "ros console current; cat /etc/says", "held-1\nheld") })
	g.sh(t, service)
	g.try(t, "sudo ros console switch -f default", nil)
	g.logIn(t)
	g.eventually(t, stepPatience, func() error { return g.shows(t, "ros console current", "default") })
	g.sh(t, "sudo ros service delete /home/rancher/held.yml")
}

// whileRosdIsKilled runs a command, kills rosd at some moment of it, and waits
// until rosd is back and the services are as they should be.
func (g *guest) whileRosdIsKilled(t *testing.T, command string, moment func()) qemu.Result {
	t.Helper()
	g.logIn(t)
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	other, err := g.SSH(ctx, "rancher", g.lab.key)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ended := make(chan qemu.Result, 1)
	go func() {
		r, _ := other.Run(ctx, command, nil) // it may end with the console
		ended <- r
	}()
	moment()
	g.try(t, "sudo kill -9 $(pgrep -xo rosd)", nil)
	r := <-ended
	g.logIn(t)
	g.settle(t)
	return r
}

// wholeConsole looks that logins are where ros says that they are.
func (g *guest) wholeConsole(t *testing.T, delay time.Duration) {
	t.Helper()
	g.eventually(t, stepPatience, func() error {
		g.logIn(t)
		out := g.sh(t, "ros console current; cat /etc/says 2>/dev/null; sudo ros config get rancher.console; ros service ps -q | grep ^console-; true")
		switch strings.Join(strings.Fields(out), " ") {
		case "default", "default default", "held-1 held held-1 console-held-1":
			return nil
		}
		return fmt.Errorf("rosd killed %v after a switch began: %q", delay, out)
	})
	g.try(t, "sudo ros console switch -f default", nil)
	g.logIn(t)
	g.eventually(t, stepPatience, func() error { return g.shows(t, "ros console current", "default") })
}

// wholeService looks that a service runs if it is said to be enabled, and is not
// there if not.
func (g *guest) wholeService(t *testing.T, delay time.Duration) {
	t.Helper()
	g.eventually(t, stepPatience, func() error {
		all, err := g.services(t)
		if err != nil {
			return err
		}
		enabled := strings.Contains(strings.Join(strings.Fields(g.sh(t, "ros service list -a")), " "), "enabled /home/rancher/held.yml")
		s, there := all["held"]
		if enabled != there || there && s.State != control.Running {
			return fmt.Errorf("rosd killed %v after enable began: enabled %v, the service is there: %v, %s %s", delay, enabled, there, s.State, s.Reason)
		}
		return nil
	})
	g.try(t, "sudo ros service delete /home/rancher/held.yml", nil)
	g.eventually(t, stepPatience, func() error { // it may still be stopping
		return g.shows(t, "sudo ls /var/lib/rancher/enabled; ros service ps -q | grep -x held; true", "")
	})
}

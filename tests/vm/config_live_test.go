//go:build vm

package vm

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/tests/vm/live"
)

// trialLength is how long a change that cuts us off lasts.
const trialLength = 20 * time.Second

// livePatience is how long a change may take to show; docker starts anew for
// some of them.
const livePatience = 90 * time.Second

// liveCore is how many of the cases make test goes through; all take more than
// ten minutes.
const liveCore = 12

// liveRun makes the changes of live.yml.
type liveRun struct {
	*guest
	before map[string]string // what each look printed before its change
}

// checkLive sets every key that takes effect at once, looks, applies everything
// once more, which must do nothing, and takes it all back. A container of the
// user's goes on all the while.
func checkLive(t *testing.T, g *guest) {
	r := startRegistry(t)
	key := newHostKey(t)
	g.feed(t, "cat > /tmp/ca.pem", strings.NewReader(r.ca))
	g.feed(t, "cat > /tmp/cert.pem", strings.NewReader(r.cert))
	g.feed(t, "cat > /tmp/key.pem", strings.NewReader(r.key))
	cases, err := live.Cases(map[string]string{
		"KEY": strings.TrimSpace(g.lab.key.Authorized), "REGISTRY": r.address, "CA": r.ca, "CERT": r.cert, "CERTKEY": r.key,
		"HOSTKEY": key.private, "FINGERPRINT": key.fingerprint,
	})
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("ROS_TEST_ALL") != "1" {
		cases = cases[:liveCore]
	}
	container := g.sh(t, "docker run -d --name keep busybox sleep 987654")
	l := &liveRun{guest: g, before: map[string]string{}}
	var made []live.Case
	for _, c := range cases {
		if !c.Alone && !c.Cuts {
			l.set(t, c)
			made = append(made, c)
		}
	}
	l.applyAgain(t)
	if now := g.sh(t, "docker inspect -f '{{.Id}} {{.State.Running}}' keep"); now != container+" true" {
		t.Errorf("the user container is %s, was %s", now, container)
	}
	for i := range made {
		l.takeBack(t, made[len(made)-1-i])
	}
	g.settle(t)
	for _, c := range cases {
		switch {
		case c.Cuts:
			l.trial(t, c)
		case c.Alone:
			l.set(t, c)
			l.applyAgain(t)
			l.takeBack(t, c)
		}
	}
	g.settle(t)
}

func (l *liveRun) applyAgain(t *testing.T) {
	t.Helper()
	if again := l.sh(t, "sudo ros config apply"); !strings.Contains(again, "nothing on the machine had to change") {
		t.Errorf("ros config apply, with nothing new: %s", again)
	}
}

// look runs the commands of a case, all in one go: over ssh each by itself would
// take most of the time.
func (l *liveRun) look(t *testing.T, looks []live.Look) []string {
	t.Helper()
	var script strings.Builder
	for _, look := range looks {
		fmt.Fprintf(&script, "{ %s\n}; printf '\\036'\n", look.Run)
	}
	printed := strings.Split(l.try(t, script.String(), nil).Stdout, "\x1e")
	for len(printed) < len(looks) {
		printed = append(printed, "")
	}
	for i := range printed {
		printed[i] = strings.TrimSpace(printed[i])
	}
	return printed
}

// set makes the changes of a case and looks at what came of them.
func (l *liveRun) set(t *testing.T, c live.Case) {
	t.Helper()
	for i, printed := range l.look(t, c.Looks)[:len(c.Looks)] {
		l.before[c.Looks[i].Run] = printed
	}
	for _, s := range c.Set {
		if c.Drops {
			l.dropAfter(t, setCommand(t, "set", s))
		} else if r := l.try(t, setCommand(t, "set", s), nil); r.Code != 0 {
			t.Errorf("ros config set %s: exit code %d\n%s%s", s.Key, r.Code, r.Stdout, r.Stderr)
			return
		}
	}
	l.wait(t, c.Set[0].Key+" is set", c.Looks, func(look live.Look) string { return look.Prints })
}

// takeBack unsets a case and looks again.
func (l *liveRun) takeBack(t *testing.T, c live.Case) {
	t.Helper()
	var names []string
	for _, s := range c.Set {
		names = append(names, quote(s.Key))
	}
	if unset := "sudo ros config unset " + strings.Join(names, " "); c.Drops {
		l.dropAfter(t, unset)
	} else if r := l.try(t, unset, nil); r.Code != 0 {
		t.Errorf("ros config unset %s: exit code %d\n%s%s", names, r.Code, r.Stdout, r.Stderr)
	}
	l.wait(t, c.Set[0].Key+" is unset", c.Looks, func(look live.Look) string {
		if look.After != nil {
			return *look.After
		}
		return l.before[look.Run]
	})
}

// wait looks until all shows what it should; a case that does not costs none of
// the others.
func (l *liveRun) wait(t *testing.T, when string, looks []live.Look, want func(live.Look) string) {
	t.Helper()
	until := time.Now().Add(l.lab.build.Timeout(livePatience))
	for {
		var wrong []string
		for i, printed := range l.look(t, looks)[:len(looks)] {
			if want := want(looks[i]); printed != want {
				wrong = append(wrong, fmt.Sprintf("%s: %q, want %q", looks[i].Run, printed, want))
			}
		}
		if wrong == nil {
			return
		}
		if time.Now().After(until) {
			t.Errorf("%s:\n%s", when, strings.Join(wrong, "\n"))
			return
		}
		time.Sleep(time.Second)
	}
}

// trial makes a change that cuts us off, sees that it does, and waits until the
// machine has taken it back.
func (l *liveRun) trial(t *testing.T, c live.Case) {
	t.Helper()
	for _, s := range c.Set {
		l.hangUpAfter(t, setCommand(t, fmt.Sprintf("set --try %s", trialLength), s))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if client, err := l.SSH(ctx, "rancher", l.lab.key); err == nil {
			t.Errorf("%s is set, and ssh still answers", s.Key)
			client.Close()
		}
		cancel()
		l.logIn(t)
	}
}

// dropAfter runs a command whose connection may end before it does, and logs in
// anew. What it did the looks show.
func (l *liveRun) dropAfter(t *testing.T, command string) {
	t.Helper()
	ctx, cancel := l.within(time.Minute)
	defer cancel()
	_, _ = l.ssh.Run(ctx, command, nil)
	l.hangUp()
	l.logIn(t)
}

func setCommand(t *testing.T, verb string, s live.Setting) string {
	t.Helper()
	value, err := s.Text()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sudo ros config %s %s %s", verb, quote(s.Key), quote(value))
}

// quote makes a text one word of a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

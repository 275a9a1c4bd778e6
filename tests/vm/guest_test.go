//go:build vm

package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/tests/vm/qemu"
)

const (
	bootPatience = 8 * time.Minute // from power-on to the last service; TCG on a busy machine
	stepPatience = 4 * time.Minute // for anything else
)

// loginPrompt is what a getty says; with autologin the name follows it.
var loginPrompt = regexp.MustCompile(`login:`)

// lab is what all machines of an architecture share.
type lab struct {
	build  qemu.Build
	system qemu.System
	arch   string
	key    qemu.Key
}

func openLab(t *testing.T, arch string) lab {
	t.Helper()
	build, err := qemu.FindBuild()
	if err != nil {
		t.Fatal(err)
	}
	system, err := build.System(arch)
	if err != nil {
		t.Fatal(err)
	}
	key, err := qemu.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return lab{build, system, arch, key}
}

// guest is a machine under test.
type guest struct {
	*qemu.Machine
	lab     lab
	ssh     *qemu.Client     // nil before login and without a network
	allowed []*regexp.Regexp // crashes that this machine was provoked into
	scanned qemu.Mark        // the console up to here was searched
}

// direct is a machine that starts the system's kernel without firmware, with
// the ISO in its drive.
func (l lab) direct(extra ...string) qemu.Config {
	words := append([]string{l.system.Cmdline, l.system.Console, "panic=10", "loglevel=5"}, extra...)
	return qemu.Config{
		Kernel: l.system.Kernel, Initrd: l.system.Initrd, ISO: l.system.ISO,
		Cmdline: strings.Join(words, " "),
	}
}

// start powers a machine on. Unless it has no network it gets a seed disk with
// our ssh key. It ends with the test.
func (l lab) start(t *testing.T, cfg qemu.Config) *guest {
	t.Helper()
	return l.startWith(t, cfg, "cidata", map[string]string{
		"meta-data": "instance-id: test\n",
		"user-data": "#cloud-config\nhostname: tested\nssh_authorized_keys:\n  - " + l.key.Authorized + "\n",
	})
}

// startWith is start with another disk that has the config.
func (l lab) startWith(t *testing.T, cfg qemu.Config, label string, files map[string]string) *guest {
	t.Helper()
	seed := filepath.Join(t.TempDir(), "seed.iso")
	if err := l.build.ConfigDisk(seed, label, files); err != nil {
		t.Fatal(err)
	}
	cfg.RawDisks = append(cfg.RawDisks, seed)
	return l.startAlone(t, cfg)
}

// startAlone is start without any disk that has a config.
func (l lab) startAlone(t *testing.T, cfg qemu.Config) *guest {
	t.Helper()
	cfg.Arch = l.arch
	cfg.Name = strings.ReplaceAll(strings.TrimPrefix(t.Name(), "TestBoot/"), "/", "-")
	m, err := l.build.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{Machine: m, lab: l}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the whole console is in %s", m.LogFile)
		}
		g.hangUp()
		m.Stop()
	})
	return g
}

// allow says that lines that match are provoked by this test and no crash.
func (g *guest) allow(expr ...string) {
	for _, e := range expr {
		g.allowed = append(g.allowed, regexp.MustCompile(e))
	}
}

// step is a subtest, with a search for crashes behind it. It says whether the
// subtest passed.
func (g *guest) step(t *testing.T, name string, run func(t *testing.T)) bool {
	t.Helper()
	return t.Run(name, func(t *testing.T) {
		defer g.scan(t)
		run(t)
	})
}

// scan searches what is new on the console, and the logs inside when we are
// logged in, for crashes.
func (g *guest) scan(t *testing.T) {
	t.Helper()
	from := g.scanned
	g.scanned = g.Console.Mark()
	if err := qemu.ScanError("the console", g.Console.Since(from), g.allowed...); err != nil {
		t.Error(err)
	}
	if g.ssh == nil {
		return
	}
	for source, command := range map[string]string{
		"the kernel log":       "sudo dmesg",
		"the logs of services": `sudo sh -c 'cd /var/log/ros && grep -E "panic: |fatal error: |goroutine [0-9]+ \[|[Ss]egmentation fault" *.log; true'`,
	} {
		ctx, cancel := g.within(stepPatience)
		r, err := g.ssh.Run(ctx, command, nil)
		cancel()
		switch {
		case err != nil:
			t.Errorf("cannot read %s: %v", source, err)
		case r.Code != 0:
			t.Errorf("cannot read %s: %s", source, r.Stderr)
		default:
			if err := qemu.ScanError(source, r.Stdout, g.allowed...); err != nil {
				t.Error(err)
			}
		}
	}
}

func (g *guest) within(d time.Duration) (context.Context, context.CancelFunc) {
	d = g.lab.build.Timeout(d)
	return context.WithTimeoutCause(context.Background(), d, fmt.Errorf("waited %v", d))
}

// expect waits for a line on the console and returns what matched of it.
func (g *guest) expect(t *testing.T, re *regexp.Regexp, patience time.Duration) string {
	t.Helper()
	ctx, cancel := g.within(patience)
	defer cancel()
	found, err := g.Console.Expect(ctx, re)
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

// logIn opens the ssh connection anew.
func (g *guest) logIn(t *testing.T) {
	t.Helper()
	g.hangUp()
	ctx, cancel := g.within(bootPatience)
	defer cancel()
	client, err := g.SSH(ctx, "rancher", g.lab.key)
	if err != nil {
		t.Fatal(err)
	}
	g.ssh = client
}

func (g *guest) hangUp() {
	if g.ssh != nil {
		g.ssh.Close()
		g.ssh = nil
	}
}

// restore puts the machine back to a snapshot and logs in again.
func (g *guest) restore(t *testing.T, snapshot string) {
	t.Helper()
	g.hangUp()
	if err := g.Load(snapshot); err != nil {
		t.Fatal(err)
	}
	g.logIn(t)
}

// try runs a command over ssh and returns what it did.
func (g *guest) try(t *testing.T, command string, stdin io.Reader) qemu.Result {
	t.Helper()
	if g.ssh == nil { // after a step that failed
		t.Fatalf("%s: not logged in", command)
	}
	ctx, cancel := g.within(stepPatience)
	defer cancel()
	r, err := g.ssh.Run(ctx, command, stdin)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sh runs a command over ssh that must succeed and returns what it printed.
func (g *guest) sh(t *testing.T, command string) string {
	t.Helper()
	return g.feed(t, command, nil)
}

// feed is sh with something on the command's standard input.
func (g *guest) feed(t *testing.T, command string, stdin io.Reader) string {
	t.Helper()
	r := g.try(t, command, stdin)
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\nstdout: %s\nstderr: %s", command, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// eventually asks until the answer is nil, and fails with the last answer.
func (g *guest) eventually(t *testing.T, patience time.Duration, ask func() error) {
	t.Helper()
	ctx, cancel := g.within(patience)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-g.Ended():
			t.Fatal(errors.Join(err, errors.New("the machine ended")))
		case <-ctx.Done():
			t.Fatalf("%v: %v", context.Cause(ctx), err)
		case <-time.After(time.Second):
		}
	}
}

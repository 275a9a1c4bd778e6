package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/reaper"
)

// errRescueAsked is the failure of the phase rescue, which is no failure.
var errRescueAsked = errors.New("the kernel command line asks for rescue")

// rescueOnPurpose ends the boot before it touches a disk, when asked to.
func rescueOnPurpose(m *machine) (string, error) {
	if m.rescueAsked() {
		return "", errRescueAsked
	}
	return "", errNothingToDo
}

func (m *machine) rescueAsked() bool {
	return m.line.Flag("rancher.rescue") || m.line.Flag("rancher.recovery") || m.line.Flag("rescue")
}

// fail reports what the boot cannot go on without and opens the rescue
// shells, or ends the trial that this boot is. While shells are open, another failure is only reported.
func (m *machine) fail(err error) {
	var pe *phaseError
	maybe := errors.As(err, &pe) && (pe.phase == "containerd" || pe.phase == "rosd")
	if pe == nil { // a phase has reported its own
		m.out.say(warning, fmt.Sprintf("FAIL %v", err))
	}
	if m.endsTrial(pe, err) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shells != nil {
		m.maybe = m.maybe && maybe
		return
	}
	ctx, cancel := context.WithCancel(m.ctx)
	m.shells, m.maybe = cancel, maybe
	m.wg.Go(func() { m.rescue(ctx, err) })
}

// recovered closes the rescue shells when they were opened only because
// containerd or rosd did not come up, and now both have: the login prompts need
// the consoles.
func (m *machine) recovered() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shells == nil || !m.maybe || !m.containerd.wasReady() || !m.rosd.wasReady() {
		return
	}
	m.shells()
	m.shells = nil
	m.log.Info("the boot goes on, rescue shells closed")
}

// closeShells ends them because the machine goes down.
func (m *machine) closeShells() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shells != nil {
		m.shells()
		m.shells = nil
	}
}

// rescue keeps a shell open on every console until the context ends.
func (m *machine) rescue(ctx context.Context, why error) {
	_, err := m.callPhase(phase{name: "rescue root", run: rescueRoot})
	if err != nil && !errors.Is(err, errNoImage) {
		m.log.Warn("rescue without the OS image", "error", err)
	}
	m.out.flush(time.Second)
	hint := rescueHint(why, m.spec.text, err == nil, blockdev.Local())
	if err == nil {
		_ = os.WriteFile(rescueText, []byte(hint), 0o600) // there is a console too
		m.guard("rescue network", func() { m.rescueNetwork(ctx) })
	}
	var shells sync.WaitGroup
	for _, path := range consoleDevices("/sys", "/dev") {
		if path == "/dev/tty0" {
			path = "/dev/tty1" // a shell needs a terminal of its own, not "the one in front"
		}
		shells.Go(func() { m.rescueShell(ctx, path, hint) })
	}
	shells.Wait()
}

// describeDevices says what can be seen, for a person who looks for one that
// is missing.
func describeDevices(host blockdev.Host) []string {
	devices, err := host.List()
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	for _, d := range devices {
		text := fmt.Sprintf("%s %s", d.Path, byteSize(d.Size))
		if c, err := blockdev.Probe(d.Path); err == nil {
			if c.Type != "" {
				text += " " + c.Type
			}
			if c.Label != "" {
				text += " LABEL=" + c.Label
			}
		}
		if d.PartLabel != "" {
			text += " PARTLABEL=" + d.PartLabel
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return []string{"none"}
	}
	return all
}

func byteSize(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// rescueShell runs one shell after the other on a console.
func (m *machine) rescueShell(ctx context.Context, console, hint string) {
	for ctx.Err() == nil {
		p, err := m.startShell(console, hint)
		if err != nil {
			m.log.Error("no rescue shell", "console", console, "error", err)
		} else {
			select {
			case <-p.Done():
			case <-ctx.Done():
				// The shell is a session of its own: its jobs go with it.
				_ = unix.Kill(-p.Pid(), unix.SIGKILL)
				_ = p.Signal(unix.SIGKILL)
				<-p.Done()
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (m *machine) startShell(console, hint string) (*reaper.Process, error) {
	busybox, err := findBusybox("/bin/busybox", "/usr/bin/busybox")
	if err != nil {
		return nil, err
	}
	tty, err := os.OpenFile(console, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	t := terminal{path: console} // gives up on a stopped terminal
	t.write(strings.ReplaceAll(hint, "\n", "\r\n"))
	t.close()
	shell := reaper.Command{
		Path:  busybox,
		Args:  []string{busybox, "sh", "-l"},
		Env:   []string{"PATH=" + path, "HOME=/", "TERM=linux", `PS1=rescue \w # `},
		Dir:   "/",
		Files: []*os.File{tty, tty, tty},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0},
	}
	p, err := m.reap.Start(shell)
	if err != nil {
		// A console that cannot be a controlling terminal: without Ctrl-C then.
		shell.Sys = &syscall.SysProcAttr{Setsid: true}
		p, err = m.reap.Start(shell)
	}
	return p, err
}

func findBusybox(paths ...string) (string, error) {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("no busybox at %s", strings.Join(paths, " or "))
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/initctl"
)

// power is the order that the machine is under. There is one at most: once a
// machine goes down it goes down, and only a forced order is heard after that.
type power struct {
	orders chan order

	mu      sync.Mutex
	going   string // "" while the machine is up
	timeout time.Duration
}

// order is what to do with the machine: one of the initctl power operations.
type order struct {
	op    string
	force bool
}

func newPower() *power {
	return &power{orders: make(chan order, 1), timeout: shutdownTimeout}
}

// give takes an order, or refuses it when one is being carried out.
func (p *power) give(o order) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.going != "" && !o.force {
		return fmt.Errorf("already going down (%s)", p.going)
	}
	p.going = o.op
	select {
	case p.orders <- o:
	default:
		if o.force { // the order before it is not taken up yet: replace it
			select {
			case <-p.orders:
			default:
			}
			p.orders <- o
		}
	}
	return nil
}

func (p *power) setTimeout(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timeout = d
}

func (p *power) state() (going string, timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.going, p.timeout
}

// signals that are orders. SIGTERM, SIGUSR1 and SIGUSR2 are what busybox
// sends; SIGPWR is the UPS daemon's; SIGINT is Ctrl-Alt-Del.
func orderOf(sig os.Signal) order {
	switch sig {
	case unix.SIGPWR, unix.SIGUSR2:
		return order{op: initctl.OpPoweroff}
	case unix.SIGUSR1:
		return order{op: initctl.OpHalt}
	}
	return order{op: initctl.OpReboot}
}

// watchdogInterval is how often the watchdog is fed; its timeout is several
// times that.
const watchdogInterval = 10 * time.Second

// obey carries out orders and feeds the watchdog. Both stand in one loop, so
// that a PID 1 that hears no orders any more is reset by the hardware.
func (m *machine) obey() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGPWR, unix.SIGUSR1, unix.SIGUSR2)
	tick := time.NewTicker(watchdogInterval)
	defer tick.Stop()
	for {
		select {
		case sig := <-signals:
			if err := m.power.give(orderOf(sig)); err != nil {
				m.log.Warn("signal passed over", "signal", sig.String(), "error", err)
			}
		case o := <-m.power.orders:
			m.guard("shutdown", func() { m.carryOut(o) })
		case <-tick.C:
			m.feedWatchdog()
		}
	}
}

// carryOut takes the machine down. It returns only when the kernel refuses.
func (m *machine) carryOut(o order) {
	_, timeout := m.power.state()
	m.stopTrial(o)
	if o.force {
		m.out.say(warning, fmt.Sprintf("%s at once", o.op))
		_ = within(5*time.Second, func() error { unix.Sync(); return nil })
	} else {
		m.out.say(warning, fmt.Sprintf("%s: stopping everything, for at most %s", o.op, timeout))
		m.closeShells()
		m.shutdown(timeout).run()
	}
	command := rebootCommand(o.op, kexecLoaded)
	m.letGoOfWatchdog(command)
	m.out.say(warning, o.op+": now")
	m.out.flush(time.Second)
	err := unix.Reboot(command)
	if command == unix.LINUX_REBOOT_CMD_KEXEC { // nothing is left to go back to, and GRUB starts the same
		err = errors.Join(err, unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
	}
	m.fail(fmt.Errorf("cannot %s: %w", o.op, err))
}

const kexecLoaded = "/sys/kernel/kexec_loaded"

// rebootCommand is what reboot(2) is asked for.
func rebootCommand(op, loaded string) int {
	switch op {
	case initctl.OpPoweroff:
		return unix.LINUX_REBOOT_CMD_POWER_OFF
	case initctl.OpHalt:
		return unix.LINUX_REBOOT_CMD_HALT
	case initctl.OpKexec:
		// Without a kernel to jump to the call would fail, when nothing is left
		// that could be gone back to.
		if text, _ := os.ReadFile(loaded); strings.TrimSpace(string(text)) == "1" {
			return unix.LINUX_REBOOT_CMD_KEXEC
		}
	}
	return unix.LINUX_REBOOT_CMD_RESTART
}

// stopper is a child as shutdown sees it.
type stopper interface {
	stop(sig syscall.Signal) (ended <-chan struct{})
}

// shutdown takes everything down in order: rosd stops the services and ends,
// containerd ends, what is left is killed, and then the steps.
type shutdown struct {
	timeout    time.Duration
	rosd       stopper // nil: was never started
	containerd stopper
	busy       func() []string // services with a process left
	terminate  func()          // SIGTERM to those
	kill       func()          // SIGKILL to everything but PID 1
	giveBack   func() error    // of a trial: its try; nil: nothing
	steps      []step
	say        func(text string)
}

// step is something to do when no other process is left.
type step struct {
	name string
	run  func() error
}

const (
	reportInterval  = 5 * time.Second // between two lines of what is waited for
	lookInterval    = 50 * time.Millisecond
	orphanGrace     = 10 * time.Second // for services when rosd is no help
	containerdGrace = 5 * time.Second
	stepTime        = 10 * time.Second
)

// run never takes longer than the timeout plus the bounds of what follows.
func (s *shutdown) run() {
	began := time.Now()
	if s.rosd != nil {
		s.await(s.rosd.stop(unix.SIGPWR), began, s.timeout)
	}
	// rosd is gone, or stuck. What it should have stopped gets the signal now.
	if left := s.timeout - time.Since(began); len(s.busy()) > 0 && left > 0 {
		s.say("services left by rosd: " + strings.Join(s.busy(), ", "))
		s.terminate()
		s.awaitIdle(began, min(left, orphanGrace))
	}
	if names := s.busy(); len(names) > 0 {
		s.say("killing what did not stop in time: " + strings.Join(names, ", "))
	}
	if s.containerd != nil {
		select {
		case <-s.containerd.stop(unix.SIGTERM):
		case <-time.After(containerdGrace):
		}
	}
	s.kill()
	if s.giveBack != nil {
		if err := within(rearmTime+stepTime, s.giveBack); err != nil {
			s.say(fmt.Sprintf("this release will not be tried again: %v", err))
		}
	}
	for _, step := range s.steps {
		if err := within(stepTime, step.run); err != nil {
			s.say(fmt.Sprintf("cannot %s: %v", step.name, err))
		}
	}
}

// await waits for rosd and tells what it waits for.
func (s *shutdown) await(ended <-chan struct{}, began time.Time, bound time.Duration) {
	last := time.Now().Add(bound)
	end := time.After(bound)
	report := time.NewTicker(reportInterval)
	defer report.Stop()
	for {
		select {
		case <-ended:
			return
		case <-end:
			s.say(fmt.Sprintf("rosd has not ended after %s", bound))
			return
		case <-report.C:
			s.report(began, last)
		}
	}
}

// awaitIdle waits until no service has a process.
func (s *shutdown) awaitIdle(began time.Time, bound time.Duration) {
	last := time.Now().Add(bound)
	end := time.After(bound)
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	report := time.NewTicker(reportInterval)
	defer report.Stop()
	for len(s.busy()) > 0 {
		select {
		case <-end:
			return
		case <-report.C:
			s.report(began, last)
		case <-look.C:
		}
	}
}

// report says what is waited for, unless the wait ends at this moment.
func (s *shutdown) report(began, last time.Time) {
	if !time.Now().Before(last) {
		return
	}
	waiting := strings.Join(s.busy(), ", ")
	if waiting == "" {
		waiting = "rosd"
	}
	s.say(fmt.Sprintf("waiting for %s (%.0f of %.0f s)", waiting, time.Since(began).Seconds(), s.timeout.Seconds()))
}

// within runs f but waits for it no longer than the bound: a dead disk must
// not keep a machine from going down.
func within(bound time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("internal error: %v", v)
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(bound):
		return fmt.Errorf("not done after %s", bound)
	}
}

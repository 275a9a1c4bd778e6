package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rosteros/ros/internal/compose"
)

const (
	// A service that ended is started again after firstBackoff, then after
	// twice as long each time up to lastBackoff. A run of steadyAfter starts
	// the count again.
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 30 * time.Second
	steadyAfter  = 10 * time.Second

	// downRetry is the time between tries while containerd does not answer.
	downRetry = 500 * time.Millisecond

	// startTimeout bounds one Runtime.Start, probeMargin what an Exec may take
	// beyond the healthcheck's own timeout, cleanTimeout one Delete or Remove.
	startTimeout = 2 * time.Minute
	probeMargin  = 5 * time.Second
	cleanTimeout = 30 * time.Second

	// killAgain is the time between SIGKILLs to a task that does not go.
	killAgain = 2 * time.Second
)

// machine is the life of one service:
//
//	waiting ──▶ starting ──▶ running              without a healthcheck
//	   ▲           │    └──▶ healthy ◀─▶ unhealthy    with one
//	   │           ▼            │
//	   │   ended: one-shot with 0 ──▶ done
//	   │          policy says no  ──▶ failed
//	   │          else            ──▶ backoff ──▶ starting
//	   └── stopping ──▶ stopped      (operator, shutdown; restart goes back to waiting)
//
// The conditions of depends_on hold between waiting and starting. A restart by
// the policy does not look at them again, as in Compose.
//
// Each event is a method that switches on the state; only transition changes
// it. All of them run in the one goroutine of run. What takes time (the
// runtime's calls) runs beside it and comes back as an event.
type machine struct {
	sup   *Supervisor
	name  string
	inbox *inbox

	// What should run.
	def       compose.Service
	startable bool   // def can be started: it came from a sound file once
	fault     string // why its file cannot be used now; "" when it can
	gone      bool   // no file describes it any more

	// What is.
	now          Service
	next         State         // while stopping: what comes after it
	grace        time.Duration // while stopping: until SIGKILL
	failure      cause         // while failed: whose fault it is
	leaving      bool          // the machine is being shut down
	task         Task
	launching    bool // Runtime.Start is under way
	cancelLaunch context.CancelFunc
	cleaned      chan struct{} // closed when nothing is left of the last task
	health       *health       // of task; nil without a healthcheck
	ranWith      string        // Task.Hash of the last task
	failures     int           // runs in a row that ended before steadyAfter

	// One timer at most; a transition takes it away.
	timer *time.Timer
	turn  int
}

// transition moves the service to another state, or to the same one for
// another reason, and lets everybody know.
func (m *machine) transition(to State, reason string) {
	from := m.now.State
	m.clearTimer()
	m.now.State = to
	m.now.Reason = reason
	m.now.WaitingFor = nil
	m.now.Since = time.Now()
	if to != Backoff {
		m.now.NextStart = time.Time{}
	}
	if to != Failed {
		m.failure = noFailure
	}
	switch to {
	case Starting:
		if m.now.BootStart == 0 {
			m.now.BootStart = m.sup.cfg.Uptime()
		}
	case Running, Healthy, Done:
		if m.now.BootReady == 0 {
			m.now.BootReady = m.sup.cfg.Uptime()
		}
	}
	m.logTransition(from)
	m.remember()
	m.sup.publish(m)
	m.sup.events.send(Event{Time: m.now.Since, Type: "state", Service: m.name, From: from, To: to, Reason: reason})
}

// resume is the first event: what the last rosd of this boot wrote down and
// what runs now become the state. A running task is never touched, whatever
// its definition says by now; "up" does that.
func (m *machine) resume(last record, task Task) {
	m.now.Restarts, m.now.ExitCode, m.ranWith = last.Restarts, last.ExitCode, last.Hash
	m.now.BootStart, m.now.BootReady = last.BootStart, last.BootReady
	switch {
	case task != nil && (last.State == Stopping || last.State == Stopped):
		m.task = task
		m.terminate(cmp.Or(last.Next, Stopped), m.def.StopGracePeriod)
		m.watch(task)
	case task != nil:
		m.now.Adopted = true
		m.now.Changed = m.changed(task.Hash())
		m.transition(Starting, "")
		m.hold(task, last.State == Healthy)
		m.look() // perhaps the machine is being shut down
	case m.gone: // its file went while nobody knew what runs
		m.transition(Stopped, "")
	case !m.startable:
		m.fail(ofFile, m.fault)
	case last.settled():
		if last.State == Failed {
			m.failure = ofItself
		}
		m.transition(last.State, last.Reason)
		m.now.Since = last.Since
		m.remember()
		m.sup.publish(m)
	case last.State == Stopping && last.Next == Stopped:
		m.transition(Stopped, "")
	default:
		m.look()
	}
}

// look is the event that a service this one depends on, or one that depends on
// this, has changed; or that there is any other reason to look again.
func (m *machine) look() {
	switch m.now.State {
	case Waiting:
		m.consider()
	case Failed:
		if m.failure == ofDependency {
			m.consider()
		}
	case Starting, Running, Healthy, Unhealthy:
		if m.leaving {
			m.leaveInTurn()
		}
	}
}

// consider starts the service if its dependencies let it.
func (m *machine) consider() {
	if !m.sup.mayStart() {
		return
	}
	v := judge(m.def.DependsOn, m.sup.look)
	if v.failed == "" && len(v.waitsFor) == 0 && m.def.StartLast && m.sup.othersFirst() {
		v.waitsFor = []string{"the others to start"}
	}
	switch {
	case v.failed != "":
		if m.now.State != Failed || m.now.Reason != v.failed {
			m.fail(ofDependency, v.failed)
		}
	case len(v.waitsFor) > 0:
		if m.now.State != Waiting {
			m.transition(Waiting, "")
		}
		m.waitFor(v.waitsFor...)
	default:
		m.begin()
	}
}

func (m *machine) begin() {
	m.transition(Starting, "")
	m.launch()
}

// launch calls Runtime.Start beside the machine; launched is the answer.
func (m *machine) launch() {
	ctx, cancel := context.WithCancel(m.sup.ctx)
	def, cleaned, ticket := m.def, m.cleaned, m.sup.gate.enter(m.sup.weight(m.name))
	m.launching, m.cancelLaunch = true, cancel
	start := func() (Task, error) {
		defer ticket.leave()
		if err := waitClosed(ctx, cleaned); err != nil {
			return nil, err
		}
		if err := ticket.wait(ctx); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		return m.sup.cfg.Runtime.Start(ctx, def)
	}
	m.sup.wg.Go(func() {
		defer cancel()
		task, err := start()
		m.inbox.post(func() { m.launched(task, err) })
	})
}

// launched is the event that Runtime.Start came back.
func (m *machine) launched(task Task, err error) {
	m.launching = false
	switch m.now.State {
	case Starting:
		switch {
		case err == nil:
			m.fresh(task)
		case IsDown(err):
			// Not the service's doing: no restart is counted.
			m.awaitRuntime()
		case IsNotYet(err):
			m.waitFor(marked(err))
			m.after(downRetry, m.launch)
		case IsPermanent(err):
			m.fail(ofItself, err.Error())
		default:
			m.ended(false, err.Error())
		}
	case Stopping: // it was stopped while it was being created
		if err != nil {
			m.stopped()
			return
		}
		m.watch(task)
		m.endTask()
	}
}

// hold takes charge of a task, new or adopted.
func (m *machine) hold(task Task, knownHealthy bool) {
	m.watch(task)
	if m.def.Healthcheck == nil {
		m.health = nil
		m.transition(Running, m.note())
		return
	}
	m.health = newHealth(*m.def.Healthcheck, time.Now())
	m.now.WaitingFor = nil
	m.sup.publish(m) // those that wait for service_started may go on
	switch {
	case knownHealthy:
		m.health.passed = true
		m.transition(Healthy, "")
		m.probe()
	case m.now.Adopted:
		m.probe()
	default:
		m.after(m.health.next(time.Now()), m.probe)
	}
}

// watch makes the end of the task an event.
func (m *machine) watch(task Task) {
	m.task, m.ranWith = task, task.Hash()
	m.now.Pid, m.now.StartedAt, m.now.ExitCode = task.Pid(), task.StartedAt(), nil
	m.sup.wg.Go(func() {
		if waitClosed(m.sup.ctx, task.Exited()) != nil {
			return
		}
		code := task.ExitCode()
		why := exitText(code)
		if v, _ := m.sup.look(m.name); code != 0 && v.State != Stopping {
			why += m.sup.lastWords(m.name, task.StartedAt())
		}
		m.inbox.post(func() { m.exited(task, code, why) })
	})
}

// probe runs the healthcheck beside the machine; probed is the answer.
func (m *machine) probe() {
	task, check := m.task, m.health.check
	m.sup.wg.Go(func() {
		if !m.sup.waitedFor(m.name) {
			m.sup.gate.pass(m.sup.ctx)
		}
		ctx, cancel := context.WithTimeout(m.sup.ctx, check.Timeout+probeMargin)
		defer cancel()
		began := time.Now()
		code, output, err := task.Exec(ctx, check.Test, check.Timeout)
		cost := time.Since(began)
		m.inbox.post(func() { m.probed(task, cost, code, output, err) })
	})
}

// probed is the event that a probe of the healthcheck came back.
func (m *machine) probed(task Task, cost time.Duration, code int, output string, err error) {
	if task != m.task {
		return // of an earlier run
	}
	switch m.now.State {
	case Starting, Healthy, Unhealthy:
	default:
		return
	}
	now := time.Now()
	m.health.cost = cost
	switch {
	case IsDown(err):
		m.after(downRetry, m.probe)
		return
	case err == nil && code == 0:
		m.health.pass()
		if m.now.State != Healthy {
			m.transition(Healthy, "")
		}
	default:
		m.health.fail(now)
		reason := fmt.Sprintf("healthcheck failed %s: %s", times(m.health.failures), probeText(code, output, err))
		switch {
		case m.health.hopeless() && m.def.Restart.Mode != compose.RestartNo && !m.leaving:
			m.now.Reason = reason
			m.terminate(Backoff, m.def.StopGracePeriod)
			return
		case m.health.unhealthy() && m.now.State != Unhealthy:
			m.transition(Unhealthy, reason)
		}
	}
	m.after(m.health.next(now), m.probe)
}

// exited is the event that the task has ended.
func (m *machine) exited(task Task, code int, why string) {
	m.task, m.health = nil, nil
	m.now.Pid, m.now.ExitCode = 0, &code
	m.cleaned = make(chan struct{})
	if time.Since(m.now.StartedAt) >= steadyAfter {
		m.failures = 0
	}
	switch m.now.State {
	case Starting, Running, Healthy, Unhealthy:
		if lost(task) && !m.leaving {
			m.transition(Waiting, "")
			m.look()
			break
		}
		m.ended(code == 0, why)
	case Stopping:
		m.stopped()
	}
	// Only now, when what it came to is written down: if rosd died in between,
	// the task would be gone and a one-shot would run a second time.
	m.clean(task, m.cleaned)
}

// ended decides what follows a run that nobody asked to end, or a start that
// went wrong.
func (m *machine) ended(success bool, why string) {
	policy := m.def.Restart
	switch {
	case success && m.def.OneShot():
		m.transition(Done, "")
	case m.leaving:
		m.transition(Stopped, why)
	case !m.startable:
		m.fail(ofFile, m.fault)
	case policy.Mode == compose.RestartNo:
		m.fail(ofItself, why)
	case policy.Mode == compose.RestartOnFailure && policy.MaxRetries > 0 && m.failures >= policy.MaxRetries:
		m.fail(ofItself, fmt.Sprintf("%s (given up after %d restarts)", why, m.failures))
	default:
		m.retry(why)
	}
}

// fail leaves the service to others: what has to change before it can start
// is not in its hands.
func (m *machine) fail(of cause, reason string) {
	m.failure = of
	m.transition(Failed, reason)
}

// retry starts the service again after a while.
func (m *machine) retry(reason string) {
	delay := min(firstBackoff<<min(m.failures, 16), lastBackoff)
	m.failures++
	m.now.NextStart = time.Now().Add(delay)
	m.transition(Backoff, reason)
	m.after(delay, m.backoffElapsed)
}

// backoffElapsed is the event that a service has waited long enough.
func (m *machine) backoffElapsed() {
	switch m.now.State {
	case Backoff:
		m.now.Restarts++
		m.begin()
	}
}

// terminate asks the task to end; next is the state after that.
func (m *machine) terminate(next State, grace time.Duration) {
	m.next, m.grace = next, grace
	m.transition(Stopping, m.now.Reason)
	switch {
	case m.task != nil:
		m.endTask()
	case m.launching:
		m.cancelLaunch()
	default:
		m.stopped()
	}
}

func (m *machine) endTask() {
	m.signal(m.task, m.def.StopSignal, false)
	m.after(m.grace, m.graceElapsed)
}

// graceElapsed is the event that a stopping task has had its time.
func (m *machine) graceElapsed() {
	switch m.now.State {
	case Stopping:
		m.sup.log.Warn("service does not stop, killing it", "service", m.name)
		m.signal(m.task, "SIGKILL", true)
		m.after(killAgain, m.graceElapsed)
	}
}

// stopped is the event that nothing of a stopping service runs any more.
func (m *machine) stopped() {
	switch m.next {
	case Backoff:
		m.retry(m.now.Reason)
	case Waiting:
		if m.leaving {
			m.transition(Stopped, "")
			return
		}
		m.transition(Waiting, "")
		m.look()
	default:
		m.transition(Stopped, "")
	}
}

// leave is the event that the machine is being shut down.
func (m *machine) leave() {
	m.leaving = true
	switch m.now.State {
	case Waiting, Backoff:
		m.transition(Stopped, "")
	case Stopping:
		m.next = Stopped
	default:
		m.look()
	}
}

// leaveInTurn stops the service once everything that depends on it has stopped.
func (m *machine) leaveInTurn() {
	if others := m.sup.upDependants(m.name); len(others) > 0 {
		for i := range others {
			others[i] += " to stop"
		}
		m.waitFor(others...)
		return
	}
	m.terminate(Stopped, m.def.StopGracePeriod)
}

// The rest is what operators ask for.

var errLeaving = errors.New("the machine is being shut down")

func (m *machine) start() error {
	switch {
	case m.leaving:
		return errLeaving
	case m.fault != "":
		return errors.New(m.fault)
	case m.gone:
		return errors.New("its service file is gone")
	}
	switch m.now.State {
	case Stopping:
		m.next = Waiting
	case Backoff, Stopped, Done, Failed:
		m.failures = 0
		m.transition(Waiting, "")
		m.look()
	}
	return nil
}

func (m *machine) stop(o Options) error {
	switch m.now.State {
	case Waiting, Backoff, Failed:
		m.transition(Stopped, "")
	case Starting, Running, Healthy, Unhealthy:
		m.now.Reason = ""
		m.terminate(Stopped, m.graceFor(o))
	case Stopping:
		m.next = Stopped
		m.remember()
	}
	return nil
}

func (m *machine) restart(o Options) error {
	if m.leaving {
		return errLeaving
	}
	switch m.now.State {
	case Starting, Running, Healthy, Unhealthy:
		if m.fault != "" || m.gone {
			return m.start() // says why it cannot come back, and leaves it running
		}
		m.failures = 0
		m.now.Reason = ""
		m.terminate(Waiting, m.graceFor(o))
		return nil
	}
	return m.start()
}

// up starts the service, and makes it anew when its definition is not the one
// it runs with. What is done with its present definition is left alone.
func (m *machine) up(o Options) error {
	switch m.now.State {
	case Starting, Running, Healthy, Unhealthy:
		if o.ForceRecreate || m.task != nil && m.changed(m.task.Hash()) {
			return m.restart(o)
		}
	case Done:
		if !o.ForceRecreate && !m.changed(m.ranWith) {
			return nil
		}
	}
	return m.start()
}

func (m *machine) remove(reply func(error)) {
	if m.now.Up() {
		reply(fmt.Errorf("it is %s; stop it first", m.now.State))
		return
	}
	m.now.ExitCode = nil
	m.transition(Stopped, "")
	m.sweep(reply)
}

// define is the event that the service files have been read again. It changes
// nothing that runs and starts nothing; the new definition counts from the
// next start. A fault leaves the last sound definition in use.
func (m *machine) define(def compose.Service, fault string, gone bool) {
	m.fault, m.gone = fault, gone
	if fault == "" && !gone {
		m.def, m.startable = def, true
	}
	m.describe(def)
	switch m.now.State {
	case Starting, Running, Healthy:
		m.now.Changed = m.task != nil && m.changed(m.task.Hash())
		m.now.Reason = m.note()
	case Unhealthy:
		m.now.Changed = m.task != nil && m.changed(m.task.Hash())
	case Waiting, Stopped, Failed:
		switch {
		case fault != "" && m.now.Reason != fault:
			m.fail(ofFile, fault)
			return
		case fault != "":
			return
		case m.failure == ofFile:
			m.transition(Stopped, "")
			return
		}
	}
	m.sup.publish(m)
	m.look()
}

// Package supervise keeps services running: one state machine per service
// (machine.go), one goroutine per service that owns its state.
//
// It owns when a service starts, stops and starts again, and remembers in a
// folder of /run what a later rosd of the same boot has to know. It does not
// own what a service is (package compose), in which order a plan shows it
// (package plan) or how a container is made (a Runtime).
//
// Rules an operator can rely on:
//
//   - A rosd that starts anew touches no running task, even when its service
//     file has changed or is gone. Only "up" makes a running service anew.
//   - What ended for good in this boot (a one-shot, a failed or a stopped
//     service) stays so until an operator says otherwise or the machine boots.
//   - Reading the service files again starts and stops nothing. A new
//     definition counts from the next start, whatever the reason for it.
//   - An unhealthy service is restarted once it has failed twice as many
//     probes in a row as make it unhealthy (never with restart: "no"). Compose
//     leaves that to a person; nobody stands next to these hosts.
//   - Containerd that does not answer is nobody's failure: it is waited for,
//     and neither a restart nor a failed probe is counted.
//   - A service that waits, failed or backs off says for what, why, or until
//     when.
package supervise

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rosteros/ros/internal/compose"
)

// DefaultConcurrency is how many containers are made at once.
const DefaultConcurrency = 4

// lastPatience is how long a service with StartLast waits for the others when
// the machine boots.
const lastPatience = time.Minute

// unknownGrace is how long a service may take to stop whose file does not say it
// any more. It is what a file says that says nothing.
const unknownGrace = 10 * time.Second

// logSettle is how long the last line of an ended task may take from its pipe
// into its log file.
const logSettle = 50 * time.Millisecond

// Config is what a Supervisor needs. Runtime and Dir must be set.
type Config struct {
	Runtime     Runtime
	Log         *slog.Logger   // nil: nowhere
	Dir         string         // for the records; below /run
	Uptime      func() float64 // seconds since the kernel started; nil: always 0
	Concurrency int            // containers made at once; 0: DefaultConcurrency

	// LastLine is what a service logged last, if that was after since; nil:
	// never known.
	LastLine func(service string, since time.Time) string
}

// Definition is one service that should exist. With a Fault, Service need only
// have a name: it will be listed as failed, for that reason. One that is Off is
// not started by itself: it is stopped until an operator starts it.
type Definition struct {
	Service compose.Service
	Fault   string
	Off     bool
}

// Supervisor runs services. Its methods may be called from any goroutine.
type Supervisor struct {
	cfg    Config
	log    *slog.Logger
	gate   gate
	events fanout

	ctx    context.Context // of Run: the life of every goroutine in here
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex
	machines   map[string]*machine
	views      map[string]view // what machines last said of themselves
	changed    chan struct{}   // closed, and made anew, when a view changes
	dependants map[string][]compose.Dependency
	weights    map[string]int
	last       []string  // services that start when the others have
	lastUntil  time.Time // when they start whatever the others do; zero: they need not wait any more
	adopted    bool      // it is known what runs already
	closing    bool      // Shutdown was called

	ready chan struct{} // closed when every machine has been told what runs
}

// view is what one machine shows to the others.
type view struct {
	Service
	checked bool // has a healthcheck
	last    bool // starts when the others have
	task    Task
}

// byClock is the service with its times as the clock is set now. On a machine
// without a clock of its own, the network sets it some while after the boot,
// and what began before that would have begun decades ago.
func (v view) byClock() Service {
	s := v.Service
	for _, t := range []*time.Time{&s.Since, &s.StartedAt, &s.NextStart} {
		if !t.IsZero() {
			*t = time.Now().Add(-time.Since(*t)) // the age is by the monotonic clock
		}
	}
	return s
}

// New returns a Supervisor without services.
func New(cfg Config) *Supervisor {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Uptime == nil {
		cfg.Uptime = func() float64 { return 0 }
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = DefaultConcurrency
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Supervisor{
		cfg: cfg, log: cfg.Log, ctx: ctx, cancel: cancel,
		machines: map[string]*machine{}, views: map[string]view{}, changed: make(chan struct{}),
		ready: make(chan struct{}),
	}
}

// Run adopts what runs, starts what should run besides, and keeps it so until
// ctx ends. Then it returns and leaves every service running.
func (s *Supervisor) Run(ctx context.Context, definitions []Definition) error {
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	defer s.wg.Wait()
	defer s.cancel()

	s.load(definitions, Waiting)
	tasks, err := s.running()
	if err != nil {
		return nil // ctx has ended
	}
	s.adopt(tasks)
	<-s.ctx.Done()
	return nil
}

// running asks the runtime what runs until it answers. Starting without
// knowing would mean starting what runs already.
func (s *Supervisor) running() (map[string]Task, error) {
	for n := 0; ; n++ {
		tasks, err := s.cfg.Runtime.Running(s.ctx)
		if err == nil {
			return tasks, nil
		}
		if n%20 == 0 || !IsDown(err) {
			s.log.Warn("cannot find out what runs, trying again", "error", err)
		}
		select {
		case <-s.ctx.Done():
			return nil, err
		case <-time.After(downRetry):
		}
	}
}

// adopt tells every machine what was and is, and lets them all start. Nobody tells
// them anything else meanwhile: one that hears of another's state, or of its file,
// before it hears that it runs would start what runs already.
func (s *Supervisor) adopt(tasks map[string]Task) {
	defer close(s.ready)
	patience := time.AfterFunc(lastPatience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pokeLast()
	})
	context.AfterFunc(s.ctx, func() { patience.Stop() })

	s.mu.Lock()
	defer s.mu.Unlock()
	s.adopted = true
	s.lastUntil = time.Now().Add(lastPatience)
	for name := range tasks {
		if s.machines[name] == nil {
			m := s.add(Definition{Service: compose.Service{Name: name, StopGracePeriod: unknownGrace}}, Waiting)
			m.gone, m.startable = true, false
		}
	}
	if len(s.machines) == 0 {
		s.gate.open(s.cfg.Concurrency)
	}
	var untold atomic.Int64
	untold.Store(int64(len(s.machines)))
	for _, m := range s.machines {
		last, err := readRecord(s.cfg.Dir, m.name)
		if err != nil {
			s.log.Warn("cannot read what was written down about a service", "service", m.name, "error", err)
		}
		m.inbox.post(func() {
			m.resume(last, tasks[m.name])
			if untold.Add(-1) == 0 {
				s.gate.open(s.cfg.Concurrency)
			}
		})
	}
}

// Adopted is closed when it is known what runs. What is asked of a service
// before that, it may not hear.
func (s *Supervisor) Adopted() <-chan struct{} { return s.ready }

// Reload puts definitions in the place of those before. It starts and stops
// nothing: services that are new are stopped until an operator starts them.
func (s *Supervisor) Reload(definitions []Definition) {
	s.load(definitions, Stopped)
	s.events.send(Event{Time: time.Now(), Type: "reload"})
}

func (s *Supervisor) load(definitions []Definition, initial State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order(definitions)
	seen := map[string]bool{}
	for _, d := range definitions {
		name := d.Service.Name
		seen[name] = true
		if m := s.machines[name]; m != nil {
			m.inbox.post(func() { m.define(d.Service, d.Fault, false) })
			continue
		}
		first := initial
		if d.Off {
			first = Stopped
		}
		s.add(d, first)
	}
	for name, m := range s.machines {
		if !seen[name] {
			m.inbox.post(func() { m.define(m.def, m.fault, true) })
		}
	}
}

// add makes a machine and sets it going. The caller holds mu.
func (s *Supervisor) add(d Definition, initial State) *machine {
	def := d.Service
	m := &machine{
		sup: s, name: def.Name, inbox: newInbox(),
		def: def, startable: d.Fault == "", fault: d.Fault,
	}
	if m.def.StopSignal == "" && def.Scope != compose.ScopeUser { // there it is the image's
		m.def.StopSignal = "SIGTERM"
	}
	if d.Fault != "" && m.def.StopGracePeriod == 0 {
		m.def.StopGracePeriod = unknownGrace
	}
	m.describe(def)
	m.now.State, m.now.Since = initial, time.Now()
	switch {
	case d.Fault != "":
		m.now.State, m.now.Reason, m.failure = Failed, d.Fault, ofFile
	case initial == Waiting:
		m.now.WaitingFor = []string{"containerd to answer"}
	}
	s.machines[m.name] = m
	s.views[m.name] = m.view()
	s.wg.Go(func() { m.run(s.ctx) })
	return m
}

func (m *machine) view() view {
	return view{Service: m.now, checked: m.def.Healthcheck != nil, last: m.def.StartLast, task: m.task}
}

// forget removes a machine of which nothing is left, unless it has to hear
// something first: perhaps that a file describes it again.
func (s *Supervisor) forget(m *machine) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.inbox.close() {
		return false
	}
	delete(s.machines, m.name)
	delete(s.views, m.name)
	s.tell(m.name)
	return true
}

// publish makes the machine's state known, and lets those look that may have
// waited for it.
func (s *Supervisor) publish(m *machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views[m.name] = m.view()
	s.tell(m.name)
	if s.closing {
		for _, dep := range m.def.DependsOn {
			s.poke(dep.Service)
		}
	}
}

func (s *Supervisor) tell(name string) {
	close(s.changed)
	s.changed = make(chan struct{})
	for _, dependant := range s.dependants[name] {
		s.poke(dependant.Service)
	}
	if !s.lastUntil.IsZero() {
		s.pokeLast()
	}
}

func (s *Supervisor) pokeLast() {
	for _, name := range s.last {
		s.poke(name)
	}
}

// othersFirst says whether a service that starts last still has to wait:
// while the machine boots and another one is on its way. Once they are all
// there it is over for good, whatever happens to them later.
func (s *Supervisor) othersFirst() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastUntil.IsZero() {
		return false
	}
	if time.Now().Before(s.lastUntil) {
		for _, v := range s.views {
			if !v.last && !v.Settled() {
				return true
			}
		}
	}
	s.lastUntil = time.Time{}
	return false
}

func (s *Supervisor) poke(name string) {
	if m := s.machines[name]; m != nil {
		m.inbox.post(m.look)
	}
}

// order finds out who depends on whom. The caller holds mu.
func (s *Supervisor) order(definitions []Definition) {
	s.dependants = map[string][]compose.Dependency{}
	for _, d := range definitions {
		if d.Fault != "" {
			continue // perhaps a cycle
		}
		for _, dep := range d.Service.DependsOn {
			// The other way round: dep.Service is the key, the entry names us.
			us := dep
			us.Service = d.Service.Name
			s.dependants[dep.Service] = append(s.dependants[dep.Service], us)
		}
	}
	s.weights, s.last = map[string]int{}, nil
	byName := map[string]Definition{}
	for _, d := range definitions {
		byName[d.Service.Name] = d
	}
	for name, d := range byName {
		s.weights[name] = s.path(name, byName, map[string]bool{})
		if d.Service.Required {
			s.weights[name] += requiredFirst
		}
		if d.Service.StartLast {
			s.last = append(s.last, name)
		}
	}
}

// requiredFirst puts every required service before those that are not.
const requiredFirst = 1 << 20

// path is how long, in seconds, the start of a service and of all that waits
// for it may take: the longest way through its dependants. The start_period of
// a healthcheck is what the service file says about that. Starting the longest
// way first is what makes the whole boot short.
func (s *Supervisor) path(name string, byName map[string]Definition, seen map[string]bool) int {
	if seen[name] {
		return 0 // a cycle; plan has refused it
	}
	seen[name] = true
	defer delete(seen, name) // two ways may meet again
	longest := 0
	for _, dependant := range s.dependants[name] {
		if !byName[dependant.Service].Service.StartLast {
			longest = max(longest, s.path(dependant.Service, byName, seen))
		}
	}
	if check := byName[name].Service.Healthcheck; check != nil {
		longest += int(check.StartPeriod.Seconds())
	}
	return longest + 1
}

func (s *Supervisor) weight(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.weights[name]
}

// waitedFor says whether another service depends on name.
func (s *Supervisor) waitedFor(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dependants[name]) > 0
}

func (s *Supervisor) look(name string) (view, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.views[name]
	return v, ok
}

func (s *Supervisor) mayStart() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.adopted && !s.closing
}

// upDependants names the services that depend on name and are up.
func (s *Supervisor) upDependants(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var up []string
	for _, dependant := range s.dependants[name] {
		if v, ok := s.views[dependant.Service]; ok && v.Up() {
			up = append(up, dependant.Service)
		}
	}
	slices.Sort(up)
	return up
}

// lastWords is what a run that began at since logged last, as ": the line" or
// nothing.
func (s *Supervisor) lastWords(service string, since time.Time) string {
	if s.cfg.LastLine == nil {
		return ""
	}
	select {
	case <-s.ctx.Done():
	case <-time.After(logSettle):
	}
	line := strings.TrimSpace(s.cfg.LastLine(service, since))
	if line == "" {
		return ""
	}
	if runes := []rune(line); len(runes) > 200 {
		line = string(runes[:200]) + "…"
	}
	return ": " + line
}

// Services lists all services by name.
func (s *Supervisor) Services() []Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Service, 0, len(s.views))
	for _, v := range s.views {
		list = append(list, v.byClock())
	}
	slices.SortFunc(list, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Events returns a stream of what changes from now on, and the function that
// ends it. A reader that falls too far behind is cut off: its channel is
// closed, and it has to read the services anew.
func (s *Supervisor) Events() (<-chan Event, func()) { return s.events.subscribe() }

// Shutdown stops every service: those that others depend on after these, the
// rest at the same time, each with its own grace period. It returns when all
// have stopped, or with an error that names the rest when ctx ends. Run goes
// on.
func (s *Supervisor) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for _, m := range s.machines {
		m.inbox.post(m.leave)
	}
	s.mu.Unlock()
	s.events.send(Event{Time: time.Now(), Type: "power"})

	report := time.NewTicker(3 * time.Second)
	defer report.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		var left []string
		for name, v := range s.views {
			if v.Up() || v.State == Waiting || v.State == Backoff {
				left = append(left, name)
			}
		}
		s.mu.Unlock()
		slices.Sort(left)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-report.C:
			s.log.Info("waiting for services to stop", "services", strings.Join(left, " "))
		case <-ctx.Done():
			return fmt.Errorf("cannot stop %s in time: %w", strings.Join(left, ", "), context.Cause(ctx))
		}
	}
}

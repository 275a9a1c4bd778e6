package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/compose"
)

// Verb is what an operator can ask of a service.
type Verb string

const (
	Start   Verb = "start"   // run it, also when it is done or has failed
	Stop    Verb = "stop"    // and keep it so until it is started, or the machine boots
	Restart Verb = "restart" // stop and start; so do dependants with depends_on.restart
	Up      Verb = "up"      // start it; make it anew when its definition has changed
	Remove  Verb = "rm"      // remove the container of a service that is not up
	Kill    Verb = "kill"    // send a signal; the restart policy decides what follows
)

// Verbs are all of them.
func Verbs() []Verb { return []Verb{Start, Stop, Restart, Up, Remove, Kill} }

// UnknownServiceError says that there is no service of that name.
type UnknownServiceError struct {
	Name  string
	Known []string
}

func (e *UnknownServiceError) Error() string {
	text := fmt.Sprintf("no service %q; there are: %s", e.Name, strings.Join(e.Known, ", "))
	if near := nearest(e.Name, e.Known); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}

// RefusedError says that a service cannot do what was asked of it as it is.
type RefusedError struct {
	Verb    Verb
	Service string
	Err     error
}

func (e *RefusedError) Error() string {
	verb := string(e.Verb)
	switch e.Verb {
	case Remove:
		verb = "remove"
	case Up:
		verb = "bring up"
	}
	return fmt.Sprintf("cannot %s service %q: %v", verb, e.Service, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

var errEnded = errors.New("rosd is ending")

// Do asks something of a service and answers with what the service then is.
// With Options.Wait it answers only when the service has settled.
func (s *Supervisor) Do(ctx context.Context, name string, verb Verb, o Options) (Service, error) {
	m, err := s.machine(name)
	if err != nil {
		return Service{}, err
	}
	answer := make(chan error, 1)
	reply := func(err error) { answer <- err }
	heard := m.inbox.post(func() {
		switch verb {
		case Start:
			reply(m.start())
		case Stop:
			reply(m.stop(o))
		case Restart:
			err := m.restart(o)
			if err == nil {
				s.restartDependants(name, o, asked)
			}
			reply(err)
		case Up:
			reply(m.up(o))
		case Remove:
			m.remove(reply)
		case Kill:
			m.kill(o, reply)
		default:
			reply(fmt.Errorf("there is no verb %q", verb))
		}
	})
	if !heard {
		return Service{}, s.gone(name)
	}
	select {
	case err = <-answer:
	case <-ctx.Done():
		return Service{}, context.Cause(ctx)
	case <-s.ctx.Done():
		err = errEnded
	}
	if err != nil {
		return Service{}, &RefusedError{Verb: verb, Service: name, Err: err}
	}
	if o.Wait {
		return s.settle(ctx, name)
	}
	return s.Service(name)
}

// settle waits until the service is where it will stay by itself.
func (s *Supervisor) settle(ctx context.Context, name string) (Service, error) {
	for {
		s.mu.Lock()
		v, ok := s.views[name]
		changed := s.changed
		s.mu.Unlock()
		if !ok || v.Settled() {
			return v.Service, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v.Service, fmt.Errorf("service %q is %s: %w", name, v.Service.standing(), context.Cause(ctx))
		case <-s.ctx.Done():
			return v.Service, errEnded
		}
	}
}

// asked says whether a dependant wants to be restarted when an operator restarts
// what it depends on.
func asked(d compose.Dependency) bool { return d.Restart && !d.Network }

// inItsNetwork says whether a dependant has lost its network when what it depends
// on has started anew.
func inItsNetwork(d compose.Dependency) bool { return d.Network }

// restartDependants passes a restart on to the running services that it concerns.
func (s *Supervisor) restartDependants(name string, o Options, concerns func(compose.Dependency) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, dependant := range s.dependants[name] {
		m := s.machines[dependant.Service]
		if !concerns(dependant) || m == nil || !s.views[dependant.Service].Up() {
			continue
		}
		m.inbox.post(func() {
			if err := m.restart(o); err != nil {
				s.log.Warn("cannot restart dependant", "service", m.name, "error", err)
				return
			}
			s.restartDependants(m.name, o, asked)
		})
	}
}

// Service is what is known about one service now.
func (s *Supervisor) Service(name string) (Service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.views[name]
	if !ok {
		return Service{}, s.unknown(name)
	}
	return v.byClock(), nil
}

// Definition is the last definition of the service without a fault, by which it
// may still run.
func (s *Supervisor) Definition(ctx context.Context, name string) (compose.Service, error) {
	d, err := s.described(ctx, name)
	if err == nil && d.fault != "" && !d.startable {
		err = errors.New(d.fault)
	}
	return d.def, err
}

// described is what a machine knows of its service file.
type described struct {
	def       compose.Service
	startable bool
	fault     string
}

func (s *Supervisor) described(ctx context.Context, name string) (described, error) {
	m, err := s.machine(name)
	if err != nil {
		return described{}, err
	}
	answers := make(chan described, 1)
	if !m.inbox.post(func() { answers <- described{m.def, m.startable, m.fault} }) {
		return described{}, s.gone(name)
	}
	select {
	case d := <-answers:
		return d, nil
	case <-ctx.Done():
		return described{}, context.Cause(ctx)
	case <-s.ctx.Done():
		return described{}, errEnded
	}
}

// Spec is the OCI runtime spec that the service will be started with next.
func (s *Supervisor) Spec(ctx context.Context, name string) ([]byte, error) {
	d, err := s.described(ctx, name)
	if err == nil && d.fault != "" {
		err = errors.New(d.fault)
	}
	if err != nil {
		return nil, err
	}
	return s.cfg.Runtime.Spec(d.def)
}

func (s *Supervisor) machine(name string) (*machine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.machines[name]; m != nil {
		return m, nil
	}
	return nil, s.unknown(name)
}

// gone is said of a service that has been forgotten just now.
func (s *Supervisor) gone(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unknown(name)
}

// unknown names what there is instead. The caller holds mu.
func (s *Supervisor) unknown(name string) error {
	var known []string
	for n := range s.machines {
		known = append(known, n)
	}
	slices.Sort(known)
	return &UnknownServiceError{Name: name, Known: known}
}

// nearest is the known name that is most like name, or "" when none is.
func nearest(name string, known []string) string {
	best, least := "", len(name)/3+2 // a third of it may be wrong, and one letter of a short name
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many letters have to be changed, added or taken away.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

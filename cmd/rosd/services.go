package main

import (
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/plan"
	"github.com/rosteros/ros/internal/supervise"
)

// serviceFiles is what the service files said when they were read last.
type serviceFiles struct {
	dirs []string
	log  *slog.Logger

	reloading sync.Mutex // one at a time

	mu   sync.Mutex
	all  []compose.Service
	last plan.Plan
	once chan struct{} // closed when they have been read for the first time
	done sync.Once
}

func newServiceFiles(builtIn, operators string, log *slog.Logger) *serviceFiles {
	return &serviceFiles{dirs: []string{builtIn, operators}, log: log, once: make(chan struct{})}
}

// read reads the files anew.
func (f *serviceFiles) read() {
	services, faults := compose.LoadDir(f.dirs...)
	p := plan.Make(services, faults)
	for _, fault := range p.Faults {
		f.log.Error("service file: " + fault.Error())
	}
	for _, s := range services {
		if s.Scope == compose.ScopeUser {
			f.log.Warn("service is for the user's engine, which rosd does not drive", "service", s.Name, "file", s.File)
		}
	}
	f.mu.Lock()
	f.all, f.last = services, p
	f.mu.Unlock()
	f.done.Do(func() { close(f.once) })
}

// reload reads the files anew and tells the supervisor.
func (f *serviceFiles) reload(services *supervise.Supervisor) control.Plan {
	f.reloading.Lock()
	defer f.reloading.Unlock()
	f.read()
	services.Reload(f.definitions())
	return f.plan()
}

// definitions are the services of the plan and those that cannot be in it.
func (f *serviceFiles) definitions() []supervise.Definition {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	var definitions []supervise.Definition
	for _, step := range f.last.Steps {
		definitions = append(definitions, supervise.Definition{Service: step.Service})
	}
	faulty := map[string]int{} // service: its place in definitions
	for _, fault := range f.last.Faults {
		if fault.Service == "" {
			// A fault of a whole file stands in the list under the file's name,
			// where an operator looks for what should be running.
			fault.Service = filepath.Base(fault.File)
		}
		if at, ok := faulty[fault.Service]; ok {
			definitions[at].Fault += "; " + fault.Error()
			continue
		}
		faulty[fault.Service] = len(definitions)
		definitions = append(definitions, supervise.Definition{Service: f.faulty(fault), Fault: fault.Error()})
	}
	return definitions
}

// faulty is what is known of a service with a fault.
func (f *serviceFiles) faulty(fault compose.Fault) compose.Service {
	for _, s := range f.all {
		if s.Name == fault.Service {
			return s
		}
	}
	return compose.Service{Name: fault.Service, File: fault.File, Line: fault.Line, Scope: compose.ScopeSystem}
}

// plan is the plan in the words of the control socket.
func (f *serviceFiles) plan() control.Plan {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	var p control.Plan
	for _, step := range f.last.Steps {
		p.Steps = append(p.Steps, control.PlanStep{Service: step.Service.Name, WaitsFor: step.WaitsFor(), File: step.Service.File})
	}
	for _, fault := range f.last.Faults {
		p.Faults = append(p.Faults, control.PlanFault{Service: fault.Service, Error: fault.Error()})
	}
	return p
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"sync"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/catalog"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/engine"
	"github.com/rosteros/ros/internal/plan"
	"github.com/rosteros/ros/internal/supervise"
)

// serviceFiles is what the service files, and the services of the config, said
// when they were read last.
type serviceFiles struct {
	log      *slog.Logger
	builtIn  string // folder of the OS's own
	projects *projects
	enabled  enabledFiles

	reloading sync.Mutex // one at a time

	mu      sync.Mutex
	from    compose.Sources
	all     []compose.Service
	last    plan.Plan
	held    map[string]compose.Service // that a fault has lost, as they were before it
	resting map[string]bool            // which of them the operator had stopped before
	off     map[string]bool            // services that the config does not want; nil: no config yet
	fresh   []string                   // what has been started because of the last config
	extra   []string                   // files of consoles that are in use or about to be
	anew    bool                       // consoles keep nothing of what is written to their files

	engine  engine.Engine // what the service docker is
	renewed bool          // the engine was stopped, for another one
	once    chan struct{} // closed when they have been read for the first time
	done    sync.Once
}

func newServiceFiles(builtIn, operators string, log *slog.Logger) *serviceFiles {
	return &serviceFiles{
		from: compose.Sources{Dirs: []string{builtIn, operators}, Env: withDomain(nil)},
		log:  log, builtIn: builtIn, projects: newProjects(log), enabled: enabledFiles{catalog.Store{Dir: enabledDir}}, once: make(chan struct{}), resting: map[string]bool{},
	}
}

// read reads the files anew. What the engine is to be told about a file that is
// the same counts without a look at the files that it names, when known says so:
// a boot must not wait for that.
func (f *serviceFiles) read(known bool) {
	f.mu.Lock()
	from := f.from
	f.mu.Unlock()
	services, faults := f.load(from, known)
	p := plan.Make(services, faults)
	for _, fault := range p.Faults {
		f.log.Error("service file: " + fault.Error())
	}
	f.mu.Lock()
	f.held = f.hold(p)
	f.all, f.last = services, p
	f.mu.Unlock()
	f.done.Do(func() { close(f.once) })
}

// load reads files, and with them what the engine is to be told, which images
// were found when a file was enabled, and what the engine is.
func (f *serviceFiles) load(from compose.Sources, known bool) ([]compose.Service, []compose.Fault) {
	f.mu.Lock()
	anew, consoles := f.anew, f.extra
	from.Files = slices.Concat(from.Files, consoles)
	f.mu.Unlock()
	asking := f.projects.asking(from, known)
	from.Resolve = asking.resolve
	services, faults := asking.fill(compose.LoadAll(from))
	f.enabled.pin(services)
	if anew {
		ephemeral(services, consoles)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.engine.Lay(services)
	return services, faults
}

// reload reads the files anew and tells the supervisor.
func (f *serviceFiles) reload(services *supervise.Supervisor) control.Plan {
	f.reloading.Lock()
	defer f.reloading.Unlock()
	f.readAgain(services)
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
		definitions = append(definitions, supervise.Definition{Service: step.Service, Off: f.off[step.Service.Name]})
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
	for _, name := range slices.Sorted(maps.Keys(f.held)) {
		if _, ok := faulty[name]; !ok {
			s := f.held[name]
			definitions = append(definitions, supervise.Definition{Service: s, Fault: "its file cannot be used: " + s.File})
		}
	}
	return definitions
}

// service is what the files say about a service; one that they do not have is
// empty.
func (f *serviceFiles) service(name string) compose.Service {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := slices.IndexFunc(f.all, func(s compose.Service) bool { return s.Name == name }); at >= 0 {
		return f.all[at]
	}
	return compose.Service{}
}

// known are the services of all files, those with a fault as they were before it.
func (f *serviceFiles) known() []compose.Service {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.AppendSeq(slices.Clone(f.all), maps.Values(f.held))
}

// applier is the work of rancher.services, rancher.services_include and of the
// variables that service files are filled with. What is new is started, what is
// gone is stopped, what has changed is made anew; a service that is the same is
// left alone. Before anything runs, definitions says it all.
func (f *serviceFiles) applier(supervisor *supervise.Supervisor) apply.Applier {
	return func(ctx context.Context, _ *apply.Host, cfg *config.Config) (apply.Outcome, error) {
		off, notes := switchedOff(cfg)
		f.mu.Lock()
		before, running := f.off, f.from
		from := sources(f.from.Dirs, cfg, f.enabled.file)
		renewed := f.renewed
		changed := renewed || before == nil && f.engine.Pin != "" || differ(running, from)
		if f.engine.Name == engine.None {
			off[engine.Service], off[engine.Containerd] = true, true
		}
		f.off, f.from, f.fresh, f.renewed = off, from, nil, false
		f.mu.Unlock()
		w := servicesWork{files: f, supervisor: supervisor, outcome: apply.Outcome{Notes: notes}}
		if before == nil {
			if changed || f.hasConsole() {
				<-f.once // the first reading did not know the config
				f.read(true)
			}
			return w.outcome, nil
		}
		if changed {
			w.reread(ctx)
		}
		for _, name := range slices.Sorted(maps.Keys(off)) {
			if !before[name] {
				w.stop(ctx, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(before)) {
			if !off[name] {
				w.start(ctx, name)
			}
		}
		if renewed && !off[engine.Service] { // it may still be stopping
			w.do(ctx, supervise.Up, engine.Service, "started")
			f.begun(engine.Service)
		}
		return w.outcome, errors.Join(w.errs...)
	}
}

// servicesWork is one run of the applier.
type servicesWork struct {
	files      *serviceFiles
	supervisor *supervise.Supervisor
	outcome    apply.Outcome
	errs       []error
}

// reread reads the files and makes what runs what they say now.
func (w *servicesWork) reread(ctx context.Context) {
	before, order := w.files.hashes(), w.files.stopOrder()
	w.files.reloading.Lock()
	mended := w.files.readAgain(w.supervisor)
	now := w.files.hashes()
	for _, name := range order {
		if _, still := now[name]; !still {
			w.down(ctx, name)
		}
	}
	w.supervisor.Reload(w.files.definitions())
	w.files.reloading.Unlock()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		old, was := before[name]
		switch {
		case w.files.unwanted(name):
		case !was, slices.Contains(mended, name) && !w.up(name): // its fault may have kept it from starting
			w.start(ctx, name)
		case old != now[name]:
			w.recreate(ctx, name)
		}
	}
}

// do asks the supervisor and says what was done.
func (w *servicesWork) do(ctx context.Context, verb supervise.Verb, name, did string) {
	if _, err := w.supervisor.Do(ctx, name, verb, supervise.Options{}); err != nil {
		w.errs = append(w.errs, err)
		return
	}
	w.outcome.Did = append(w.outcome.Did, did+" "+name)
}

func (w *servicesWork) stop(ctx context.Context, name string) {
	if service, err := w.supervisor.Service(name); err == nil && service.State != supervise.Stopped {
		w.do(ctx, supervise.Stop, name, "stopped")
	}
}

// down stops a service that is no more. The engine would keep its container for
// ever; what the system's containerd has goes by itself.
func (w *servicesWork) down(ctx context.Context, name string) {
	service, err := w.supervisor.Service(name)
	if err != nil {
		return
	}
	if service.Scope != compose.ScopeUser {
		w.stop(ctx, name)
		return
	}
	_, err = w.supervisor.Do(ctx, name, supervise.Stop, supervise.Options{Wait: true})
	if err == nil {
		_, err = w.supervisor.Do(ctx, name, supervise.Remove, supervise.Options{})
	}
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	w.outcome.Did = append(w.outcome.Did, "removed "+name)
}

func (w *servicesWork) up(name string) bool {
	service, err := w.supervisor.Service(name)
	return err == nil && service.Up()
}

func (w *servicesWork) start(ctx context.Context, name string) {
	if service, err := w.supervisor.Service(name); err == nil && !service.Up() {
		w.do(ctx, supervise.Up, name, "started")
		w.files.begun(name)
	}
}

func (w *servicesWork) recreate(ctx context.Context, name string) {
	if service, err := w.supervisor.Service(name); err == nil && service.Up() {
		w.do(ctx, supervise.Up, name, "made anew")
		w.files.begun(name)
	}
}

// begun notes that a service knows the config already.
func (f *serviceFiles) begun(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fresh = append(f.fresh, name)
}

// hashes say what the containers of the services are made from.
func (f *serviceFiles) hashes() map[string]string {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	return hashes(f.last, f.held)
}

// stopOrder has every service behind those that depend on it.
func (f *serviceFiles) stopOrder() []string {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Concat(slices.Sorted(maps.Keys(f.held)), f.last.StopOrder())
}

// lost are the services that have been sound and have a fault now.
func (f *serviceFiles) lost() []string {
	<-f.once
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.held))
}

// readAgain reads the files and names the services that had a fault and have none
// now. Those that the operator had stopped before are not among them, which has
// to be noted here: the supervisor knows only that they have failed.
func (f *serviceFiles) readAgain(services *supervise.Supervisor) (mended []string) {
	before := f.lost()
	var stopped []string
	for _, s := range services.Services() {
		if s.State == supervise.Stopped && !slices.Contains(before, s.Name) {
			stopped = append(stopped, s.Name)
		}
	}
	f.read(false)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range stopped {
		if _, lost := f.held[name]; lost {
			f.resting[name] = true
		}
	}
	for _, name := range before {
		if _, lost := f.held[name]; lost {
			continue
		}
		if !f.resting[name] {
			mended = append(mended, name)
		}
		delete(f.resting, name)
	}
	return mended
}

// hold finds the services that are not in a new plan because something is wrong
// with their file. They are no less there: a typo must not cost a container, and
// the volumes that go with it. The caller holds mu.
func (f *serviceFiles) hold(p plan.Plan) map[string]compose.Service {
	held := maps.Clone(f.held)
	if held == nil {
		held = map[string]compose.Service{}
	}
	for _, step := range f.last.Steps {
		held[step.Service.Name] = step.Service
	}
	for _, step := range p.Steps {
		delete(held, step.Service.Name)
	}
	maps.DeleteFunc(held, func(_ string, s compose.Service) bool {
		return !slices.ContainsFunc(p.Faults, func(fault compose.Fault) bool { return costs(fault, s) })
	})
	return held
}

// costs says whether a service may be missing because of a fault: its own, one
// of its file, or one of the project that it is in.
func costs(fault compose.Fault, s compose.Service) bool {
	if fault.File != s.File && fault.File != filepath.Dir(s.File) {
		return false
	}
	return fault.Service == s.Name || fault.Service == "" || s.Scope == compose.ScopeUser
}

func hashes(p plan.Plan, held map[string]compose.Service) map[string]string {
	all := map[string]string{}
	for _, s := range held {
		all[s.Name] = compose.DefinitionHash(s)
	}
	for _, step := range p.Steps {
		all[step.Service.Name] = compose.DefinitionHash(step.Service)
	}
	return all
}

// seek looks again where the config's services are; a file may be kept by now.
func (f *serviceFiles) seek(cfg *config.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from = sources(f.from.Dirs, cfg, f.enabled.file)
}

// sources are the places of services as the config adds to them.
func sources(dirs []string, cfg *config.Config, enabled func(key string) enabledFile) compose.Sources {
	from := compose.Sources{Dirs: dirs, Env: withDomain(apply.Variables(cfg)), Homes: map[string]string{}, Kept: map[string]compose.Kept{}}
	for _, name := range slices.Sorted(maps.Keys(cfg.Rancher.ServicesInclude)) {
		if !cfg.Rancher.ServicesInclude[name] {
			continue
		}
		ext := filepath.Ext(name)
		if file := enabled(name); file.path != "" {
			from.Files = append(from.Files, file.path)
			from.Kept[file.path] = file.kept
			if file.home != "" {
				from.Homes[file.path] = file.home
			}
		} else if filepath.IsAbs(name) && (ext == ".yml" || ext == ".yaml") {
			from.Files = append(from.Files, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Rancher.Services)) {
		origin := cfg.Origin("rancher.services." + name)
		from.Config = append(from.Config, compose.ConfigService{
			Name: name, YAML: cfg.Rancher.Services[name].YAML, File: origin.Layer, Line: origin.Line,
		})
	}
	return from
}

// differ says whether the files have to be read anew.
func differ(a, b compose.Sources) bool {
	return !reflect.DeepEqual(withoutEmpty(a), withoutEmpty(b))
}

// withoutEmpty makes two sources that say nothing alike.
func withoutEmpty(s compose.Sources) compose.Sources {
	if len(s.Env) == 0 {
		s.Env = nil
	}
	if len(s.Homes) == 0 {
		s.Homes = nil
	}
	if len(s.Kept) == 0 {
		s.Kept = nil
	}
	return s
}

// takeFresh are the services that the last config has started.
func (f *serviceFiles) takeFresh() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := f.fresh
	f.fresh = nil
	return fresh
}

// setEngine says what the service docker is from now on.
func (f *serviceFiles) setEngine(e engine.Engine, renewed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.engine, f.renewed = e, f.renewed || renewed
}

// unwanted says whether the config has switched a service off.
func (f *serviceFiles) unwanted(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.off[name]
}

// faulty is what is known of a service with a fault.
func (f *serviceFiles) faulty(fault compose.Fault) compose.Service {
	if s, ok := f.held[fault.Service]; ok {
		return s
	}
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

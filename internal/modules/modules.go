// Package modules loads kernel modules, by name or because a device asks for
// one (its modalias).
//
// It reads the text files that depmod writes (modules.alias, modules.dep,
// modules.softdep, modules.builtin) and gives the module file to the kernel,
// which also unpacks .ko.xz and .ko.zst. It works in the initramfs, where there
// is neither modprobe nor udev and modules.dep lists only what was packed: an
// alias of a module that is not listed is passed over. Later, udev in its
// container does the same duty.
package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Options say where things are and what must not be loaded.
type Options struct {
	Dir    string            // lib/modules/<release>, see Dir
	Sys    string            // where sysfs is mounted
	Deny   []string          // modules that no device gets (modprobe.blacklist); by name they still load
	Params map[string]string // parameters by module, the name spelled with "_" (cmdline.ModuleParams)
	Log    *slog.Logger
	// Insert gives a module file to the kernel; nil means finit_module(2).
	Insert func(path, params string) error
}

// Loader loads modules. Its methods may be used from several goroutines.
type Loader struct {
	o       Options
	alias   []byte            // modules.alias
	files   map[string]string // module -> its line of modules.dep
	softdep map[string]string // module -> rest of its line of modules.softdep
	builtin map[string]bool
	deny    map[string]bool

	mu   sync.Mutex
	seen map[string]bool  // modaliases that have been looked up
	runs map[string]*load // by module: those that are loaded or being loaded
}

// load is one attempt; done is closed when err is set.
type load struct {
	done chan struct{}
	err  error
}

// Dir is the directory with the modules of the running kernel below root.
func Dir(root string) (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("cannot read the kernel release: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	for _, lib := range []string{"lib", "usr/lib"} {
		dir := filepath.Join(root, lib, "modules", release)
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir, nil
		}
	}
	return "", fmt.Errorf("cannot find the modules of kernel %q below %q: %w", release, root, fs.ErrNotExist)
}

// New reads the tables in o.Dir. Only modules.dep must exist.
func New(o Options) (*Loader, error) {
	l := &Loader{
		o: o, files: make(map[string]string), softdep: make(map[string]string), builtin: make(map[string]bool),
		deny: make(map[string]bool), seen: make(map[string]bool), runs: make(map[string]*load),
	}
	if l.o.Insert == nil {
		l.o.Insert = insert
	}
	var dep, softdep, builtin []byte
	for _, table := range []struct {
		name string
		into *[]byte
	}{{"modules.dep", &dep}, {"modules.alias", &l.alias}, {"modules.softdep", &softdep}, {"modules.builtin", &builtin}} {
		text, err := os.ReadFile(filepath.Join(o.Dir, table.name))
		if err != nil && (!errors.Is(err, fs.ErrNotExist) || table.name == "modules.dep") {
			return nil, fmt.Errorf("cannot read the list of kernel modules: %w", err)
		}
		*table.into = text
	}
	// The keys are parts of one string, so that four thousand lines cost no
	// memory of their own.
	for line := range strings.Lines(string(dep)) {
		if path, _, ok := strings.Cut(line, ":"); ok {
			l.files[moduleOf(path)] = line
		}
	}
	for line := range strings.Lines(string(builtin)) {
		l.builtin[moduleOf(strings.TrimSpace(line))] = true
	}
	for line := range strings.Lines(string(softdep)) {
		if fields := strings.SplitN(strings.TrimSpace(line), " ", 3); len(fields) == 3 && fields[0] == "softdep" {
			l.softdep[canonical(fields[1])] = fields[2]
		}
	}
	for _, name := range o.Deny {
		l.deny[canonical(name)] = true
	}
	return l, nil
}

// Coldplug loads what the devices that are there now ask for, and goes on while
// new drivers bring new devices to light. It may be called again at any time:
// only devices that are new since then are looked at.
//
// err joins the modules that could not be loaded; the others were. A driver that
// says there is no such device after all is not a fault: many match by
// processor or by board and look closer when they start.
func (l *Loader) Coldplug() (loaded []string, err error) {
	var faults []error
	for {
		fresh := l.fresh(modaliases(l.o.Sys))
		if len(fresh) == 0 {
			return loaded, errors.Join(faults...)
		}
		modules := l.match(fresh)
		modules = slices.DeleteFunc(modules, func(module string) bool { return l.deny[module] || l.have(module) })
		names, errs := l.loadAll(modules)
		loaded = append(loaded, names...)
		for _, err := range errs {
			if errors.Is(err, unix.ENODEV) {
				l.o.Log.Debug("no device", "error", err)
			} else {
				faults = append(faults, err)
			}
		}
	}
}

// Load loads the module called name, or those that have name as an alias
// ("fs-iso9660"), with params added to those it has from Options. It does
// nothing when the module is loaded or built in.
func (l *Loader) Load(name, params string) error {
	module := canonical(name)
	if l.have(module) {
		return nil
	}
	if len(l.paths(module)) > 0 {
		return wrap(name, l.load(module, params))
	}
	modules := l.named(name)
	if len(modules) == 0 {
		return fmt.Errorf("cannot load kernel module %q: %w", name, fs.ErrNotExist)
	}
	_, errs := l.loadAll(modules)
	return errors.Join(errs...)
}

// named are the modules of that name, or those that have it as an alias.
func (l *Loader) named(name string) []string {
	module := canonical(name)
	if len(l.paths(module)) > 0 {
		return []string{module}
	}
	// modprobe spells aliases with "_" too, but only those that look like names.
	return l.match([]string{name, module})
}

// workers is how many modules are loaded at a time. Most of the time goes into
// unpacking and relocating, which the kernel does on the caller's processor.
const workers = 4

func (l *Loader) loadAll(modules []string) (loaded []string, faults []error) {
	errs := make([]error, len(modules))
	var group sync.WaitGroup
	slots := make(chan struct{}, workers)
	for i, module := range modules {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = l.load(module, "")
		})
	}
	group.Wait()
	for i, module := range modules {
		if errs[i] != nil {
			faults = append(faults, wrap(module, errs[i]))
		} else {
			loaded = append(loaded, module)
		}
	}
	return loaded, faults
}

func wrap(module string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot load kernel module %q: %w", module, err)
}

// load loads module and what it needs. Whoever asks for a module that another
// goroutine is loading waits for that one.
func (l *Loader) load(module, params string) error {
	paths := l.paths(module)
	if len(paths) == 0 {
		return fs.ErrNotExist
	}
	// modules.dep lists everything that is needed, in the order opposite to that
	// of loading; the module itself comes first. What it needs may have soft
	// dependencies too: libcrc32c does not start without a crc32c.
	for _, path := range slices.Backward(paths) {
		name, extra := moduleOf(path), ""
		if name == module {
			extra = params
		}
		pre, post := l.soft(name)
		l.try(name, pre)
		if err := l.once(path, extra); err != nil {
			return err
		}
		l.try(name, post)
	}
	return nil
}

// try loads soft dependencies, by name or alias: one that is not there is no
// fault. Their own are left alone, since modules may name each other.
func (l *Loader) try(module string, names []string) {
	for _, name := range names {
		for _, found := range l.named(name) {
			if err := l.alone(found); err != nil {
				l.o.Log.Debug("soft dependency", "module", module, "dependency", name, "error", err)
			}
		}
	}
}

// alone loads a module and what it cannot do without.
func (l *Loader) alone(module string) error {
	for _, path := range slices.Backward(l.paths(module)) {
		if err := l.once(path, ""); err != nil {
			return err
		}
	}
	return nil
}

// once loads one file unless that has been done.
func (l *Loader) once(path, params string) error {
	module := moduleOf(path)
	l.mu.Lock()
	run, tried := l.runs[module]
	if !tried {
		run = &load{done: make(chan struct{})}
		l.runs[module] = run
	}
	l.mu.Unlock()
	if tried {
		<-run.done
		return run.err
	}
	defer close(run.done)
	if l.have(module) {
		return nil
	}
	params = strings.TrimSpace(l.o.Params[module] + " " + params)
	err := l.o.Insert(filepath.Join(l.o.Dir, path), params)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		run.err = fmt.Errorf("%s: %w", path, err)
		if errors.Is(err, unix.ENOENT) { // the module is there, and says this itself
			run.err = fmt.Errorf("%s: something that it needs is not there", path)
		}
		l.mu.Lock()
		delete(l.runs, module) // its device may be there the next time
		l.mu.Unlock()
		return run.err
	}
	l.o.Log.Debug("loaded kernel module", "module", module, "params", params)
	return nil
}

// insert is finit_module(2).
func insert(path, params string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(path, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	err = unix.FinitModule(int(f.Fd()), params, flags)
	if flags != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
		// The same numbers may come from the module itself.
		return fmt.Errorf("%w (can this kernel unpack *%s? see CONFIG_MODULE_DECOMPRESS)", err, filepath.Ext(path))
	}
	return err
}

// have tells whether module is in the kernel.
func (l *Loader) have(module string) bool {
	if l.builtin[module] {
		return true
	}
	// initstate is there only for loadable modules; parameters of built-in ones
	// make a directory too.
	_, err := os.Stat(filepath.Join(l.o.Sys, "module", module, "initstate"))
	return err == nil
}

// fresh are the modaliases that have not been looked up yet.
func (l *Loader) fresh(all map[string]bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(all, func(modalias string, _ bool) bool { return l.seen[modalias] })
	maps.Copy(l.seen, all)
	return slices.Sorted(maps.Keys(all))
}

// paths are the files for module: its own, then those it needs. None means that
// modules.dep does not have it.
func (l *Loader) paths(module string) []string {
	path, needs, ok := strings.Cut(l.files[module], ":")
	if !ok {
		return nil
	}
	return append([]string{path}, strings.Fields(needs)...)
}

// soft splits "pre: a b post: c".
func (l *Loader) soft(module string) (pre, post []string) {
	var into *[]string
	for _, word := range strings.Fields(l.softdep[module]) {
		switch word {
		case "pre:":
			into = &pre
		case "post:":
			into = &post
		default:
			if into != nil {
				*into = append(*into, word)
			}
		}
	}
	return pre, post
}

// canonical is name as the kernel spells it.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleOf is the name of the module in a file such as kernel/fs/a-b.ko.xz.
func moduleOf(path string) string {
	base, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return canonical(base)
}

package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
)

const sysctlDir = "proc/sys"

// setSysctl is a kernel setting that the config made.
type setSysctl struct {
	Before string // what it was before; "" if it cannot be read
	Wanted string // what was written
	After  string // what the kernel made of that
}

// sysctlModules are modules that bring settings with them, by their beginning.
var sysctlModules = []struct{ settings, module string }{
	{"net/bridge/", "br_netfilter"},
	{"net/ipv4/vs/", "ip_vs"},
	{"net/netfilter/nf_conntrack", "nf_conntrack"},
	{"sunrpc/", "sunrpc"},
}

// Sysctl makes kernel settings. One that is no longer in the config gets the
// value it had before, unless somebody else has changed it meanwhile.
func Sysctl(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	s := &sysctls{h: h, set: map[string]setSysctl{}, wanted: map[string]bool{}}
	if err := h.recall("sysctl", &s.set); err != nil {
		return Outcome{}, err
	}
	known := len(s.set)
	for _, key := range slices.Sorted(maps.Keys(cfg.Rancher.Sysctl)) {
		s.all(key, cfg.Rancher.Sysctl[key])
	}
	for _, name := range slices.Sorted(maps.Keys(s.set)) {
		if !s.wanted[name] {
			s.restore(name)
		}
	}
	if known+len(s.set) > 0 {
		s.failed(h.remember("sysctl", s.set))
	}
	return s.outcome, errors.Join(s.errs...)
}

// sysctls does the work of Sysctl. Settings go by their path below /proc/sys.
type sysctls struct {
	h       *Host
	set     map[string]setSysctl
	wanted  map[string]bool
	outcome Outcome
	errs    []error
}

func (s *sysctls) failed(err error) {
	if err != nil {
		s.errs = append(s.errs, err)
	}
}

// sysctlPath is where a setting is below /proc/sys. As for sysctl(8), the first
// separator counts: behind a slash a dot is a dot, and behind a dot a slash
// stands for one (net.ipv4.conf.eth0/100.rp_filter).
func sysctlPath(key string) string {
	if at := strings.IndexAny(key, "./"); at >= 0 && key[at] == '.' {
		return strings.NewReplacer(".", "/", "/", ".").Replace(key)
	}
	return key
}

// all makes the setting, or all those that fit a pattern.
func (s *sysctls) all(key, value string) {
	name := sysctlPath(key)
	if !filepath.IsLocal(name) {
		s.failed(fmt.Errorf("rancher.sysctl: %s is not a kernel setting", key))
		return
	}
	names := s.names(name)
	for _, m := range sysctlModules {
		if len(names) > 0 || !strings.HasPrefix(name, m.settings) {
			continue
		}
		if err := s.h.System.LoadModule(m.module, ""); err != nil {
			s.failed(fmt.Errorf("rancher.sysctl: %s: %w", key, err))
			return
		}
		names = s.names(name)
	}
	if len(names) == 0 {
		s.failed(fmt.Errorf("rancher.sysctl: the kernel has no setting %s", key))
	}
	for _, name := range names {
		s.wanted[name] = true
		if err := s.one(name, value); err != nil {
			s.failed(fmt.Errorf("rancher.sysctl: cannot set %s to %q: %w", key, value, plain(err)))
		}
	}
}

// names are the settings that a name with or without asterisks means.
func (s *sysctls) names(pattern string) []string {
	dir := s.h.Path(sysctlDir)
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	s.failed(err)
	for i, path := range found {
		found[i], err = filepath.Rel(dir, path)
		s.failed(err)
	}
	return found
}

func (s *sysctls) one(name, value string) error {
	was, known := s.set[name]
	now, err := s.read(name)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err // a directory
	}
	readable := err == nil
	if now == oneSpace(value) && readable && !known {
		return nil // it is so without us, and stays so when the key goes
	}
	if known && was.Wanted == value && (!readable || now == was.After) {
		return nil
	}
	if err := s.write(name, value); err != nil {
		return err
	}
	if !known {
		was.Before = now
	}
	after, _ := s.read(name)
	s.set[name] = setSysctl{Before: was.Before, Wanted: value, After: after}
	s.outcome.Did = append(s.outcome.Did, fmt.Sprintf("%s is now %s", name, cmp.Or(after, value)))
	return nil
}

func (s *sysctls) restore(name string) {
	was := s.set[name]
	now, err := s.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it went with its device
	case was.Before == "":
		s.outcome.Notes = append(s.outcome.Notes, fmt.Sprintf("%s stays as it is: nobody can tell what it was before", name))
	case now != was.After:
		s.outcome.Notes = append(s.outcome.Notes, fmt.Sprintf("%s stays %s: somebody else has set it since", name, now))
	default:
		if err := s.write(name, was.Before); err != nil {
			s.failed(fmt.Errorf("rancher.sysctl: cannot set %s back to %q: %w", name, was.Before, plain(err)))
			return
		}
		s.outcome.Did = append(s.outcome.Did, fmt.Sprintf("%s is %s again", name, was.Before))
	}
	delete(s.set, name)
}

// read is a setting in one line, as it may be written again.
func (s *sysctls) read(name string) (string, error) {
	text, err := os.ReadFile(s.h.Path(sysctlDir, name))
	return oneSpace(string(text)), err
}

// write never makes a file.
func (s *sysctls) write(name, value string) error {
	f, err := os.OpenFile(s.h.Path(sysctlDir, name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// oneSpace makes values comparable: the kernel puts tabs between numbers.
func oneSpace(text string) string { return strings.Join(strings.Fields(text), " ") }

// plain is an error without the path that the caller names already.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

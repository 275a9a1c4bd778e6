package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
)

// Modules loads kernel modules. One that is no longer in the config stays: what
// uses it cannot be known.
func Modules(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	loaded := map[string]string{} // parameters by name
	if err := h.recall("modules", &loaded); err != nil {
		return Outcome{}, err
	}
	known := len(loaded)
	var o Outcome
	var errs []error
	wanted := map[string]bool{}
	for _, entry := range cfg.Rancher.Modules {
		name, params, _ := strings.Cut(strings.TrimSpace(entry), " ")
		params = strings.TrimSpace(params)
		wanted[name] = true
		there := h.present("sys/module/" + strings.ReplaceAll(name, "-", "_"))
		had, ours := loaded[name]
		if ours && had == params {
			continue
		}
		loaded[name] = params
		switch {
		case there && params == "" && !ours: // a device has asked for it, or it is built in
			continue
		case there:
			o.Notes = append(o.Notes, fmt.Sprintf("module %s has been loaded already: parameters count from the next boot", name))
			continue
		}
		if err := h.System.LoadModule(name, params); err != nil {
			delete(loaded, name)
			errs = append(errs, fmt.Errorf("rancher.modules: %w", err))
			continue
		}
		o.Did = append(o.Did, "loaded module "+name)
	}
	for _, name := range slices.Sorted(maps.Keys(loaded)) {
		if !wanted[name] {
			delete(loaded, name)
			o.Notes = append(o.Notes, fmt.Sprintf("module %s stays until the next boot", name))
		}
	}
	if known+len(loaded) > 0 {
		errs = append(errs, h.remember("modules", loaded))
	}
	return o, errors.Join(errs...)
}

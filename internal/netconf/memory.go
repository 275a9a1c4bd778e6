package netconf

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/atomicfile"
)

// own writes down what was done to a link.
func (r *running) own(l link, o owned) {
	before, there := r.owned[l.Name]
	if o.empty() {
		delete(r.owned, l.Name)
		if !there {
			return
		}
	} else {
		o.Index = l.Index
		r.owned[l.Name] = o
		if reflect.DeepEqual(before, o) {
			return
		}
	}
	r.saveOwned()
}

// saveOwned is no reason to leave a link as it is when it fails: then something
// will stay behind.
func (r *running) saveOwned() {
	text, err := json.Marshal(r.owned)
	if err == nil {
		if have, readErr := os.ReadFile(r.Paths.owned()); readErr == nil && string(have) == string(text) {
			return
		}
		err = atomicfile.WriteFile(r.Paths.owned(), text, 0o600)
	}
	if err != nil {
		r.Log.Error("cannot write down what was set up", "error", err)
	}
}

// saveFaults is for the health check.
func (r *running) saveFaults() error {
	var b strings.Builder
	for _, name := range sortedKeys(r.faults) {
		for line := range strings.Lines(r.faults[name].Error()) {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.TrimSuffix(line, "\n"))
		}
	}
	return atomicfile.WriteFile(r.Paths.faults(), []byte(b.String()), 0o644)
}

// both is what may be there when one state was on the way to the other.
func both(a, b owned) owned {
	for _, address := range a.Addresses {
		if !slices.Contains(b.Addresses, address) {
			b.Addresses = append(slices.Clip(b.Addresses), address)
		}
	}
	for _, route := range a.Routes {
		if !slices.Contains(b.Routes, route) {
			b.Routes = append(slices.Clip(b.Routes), route)
		}
	}
	b.MTU, b.Up = max(a.MTU, b.MTU), a.Up || b.Up
	return b
}

// forgetGone forgets links that are not there any more, and what was done to
// them.
func (r *running) forgetGone(present map[string]int) {
	gone := func(name string, index int) bool { return present[name] != index }
	maps.DeleteFunc(r.seen, gone)
	maps.DeleteFunc(r.owned, func(name string, o owned) bool { return gone(name, o.Index) })
	maps.DeleteFunc(r.faults, func(name string, _ error) bool { return present[name] == 0 })
}

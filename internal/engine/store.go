package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/rosteros/ros/internal/atomicfile"
)

// Store remembers the engines that a machine has taken in, in one file. What
// stands in it needs no network at boot.
type Store struct {
	Path string

	mu sync.Mutex
}

// List returns all of them, by name.
func (s *Store) List() ([]Engine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("cannot read which engines there are: %w", err)
	}
	var list []Engine
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return list, nil
}

// Get returns the engine of a name.
func (s *Store) Get(name string) (Engine, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, _ := s.read()
	e, ok := all[name]
	return e, ok
}

// Put takes an engine in, in place of one of the same name.
func (s *Store) Put(e Engine) error {
	return s.change(e.Name, func(all map[string]Engine) { all[e.Name] = e })
}

// Remove forgets an engine.
func (s *Store) Remove(name string) error {
	return s.change(name, func(all map[string]Engine) { delete(all, name) })
}

func (s *Store) change(name string, change func(map[string]Engine)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.read()
	if err != nil || all == nil {
		all = map[string]Engine{} // a damaged file costs a pull, not the machine
	}
	change(all)
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.Path), 0o755)
	}
	if err == nil {
		err = atomicfile.WriteFile(s.Path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot remember engine %q: %w", name, err)
	}
	return nil
}

func (s *Store) read() (map[string]Engine, error) {
	text, err := os.ReadFile(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all map[string]Engine
	return all, json.Unmarshal(text, &all)
}

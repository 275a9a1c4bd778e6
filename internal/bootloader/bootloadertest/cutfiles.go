package bootloadertest

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand"
	"slices"

	"github.com/rosteros/ros/internal/bootloader"
)

// sector is what a disk writes at once or not at all.
const sector = 512

// CutFiles is a bootloader.Files in memory. What was not synced when the power
// is cut has reached the disk or not, each change for itself, in any order, and
// what was being written is torn between sectors.
type CutFiles struct {
	Random   *rand.Rand
	Capacity int64

	disk    map[string][]byte // what a power cut leaves
	seen    map[string][]byte // what programs see: the disk and what is on its way
	waiting []func()          // changes of disk that are on their way
	cutAt   int
	steps   int
	cut     bool
}

var _ bootloader.Files = (*CutFiles)(nil)

// NewCutFiles is a file system with these files.
func NewCutFiles(random *rand.Rand, capacity int64, content map[string][]byte) *CutFiles {
	return &CutFiles{Random: random, Capacity: capacity, disk: maps.Clone(content), seen: maps.Clone(content)}
}

// CutAfter cuts the power in the n-th step from now; never if n is 0.
func (f *CutFiles) CutAfter(n int) { f.cutAt, f.steps = n, 0 }

// Steps counts the steps since CutAfter.
func (f *CutFiles) Steps() int { return f.steps }

// PowerOn brings back what the disk holds. If the power was not cut it is now.
func (f *CutFiles) PowerOn() {
	if !f.cut {
		f.crash()
	}
	f.cut, f.cutAt, f.steps = false, 0, 0
	f.seen = maps.Clone(f.disk)
}

// step counts one change; torn is what half of it does to the disk.
func (f *CutFiles) step(torn func()) error {
	if f.cut {
		return ErrCut
	}
	if f.steps++; f.steps != f.cutAt {
		return nil
	}
	f.crash()
	if torn != nil {
		torn()
	}
	return ErrCut
}

// crash lets some of what is on its way reach the disk.
func (f *CutFiles) crash() {
	f.cut = true
	for _, i := range f.Random.Perm(len(f.waiting)) {
		if f.Random.Intn(2) == 0 {
			f.waiting[i]()
		}
	}
	f.waiting = nil
}

// Open implements bootloader.Files.
func (f *CutFiles) Open(name string) (io.ReadCloser, error) {
	if f.cut {
		return nil, ErrCut
	}
	text, ok := f.seen[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}

// Size implements bootloader.Files.
func (f *CutFiles) Size(name string) (int64, error) {
	text, ok := f.seen[name]
	if !ok {
		return 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return int64(len(text)), nil
}

// Create implements bootloader.Files.
func (f *CutFiles) Create(name string, r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := f.step(func() { f.disk[name] = f.torn(nil, text) }); err != nil {
		return err
	}
	f.seen[name] = text
	f.waiting = append(f.waiting, func() { f.disk[name] = f.torn(nil, text) })
	return nil
}

// torn is old with some sectors of text over it; where there was nothing, with
// what the disk held there before.
func (f *CutFiles) torn(old, text []byte) []byte {
	if old == nil && f.Random.Intn(3) == 0 {
		return []byte{} // only the name
	}
	mixed := bytes.Repeat([]byte("?"), len(text))
	if old == nil && f.Random.Intn(2) == 0 {
		f.stale(mixed)
	}
	copy(mixed, old)
	for at := 0; at < len(text); at += sector {
		if f.Random.Intn(2) == 0 {
			copy(mixed[at:min(at+sector, len(mixed))], text[at:])
		}
	}
	return mixed
}

// stale fills text with what some file has: its clusters were that file's once.
func (f *CutFiles) stale(text []byte) {
	names := slices.Sorted(maps.Keys(f.disk))
	if len(names) > 0 {
		copy(text, f.disk[names[f.Random.Intn(len(names))]])
	}
}

// Overwrite implements bootloader.Files.
func (f *CutFiles) Overwrite(name string, at int64, data []byte) error {
	old, ok := f.seen[name]
	if !ok || at+int64(len(data)) > int64(len(old)) {
		return fmt.Errorf("%s: cannot overwrite beyond its end", name)
	}
	text := slices.Clone(old)
	copy(text[at:], data)
	if err := f.step(func() { f.disk[name] = f.torn(old, text) }); err != nil {
		return err
	}
	f.seen[name], f.disk[name] = text, text
	return nil
}

// Rename implements bootloader.Files.
func (f *CutFiles) Rename(from, to string) error {
	if _, ok := f.seen[from]; !ok {
		return fmt.Errorf("%s: %w", from, fs.ErrNotExist)
	}
	half := func() { f.renamed(from, to, f.Random.Intn(2) == 0) }
	if err := f.step(half); err != nil {
		return err
	}
	f.seen[to] = f.seen[from]
	delete(f.seen, from)
	f.waiting = append(f.waiting, func() { f.renamed(from, to, true) })
	return nil
}

// renamed gives a file its new name, and perhaps takes the old one.
func (f *CutFiles) renamed(from, to string, all bool) {
	text, ok := f.disk[from]
	if !ok {
		text = []byte("?") // the name of a file that never came
	}
	f.disk[to] = text
	if all {
		delete(f.disk, from)
	}
}

// Remove implements bootloader.Files.
func (f *CutFiles) Remove(name string) error {
	if _, ok := f.seen[name]; !ok {
		return f.step(nil)
	}
	if err := f.step(func() {
		if f.Random.Intn(2) == 0 {
			delete(f.disk, name)
		}
	}); err != nil {
		return err
	}
	delete(f.seen, name)
	f.waiting = append(f.waiting, func() { delete(f.disk, name) })
	return nil
}

// Sync implements bootloader.Files.
func (f *CutFiles) Sync() error {
	if err := f.step(nil); err != nil {
		return err
	}
	f.waiting = nil
	f.disk = maps.Clone(f.seen)
	return nil
}

// Free implements bootloader.Files.
func (f *CutFiles) Free() (int64, error) {
	free := f.Capacity
	for _, text := range f.seen {
		free -= int64(len(text))
	}
	return free, nil
}

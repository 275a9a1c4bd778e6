package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
)

// Files writes the files of write_files. Those that lie where a service sees a
// directory of the machine go there; all others go into the service's own root
// file system, which is made anew whenever the service starts: see FilesFor.
func Files(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	w, err := newFileWriter(h, cfg)
	if err != nil {
		return Outcome{}, err
	}
	defer w.unlock()
	first := !h.present(appliedDir + "/" + filesRecord + ".json")
	for _, service := range w.services() {
		root, binds := h.Services.Files(service)
		w.service(service, root, binds)
	}
	for _, key := range slices.Sorted(maps.Keys(w.record)) {
		if w.kept[key] {
			continue
		}
		service, _ := cutKey(key)
		root, binds := h.Root, []Bind(nil)
		if service != "" {
			root, binds = h.Services.Files(service)
		}
		if root != "" { // else it is gone with its root, or will be seen to by FilesFor
			w.undo(key, tree{h, service, root, binds})
		}
	}
	if first {
		w.outcome.Notes = nil // of course nothing is running yet
	}
	w.failed(h.remember(filesRecord, w.record))
	return w.outcome, errors.Join(w.errs...)
}

// FilesFor writes the files that a service sees before it starts. Who starts
// containers calls it between the creation of the container and its start,
// with the root of the container as it can be reached from the host.
func FilesFor(h *Host, cfg *config.Config, service, root string) error {
	w, err := newFileWriter(h, cfg)
	if err != nil {
		return err
	}
	defer w.unlock()
	w.errs = nil // those of entries that cannot be read are for Files to tell
	_, binds := h.Services.Files(service)
	w.service(service, root, binds)
	for _, key := range slices.Sorted(maps.Keys(w.record)) {
		if of, _ := cutKey(key); of == service && !w.kept[key] {
			w.undo(key, tree{h, service, root, binds})
		}
	}
	w.failed(h.remember(filesRecord, w.record))
	return errors.Join(w.errs...)
}

// filesRecord is what is remembered: what was written, by key. A key is the
// path of a file of the machine, or SERVICE:PATH of one in a service's root.
const filesRecord = "files"

// written is a file as it was left.
type written struct {
	Sum    string   // of its text
	Before *content // what it took the place of
	Added  [][]byte // if not nil: only these were added to it
}

// cutKey gives the service, "" for a file of the machine, and the path.
func cutKey(key string) (service, path string) {
	if strings.HasPrefix(key, "/") {
		return "", key
	}
	service, path, _ = strings.Cut(key, ":")
	return service, path
}

// fileWriter makes files what the config says.
type fileWriter struct {
	h       *Host
	lock    *os.File
	entries []fileEntry
	record  map[string]written
	kept    map[string]bool // keys that the config names, or that may be named
	outcome Outcome
	errs    []error
}

// newFileWriter waits for the one that is at work: services start beside each
// other, and all of them share the record.
func newFileWriter(h *Host, cfg *config.Config) (*fileWriter, error) {
	if err := os.MkdirAll(h.Path(appliedDir), 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(h.Path(appliedDir, filesRecord+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	w := &fileWriter{h: h, lock: lock, record: map[string]written{}, kept: map[string]bool{}}
	if err = errors.Join(err, h.recall(filesRecord, &w.record)); err != nil {
		lock.Close()
		return nil, err
	}
	var errs []error
	w.entries, errs = readEntries(cfg.WriteFiles)
	for i := range w.entries {
		w.entries[i].console = h.console()
	}
	w.errs = errs
	return w, nil
}

func (w *fileWriter) unlock() { w.lock.Close() }

func (w *fileWriter) failed(err error) {
	if err != nil {
		w.errs = append(w.errs, err)
	}
}

func (w *fileWriter) did(what string) {
	if !slices.Contains(w.outcome.Did, what) { // the same for console and ssh
		w.outcome.Did = append(w.outcome.Did, what)
	}
}

// services are those that entries name. An entry that names none is for both
// places where an operator logs in.
func (w *fileWriter) services() []string {
	var list []string
	for _, e := range w.entries {
		list = append(list, e.services()...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// service writes the files of one service. root is "" if it is not running.
func (w *fileWriter) service(service, root string, binds []Bind) {
	t := tree{w.h, service, root, binds}
	for _, f := range fold(w.entries, service) {
		err := w.write(t, f)
		switch {
		case errors.Is(err, errNotRunning):
			w.keepAll(service)
			w.outcome.Notes = append(w.outcome.Notes, fmt.Sprintf("%s of %s is written when %s starts", f.path, service, service))
		case err != nil:
			w.failed(fmt.Errorf("write_files: cannot write %s of %s: %w", f.path, service, err))
			w.keepAll(service)
		}
	}
}

// keepAll keeps what is remembered of a service: where a file is that cannot
// be reached is not known, and what it may be must not be taken for gone.
func (w *fileWriter) keepAll(service string) {
	for key := range w.record {
		if of, _ := cutKey(key); of == service {
			w.kept[key] = true
		}
	}
}

func (w *fileWriter) write(t tree, f file) error {
	d, name, err := t.parent(f.path, true)
	if err != nil {
		return err
	}
	defer d.close()
	if d.readOnly != "" {
		return t.sealed(d)
	}
	now, err := d.read(name)
	if err != nil {
		return err
	}
	want, err := t.wanted(f, now)
	if err != nil {
		return err
	}
	key := d.key(t.service, name)
	w.kept[key] = true
	was, known := w.record[key]
	entry := written{Sum: sumOf(want.Text), Before: was.Before}
	if now != nil && (!known || sumOf(now.Text) != was.Sum) && !now.equal(want) {
		entry.Before = now.small()
	}
	if !f.replace {
		entry.Added = f.parts
	}
	if now == nil || !now.equal(want) {
		if err := d.write(name, want); err != nil {
			return err
		}
		w.did("wrote " + f.path + inService(t.service))
	}
	w.record[key] = entry
	return nil
}

func inService(service string) string {
	if service == "" || slices.Contains(loginServices, service) {
		return ""
	}
	return " in " + service
}

// undo takes back what was written, unless somebody has changed it since.
func (w *fileWriter) undo(key string, t tree) {
	_, path := cutKey(key)
	did, note, err := t.undo(path, w.record[key])
	if err != nil {
		w.failed(fmt.Errorf("write_files: cannot take back %s: %w", path, err))
		return
	}
	delete(w.record, key)
	if did != "" {
		w.did(did + " " + path + inService(t.service))
	}
	if note != "" {
		w.outcome.Notes = append(w.outcome.Notes, path+" "+note)
	}
}

func (t tree) undo(path string, was written) (did, note string, err error) {
	d, name, err := t.parent(path, false)
	if errors.Is(err, unix.ENOENT) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	defer d.close()
	now, err := d.read(name)
	if err != nil || now == nil {
		return "", "", err
	}
	rest := was.Before
	switch {
	case was.Added != nil:
		text, ok := cutOut(now.Text, was.Added)
		if !ok {
			return "", "was changed since; what was added to it may still be there", nil
		}
		if len(text) > 0 || was.Before != nil {
			rest = &content{Text: text, Mode: now.Mode, UID: now.UID, GID: now.GID}
		}
	case now.Link != "" || sumOf(now.Text) != was.Sum:
		return "", "was changed since it was written, so it stays", nil
	}
	if rest == nil {
		return "removed", "", d.remove(name)
	}
	return "put back", "", d.write(name, *rest)
}

func sumOf(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}

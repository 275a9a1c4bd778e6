package stateformat_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/stateformat"
)

// rename is a migration that a reader of the old format would not understand.
func rename(from, to string) stateformat.Migration {
	return stateformat.Migration{Name: from + " becomes " + to, Forward: func(dir string) error {
		return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))
	}}
}

// formats are releases: each knows one migration more than the one before it.
var formats = [][]stateformat.Migration{
	nil,
	{rename("one", "two")},
	{rename("one", "two"), rename("two", "three")},
}

func newFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "conf")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "one", "first")
	put(t, dir, "sub/kept", "below")
	if err := os.Symlink("sub/kept", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// open is a boot of the release with that index.
func open(t *testing.T, dir string, release int) string {
	t.Helper()
	note, err := stateformat.Open(dir, formats[release])
	if err != nil {
		t.Fatalf("Open by release %d: %v", release, err)
	}
	again, err := stateformat.Open(dir, formats[release])
	if err != nil || again != "" {
		t.Fatalf("Open a second time = %q, %v; want nothing to do", again, err)
	}
	return note
}

// has checks which of the three names the folder has, and what is in it.
func has(t *testing.T, dir, name, text string) {
	t.Helper()
	for _, n := range []string{"one", "two", "three"} {
		got, err := os.ReadFile(filepath.Join(dir, n))
		switch {
		case n == name && (err != nil || string(got) != text):
			t.Errorf("%s = %q, %v; want %q", n, got, err, text)
		case n != name && err == nil:
			t.Errorf("%s is there too", n)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "link")); err != nil || string(got) != "below" {
		t.Errorf("link = %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".was-in-use")); err == nil {
		t.Error("the folder in use is marked as an old one")
	}
}

func TestForwardAndBack(t *testing.T) {
	dir := newFolder(t)
	if note := open(t, dir, 0); note != "" {
		t.Errorf("the first release has something to do: %s", note)
	}
	want := dir + " was brought from format 1 to 3 (one becomes two, two becomes three); what it was is in " + dir + ".format-1"
	if note := open(t, dir, 2); note != want {
		t.Errorf("note = %q, want %q", note, want)
	}
	has(t, dir, "three", "first")
	info, err := os.Stat(filepath.Join(dir, "three"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v, %v; want 0640", info.Mode(), err)
	}
	put(t, dir, "three", "written on trial")

	// The trial fails; the old release comes back.
	want = dir + " was of format 3, which a newer release wrote; what it was before is back, and what that release wrote is in " + dir + ".format-3"
	if note := open(t, dir, 0); note != want {
		t.Errorf("note = %q, want %q", note, want)
	}
	has(t, dir, "one", "first")
	put(t, dir, "one", "changed since")

	// Tried again, it starts from what counts now.
	open(t, dir, 2)
	has(t, dir, "three", "changed since")
}

func TestBackToBetween(t *testing.T) {
	dir := newFolder(t)
	open(t, dir, 2)
	open(t, dir, 1) // never ran before: it brings the copy of format 1 forward
	has(t, dir, "two", "first")
	open(t, dir, 0)
	has(t, dir, "one", "first")
}

func TestNothingThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "conf")
	if note, err := stateformat.Open(dir, formats[2]); note != "" || err != nil {
		t.Errorf("Open = %q, %v; want nothing", note, err)
	}
}

func TestFaults(t *testing.T) {
	newer := newFolder(t)
	put(t, newer, ".format", "7\n")
	odd := newFolder(t)
	put(t, odd, ".format", "x\n")
	failing := newFolder(t)
	boom := []stateformat.Migration{{Name: "splitting", Forward: func(string) error { return errors.New("no room") }}}
	for _, tt := range []struct {
		name, dir  string
		migrations []stateformat.Migration
		want       string
	}{
		{"no copy from before", newer, nil, `cannot bring "` + newer + `" to format 1: it is of format 7, which a newer release wrote, and there is no copy from before`},
		{"no number", odd, nil, `cannot bring "` + odd + `" to format 1: "` + odd + `/.format" does not hold the number of a format: "x\n"`},
		{"migration fails", failing, boom, `cannot bring "` + failing + `" to format 2: splitting: no room`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := stateformat.Open(tt.dir, tt.migrations)
			if err == nil || err.Error() != tt.want {
				t.Fatalf("Open = %v, want %s", err, tt.want)
			}
			has(t, tt.dir, "one", "first")
		})
	}
}

// TestCut leaves behind what a power cut would, at each place where it makes a
// difference, and boots again.
func TestCut(t *testing.T) {
	t.Run("half a copy", func(t *testing.T) {
		dir := newFolder(t)
		if err := os.Mkdir(dir+".new", 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, dir+".new", "one", "fir")
		open(t, dir, 1)
		has(t, dir, "two", "first")
	})
	t.Run("a copy that is done but not in its place", func(t *testing.T) {
		dir := newFolder(t)
		if err := os.Mkdir(dir+".new", 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, dir+".new", "two", "old copy")
		put(t, dir+".new", ".format", "2\n")
		open(t, dir, 1)
		has(t, dir, "two", "first")
	})
	t.Run("exchanged, the old one without its name", func(t *testing.T) {
		dir := newFolder(t)
		open(t, dir, 1)
		if err := os.Rename(dir+".format-1", dir+".new"); err != nil {
			t.Fatal(err)
		}
		open(t, dir, 0)
		has(t, dir, "one", "first")
	})
}

func TestOneCopyOfAFormat(t *testing.T) {
	dir := newFolder(t)
	for range 3 {
		open(t, dir, 1)
		open(t, dir, 0)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"conf", "conf.format-2"}, names); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
}

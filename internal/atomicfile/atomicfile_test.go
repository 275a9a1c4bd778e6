package atomicfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/atomicfile"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	for _, tt := range []struct {
		data string
		perm os.FileMode
	}{{"one", 0o600}, {"", 0o644}, {"three\n", 0o777}} {
		if err := atomicfile.WriteFile(path, []byte(tt.data), tt.perm); err != nil {
			t.Fatalf("WriteFile(%q) = %v, want nil", tt.data, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != tt.data {
			t.Errorf("content = %q, %v, want %q", got, err, tt.data)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != tt.perm {
			t.Errorf("mode = %v, %v, want %v", st.Mode(), err, tt.perm)
		}
	}
	wantOnly(t, filepath.Dir(path), "conf")
}

func TestWriteFileReplacesSymlink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.WriteFile(link, []byte("new"), 0o644); err != nil {
		t.Fatalf("WriteFile = %v, want nil", err)
	}
	if got, _ := os.ReadFile(target); string(got) != "old" {
		t.Errorf("target = %q, want it untouched", got)
	}
}

func TestWriteFileErrors(t *testing.T) {
	dir := t.TempDir()

	missing := filepath.Join(dir, "no", "conf")
	err := atomicfile.WriteFile(missing, nil, 0o644)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), `cannot write file "`+missing+`": `) {
		t.Errorf("WriteFile(%q) = %v, want it to name the file and not exist", missing, err)
	}

	// A directory that is not empty cannot be replaced: nothing may stay beside it.
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(taken, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.WriteFile(taken, []byte("x"), 0o644); err == nil {
		t.Errorf("WriteFile(%q) = nil, want an error", taken)
	}
	wantOnly(t, dir, "taken")
}

func wantOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("ReadDir(%q) = %v, %v, want only %q", dir, entries, err, name)
	}
}

package bootlog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/bootlog"
)

func TestWriteThenRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "boot.json")
	want := bootlog.Record{
		Version:  "v0.1.0",
		Slot:     "iso",
		State:    "RAM",
		Warnings: []string{"no state disk"},
		Phases: []bootlog.Phase{
			{Name: "verity", Stage: 1, Required: true, Start: 1.5, End: 1.625, Detail: "slot iso"},
			{Name: "state", Stage: 1, Start: 1.625, End: 2, Error: "cannot find state disk"},
		},
	}
	for range 2 { // the second write replaces the first
		if err := bootlog.Write(path, want); err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
	got, err := bootlog.Read(path)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record differs (-want +got):\n%s", diff)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("directory holds %v (%v), want the record alone", entries, err)
	}
}

func TestReadNamesTheFault(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{broken, filepath.Join(dir, "missing.json")} {
		_, err := bootlog.Read(path)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Read(%q) error = %v, want one that names the file", path, err)
		}
	}
}

func TestNowGoesForward(t *testing.T) {
	a := bootlog.Now()
	b := bootlog.Now()
	if a <= 0 || b < a {
		t.Errorf("Now() = %v, then %v", a, b)
	}
}

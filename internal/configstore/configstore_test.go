package configstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/configstore"
)

// files is the content of every file of a store that somebody may look at.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".lock" {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if !d.Type().IsRegular() {
			found[name] = d.Type().String()
			return nil
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s is %v, want 0600: there may be a password in it", name, info.Mode())
		}
		text, err := os.ReadFile(path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// lay makes a store with these files. A name that ends with "/" is a folder.
func lay(t *testing.T, content map[string]string) (configstore.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "conf")
	for name, text := range content {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o700)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return configstore.New(dir), dir
}

func sum(t *testing.T, s configstore.Store) string {
	t.Helper()
	sum, err := s.Sum()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// wantConflict checks that err is one.
func wantConflict(t *testing.T, err error, want string) {
	t.Helper()
	var conflict *configstore.ConflictError
	if !errors.As(err, &conflict) || err.Error() != want {
		t.Errorf("error = %v, want the conflict %q", err, want)
	}
}

func TestWrite(t *testing.T) {
	s, dir := lay(t, nil)
	if got := sum(t, s); got != "" {
		t.Errorf("sum of no file is %q", got)
	}
	if err := s.Write([]byte("hostname: a\n"), ""); err != nil {
		t.Fatal(err)
	}
	// printf 'hostname: a\n' | sha256sum
	const want = "642fe4ef859a751b27696a6878326264f711e3e7a5e6fd376918fbc5a003a348"
	if got := sum(t, s); got != want {
		t.Errorf("sum is %q, want %q", got, want)
	}
	was := sum(t, s)
	if err := s.Write([]byte("hostname: b\n"), was); err != nil {
		t.Fatal(err)
	}
	for _, stale := range []string{was, ""} {
		wantConflict(t, s.Write([]byte("hostname: c\n"), stale), s.File()+" has been changed meanwhile; nothing was written")
	}
	if diff := cmp.Diff(map[string]string{"cloud-config.yml": "hostname: b\n"}, files(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder is %v, %v; want 0700", info.Mode(), err)
	}
}

func TestWriteDoesNotReplaceWhatIsNoFile(t *testing.T) {
	for _, tt := range []struct {
		name string
		lay  func(path string) error
	}{
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }},
		{"a pipe", func(path string) error { return unix.Mkfifo(path, 0o600) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, dir := lay(t, map[string]string{"cloud-config.d/": ""})
			if err := tt.lay(filepath.Join(dir, "cloud-config.yml")); err != nil {
				t.Fatal(err)
			}
			err := s.Write([]byte("hostname: a\n"), "")
			if want := "cannot read what is to be replaced: " + s.File() + ": is not a regular file"; err == nil || err.Error() != want {
				t.Errorf("Write() error = %v, want %s", err, want)
			}
		})
	}
}

func TestTrial(t *testing.T) {
	trial := configstore.Trial{Boot: "b1", Until: 100}
	for _, tt := range []struct {
		name   string
		before map[string]string
		end    func(configstore.Store) error
		want   map[string]string
	}{
		{
			name: "confirmed", before: map[string]string{"cloud-config.yml": "old"}, end: configstore.Store.Confirm,
			want: map[string]string{"cloud-config.yml": "new"},
		},
		{
			name: "taken back", before: map[string]string{"cloud-config.yml": "old"}, end: configstore.Store.Revert,
			want: map[string]string{"cloud-config.yml": "old", "cloud-config.yml.before-rollback": "new"},
		},
		{
			name: "taken back to no file at all", end: configstore.Store.Revert,
			want: map[string]string{"cloud-config.yml.before-rollback": "new"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, dir := lay(t, tt.before)
			if err := s.Try([]byte("new"), sum(t, s), trial); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&trial, s.Trial()); diff != "" {
				t.Errorf("trial (-want +got):\n%s", diff)
			}
			const busy = "a change is on trial: confirm it (ros config confirm) or take it back (ros config rollback) first"
			wantConflict(t, s.Write([]byte("x"), sum(t, s)), busy)
			wantConflict(t, s.Try([]byte("x"), sum(t, s), trial), busy)
			if err := s.KeepGood(); err != nil || s.LastGood() != nil {
				t.Errorf("KeepGood() while on trial: %v, last good %v; want none", err, s.LastGood())
			}
			if err := tt.end(s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, files(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if got := s.Trial(); got != nil {
				t.Errorf("still on trial: %v", got)
			}
			wantConflict(t, s.Confirm(), "nothing is on trial; perhaps the time was over and the change has been taken back")
			if err := s.Revert(); err != nil {
				t.Errorf("Revert() of nothing: %v", err)
			}
		})
	}
}

// TestTrialAfterPowerCut starts from what the folder can look like when the
// power goes.
func TestTrialAfterPowerCut(t *testing.T) {
	const state = `{"boot":"b1","until":100}`
	for _, tt := range []struct {
		name   string
		before map[string]string
		want   map[string]string
	}{
		{
			name:   "before the new file was there",
			before: map[string]string{"cloud-config.yml": "old", "trial/cloud-config.yml": "old", "trial/trial.json": state},
			want:   map[string]string{"cloud-config.yml": "old"},
		},
		{
			name:   "before the trial was over",
			before: map[string]string{"cloud-config.yml": "old", "cloud-config.yml.before-rollback": "new", "trial/cloud-config.yml": "old", "trial/trial.json": state},
			want:   map[string]string{"cloud-config.yml": "old", "cloud-config.yml.before-rollback": "new"},
		},
		{
			name:   "and the disk lost what the trial was",
			before: map[string]string{"cloud-config.yml": "new", "trial/": ""},
			want:   map[string]string{"cloud-config.yml": "new"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, dir := lay(t, tt.before)
			if s.Trial() == nil {
				t.Error("nothing is on trial")
			}
			if err := s.Revert(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, files(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLastGood(t *testing.T) {
	s, dir := lay(t, map[string]string{
		"cloud-config.yml": "good", "cloud-config.d/10-a.yml": "a", "cloud-config.d/20-b.yaml": "b",
		"cloud-config.d/notes.txt": "not config", "cloud-config.d/.hidden.yml": "not config",
	})
	wantConflict(t, s.Rollback(), "there is no last good config yet: one is kept when all required services have been well for a while")
	for range 2 { // twice is once
		if err := s.KeepGood(); err != nil {
			t.Fatal(err)
		}
	}
	first := s.LastGood()
	if first == nil {
		t.Fatal("no last good config")
	}
	const same = "cloud-config.yml and cloud-config.d are those of the last good config already"
	wantConflict(t, s.Rollback(), same)

	for name, text := range map[string]string{"cloud-config.yml": "bad", "cloud-config.d/10-a.yml": "bad a", "cloud-config.d/30-c.yml": "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Rollback(); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"cloud-config.yml":                         "good",
		"cloud-config.yml.before-rollback":         "bad",
		"cloud-config.d/10-a.yml":                  "a",
		"cloud-config.d/20-b.yaml":                 "b",
		"cloud-config.d.before-rollback/10-a.yml":  "bad a",
		"cloud-config.d.before-rollback/20-b.yaml": "b",
		"cloud-config.d.before-rollback/30-c.yml":  "c",
		"cloud-config.d.before-rollback/notes.txt": "not config", "cloud-config.d.before-rollback/.hidden.yml": "not config",
		"last-good/cloud-config.yml":         "good",
		"last-good/cloud-config.d/10-a.yml":  "a",
		"last-good/cloud-config.d/20-b.yaml": "b",
	}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Errorf("files after the rollback (-want +got):\n%s", diff)
	}
	wantConflict(t, s.Rollback(), same)

	// Another good one takes its place, whole.
	if err := os.WriteFile(s.File(), []byte("better"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.FileDir()); err != nil {
		t.Fatal(err)
	}
	if err := s.KeepGood(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"cloud-config.yml": "better"}, files(t, filepath.Join(dir, "last-good"))); diff != "" {
		t.Errorf("last good (-want +got):\n%s", diff)
	}
}

func TestRollbackToNoConfigAtAll(t *testing.T) {
	s, dir := lay(t, nil)
	if err := s.KeepGood(); err != nil {
		t.Fatal(err)
	}
	if err := s.Write([]byte("bad"), ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Rollback(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"cloud-config.yml.before-rollback": "bad"}, files(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestRollbackFromWhatCannotBeRead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(path string) error
		want  string // what the file that was replaced is
	}{
		{"too large", func(path string) error { return os.WriteFile(path, make([]byte, 2<<20), 0o600) }, string(make([]byte, 2<<20))},
		{"a pipe", func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) }, "p---------"},
		{"a folder", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, dir := lay(t, map[string]string{"cloud-config.yml": "good"})
			if err := s.KeepGood(); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(s.File()); err != nil {
				t.Fatal(err)
			}
			if err := s.Rollback(); err != nil {
				t.Fatal(err)
			}
			got := files(t, dir)
			if got["cloud-config.yml"] != "good" || got["cloud-config.yml.before-rollback"] != tt.want {
				t.Errorf("cloud-config.yml is %q; what it replaced has %d bytes, want %d", got["cloud-config.yml"], len(got["cloud-config.yml.before-rollback"]), len(tt.want))
			}
		})
	}
}

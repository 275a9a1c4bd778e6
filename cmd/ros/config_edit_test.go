package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/control"
)

// edits is a machine whose editor is a line of shell ("$1" is the file), and
// whose operator answers with the words given.
func edits(t *testing.T, rosd *fakeRosd, editor, answers string) *app {
	t.Helper()
	a := configured(t, rosd)
	a.getenv = func(name string) string {
		if name == "EDITOR" {
			return editor + ` #`
		}
		return ""
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := w.WriteString(answers); err != nil {
		t.Fatal(err)
	}
	w.Close()
	a.stdin = r
	return a
}

// copies are the copies that editing has left behind.
func (a *app) copies(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(a.conf, ".edit-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestConfigEdit(t *testing.T) {
	rosd := &fakeRosd{}
	a := edits(t, rosd, `sed -i s/edge-6/edge-7/ "$1"`, "")
	check(t, a, "ros config edit", result{out: "hostname: edge-6 -> edge-7 (at once)\nwritten\nnothing on the machine had to change\n"})
	if diff := cmp.Diff(strings.Replace(edge, "edge-6", "edge-7", 1), rosd.wrote); diff != "" {
		t.Errorf("cloud-config.yml (-want +got):\n%s", diff)
	}
	if left := a.copies(t); len(left) > 0 {
		t.Errorf("editing leaves %q", left)
	}

	a = edits(t, rosd, "true", "")
	check(t, a, "ros config edit", result{out: "nothing to do: DIR/conf/cloud-config.yml says so already\n"})
	a = edits(t, rosd, "false", "")
	check(t, a, "ros config edit", result{code: 1, err: "ros: cannot edit with \"false #\": exit status 1\n"})
	if left := a.copies(t); len(left) > 0 {
		t.Errorf("editing leaves %q", left)
	}
}

// The editor makes a fault first and mends it when it is asked again.
func TestConfigEditAgain(t *testing.T) {
	rosd := &fakeRosd{}
	a := edits(t, rosd, `if grep -q hostnam: "$1"; then sed -i s/hostnam:/hostname:/ "$1"; else sed -i 's/hostname: edge-6/hostnam: edge-7/' "$1"; fi`, "y\n")
	check(t, a, "ros config edit", result{
		out: "Edit again? [Y/n] hostname: edge-6 -> edge-7 (at once)\nwritten\nnothing on the machine had to change\n",
		err: "cannot use this: line 4: hostnam: unknown key (did you mean \"hostname\"?)\n",
	})
}

// What was written is never lost.
func TestConfigEditKeepsTheCopy(t *testing.T) {
	broken := `sed -i 's/hostname:/hostname/' "$1"`
	for _, tt := range []struct {
		name, editor, answers string
		rosd                  *fakeRosd
	}{
		{"the operator gives up", broken, "n\n", &fakeRosd{}},
		{"nobody is there to ask", broken, "", &fakeRosd{}},
		{"somebody else has written", `sed -i s/edge-6/edge-7/ "$1"`, "", &fakeRosd{refuses: &control.Error{Message: "changed meanwhile"}}},
		{"the editor fails in the end", `sed -i s/edge-6/edge-7/ "$1"; exit 3`, "", &fakeRosd{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := edits(t, tt.rosd, tt.editor, tt.answers)
			got := a.try("ros config edit")
			left := a.copies(t)
			if got.code != 1 || len(left) != 1 || !strings.HasSuffix(got.err, "; what you wrote is in "+left[0]+"\ntry: sudo ros config edit -i "+left[0]+"\n") {
				t.Fatalf("ends with %d, says %q and leaves %q", got.code, got.err, left)
			}
			if info, err := os.Stat(left[0]); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the copy has mode %v, %v", info.Mode(), err)
			}
			if a.cloudConfig(t) != edge || tt.rosd.wrote != "" {
				t.Errorf("something was written")
			}
			// And it can be gone on with.
			b := edits(t, &fakeRosd{}, `sed -i 's/hostname edge-6/hostname: edge-9/' "$1"`, "")
			if got := b.try("ros config edit -i " + left[0]); got.code != 0 {
				t.Errorf("going on with the copy ends with %d, %q", got.code, got.err)
			}
		})
	}
}

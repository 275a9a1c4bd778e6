package yamldoc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/yamldoc"
)

// What is wrong with whole files is tested where it is said, in packages
// compose and config.

func TestPlaces(t *testing.T) {
	doc, faults := yamldoc.Parse([]byte("a: 1\nb:\n  - c: x\n    d:\n      e: f\n  - *x\n"))
	if doc != nil || len(faults) != 1 {
		t.Fatalf("Parse of an unknown alias = %v, %v, want one fault", doc, faults)
	}
	doc, faults = yamldoc.Parse([]byte("a: &x 1\nb:\n  - c: x\n    d:\n      e: f\n  - *x\n"))
	if len(faults) > 0 {
		t.Fatalf("Parse faults = %v, want none", faults)
	}
	var got []string
	var walk func(v yamldoc.Value)
	walk = func(v yamldoc.Value) {
		if v.Path != nil {
			got = append(got, strings.Join([]string{v.Path.String(), v.Text(), string(rune('0' + v.Line))}, "|"))
		}
		for _, p := range v.Pairs() {
			walk(p.Value)
		}
		for _, item := range v.Items() {
			walk(item)
		}
	}
	walk(doc.Root())
	want := []string{"a|1|1", "b||2", "b[0]||3", "b[0].c|x|3", "b[0].d||4", "b[0].d.e|f|5", "b[1]|1|6"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("path|text|line (-want +got):\n%s", diff)
	}
}

func TestMerge(t *testing.T) {
	doc, _ := yamldoc.Parse([]byte("x: &x {a: 1, b: 2}\ny: &y {<<: *x, b: 3, c: 4}\nz: {c: 5, <<: [*y, *x]}\n"))
	var got []string
	for _, p := range doc.Root().Pairs()[2].Value.Pairs() {
		got = append(got, p.Key+"="+p.Value.Text())
	}
	if diff := cmp.Diff([]string{"c=5", "b=3", "a=1"}, got); diff != "" {
		t.Errorf("z (-want +got):\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"image", "restart", "depends_on", "read_only", "tty", "init", "command"}
	for word, want := range map[string]string{
		"imge": "image", "Image": "image", "restrat": "restart", "depends-on": "depends_on", "dependsOn": "depends_on", "readonly": "read_only",
		"comand": "command", "ttx": "tty", "int": "init", "": "", "x": "", "volumes": "", "ports": "", strings.Repeat("image", 100): "",
	} {
		if got := yamldoc.Nearest(word, known); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestNewScalar(t *testing.T) {
	for text, want := range map[string]string{"a": "a", "[a, b]": "a b", "[a": "[a", "": "", "12": "12", "a: b": "a: b"} {
		v := yamldoc.NewScalar(text, nil)
		got := v.Text()
		for i, item := range v.Items() {
			got += strings.Repeat(" ", min(i, 1)) + item.Text()
		}
		if got != want {
			t.Errorf("NewScalar(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, make([]byte, yamldoc.MaxSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := yamldoc.Read(path); err != nil || len(data) != yamldoc.MaxSize {
		t.Errorf("Read of the largest file = %d bytes, %v", len(data), err)
	}
	for path, want := range map[string]string{
		filepath.Dir(path): "is not a regular file",
		path + "y":         "cannot stat it: no such file or directory",
		"/dev/zero":        "is not a regular file",
	} {
		if _, err := yamldoc.Read(path); err == nil || err.Error() != want {
			t.Errorf("Read(%q) error = %v, want %s", path, err, want)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPathOrName(t *testing.T) {
	dir, root := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"os.tar", "debian", root + dir + "/os.tar", root + dir + "/debian"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for word, want := range map[string]string{
		"":                    "",
		"debian":              "debian", // a name, though there is such a file
		"./debian":            dir + "/debian",
		"os.tar":              dir + "/os.tar",
		"other.tar":           "other.tar", // no such file
		"./other.tar":         dir + "/other.tar",
		"../x":                filepath.Dir(dir) + "/x",
		".":                   dir,
		dir + "/os.tar":       dir + "/os.tar",
		"example.com/os:v1":   "example.com/os:v1",
		"https://a.test/o.gz": "https://a.test/o.gz",
	} {
		if got, err := pathOrName(word, root); err != nil || got != want {
			t.Errorf("pathOrName(%q) = %q, %v, want %q", word, got, err, want)
		}
	}
	if err := os.Remove(root + dir + "/os.tar"); err != nil {
		t.Fatal(err)
	}
	if got, err := pathOrName("os.tar", root); err == nil || !strings.Contains(err.Error(), dir+"/os.tar: it is in the console only") {
		t.Errorf("a file that the system does not see: %q, %v", got, err)
	}
}

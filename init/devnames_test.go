package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNameDescriptors: a program finds its own files below fd, and a second time
// is not one too many.
func TestNameDescriptors(t *testing.T) {
	dev := t.TempDir()
	for range 2 {
		if err := nameDescriptors(dev); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("cat", filepath.Join(dev, "stdin"), filepath.Join(dev, "fd/3"))
	cmd.Stdin = strings.NewReader("from stdin, ")
	three, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer three.Close()
	if _, err := three.WriteString("from 3"); err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{three}
	if out, err := cmd.Output(); err != nil || string(out) != "from stdin, from 3" {
		t.Errorf("cat prints %q, %v", out, err)
	}
}

package repo_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rosteros/ros/tests/repo"
)

func top(t *testing.T) string {
	t.Helper()
	dir, err := repo.Top()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func files(t *testing.T) []repo.File {
	t.Helper()
	all, err := repo.Files(top(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("the tree has no files")
	}
	return all
}

func file(t *testing.T, name string) repo.File {
	t.Helper()
	for _, f := range files(t) {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("the tree has no %s", name)
	return repo.File{}
}

func stderr(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}

// needTool finds a program that a rule needs. At home the rule is left out
// without it; where it counts, it must be there.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

func TestLicense(t *testing.T) {
	text := file(t, "LICENSE").Text
	for _, want := range []string{"Apache License", "Version 2.0, January 2004"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("LICENSE does not say %q", want)
		}
	}
}

// longest is how many lines a Go file may have. One that is longer is two.
const longest = 600

func TestFileLength(t *testing.T) {
	for _, f := range files(t) {
		if lines := bytes.Count(f.Text, []byte("\n")); f.Ext() == ".go" && lines > longest {
			t.Errorf("%s has %d lines, at most %d", f.Name, lines, longest)
		}
	}
}

// ordinary are directories that exist on many machines: naming them gives
// nothing away.
var ordinary = []string{"/", "/home", "/root", "/opt", "/usr", "/srv", "/tmp", "/var", "/mnt", "/media", "/src", "/build"}

// machinePaths are directories of the machine we run on that no file may name.
func machinePaths(t *testing.T) []string {
	dir := top(t)
	paths := []string{dir + "/"}
	if parent := filepath.Dir(dir); !slices.Contains(ordinary, parent) {
		paths = append(paths, parent+"/")
	}
	if out, err := exec.Command("go", "env", "GOMODCACHE").Output(); err == nil {
		paths = append(paths, strings.TrimSpace(string(out)))
	}
	// Beside the tree there may be things that a clone does not have.
	return append(paths, ".."+"/shared")
}

// registryHosts are servers that packages come from. Which one a build uses is
// the business of the clients' own settings, so none is named. (Nor here, in
// one piece.)
func registryHosts() []string {
	hosts := []string{
		"deb." + "debian.org", "security." + "debian.org", "archive." + "ubuntu.com",
		"proxy." + "golang.org", "sum." + "golang.org",
		"registry-1." + "docker.io", "index." + "docker.io", "registry." + "npmjs.org", "pypi" + ".org", "ghcr" + ".io", "quay" + ".io",
	}
	var settings []byte
	if out, err := exec.Command("go", "env", "GOPROXY").Output(); err == nil {
		settings = append(settings, out...)
	}
	lists, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, name := range append(lists, "/etc/apt/sources.list") {
		text, _ := os.ReadFile(name) // not every machine has them
		settings = append(settings, text...)
	}
	for _, m := range regexp.MustCompile(`https?://(?:[^/\s@]*@)?([^/\s,|:]+)`).FindAllSubmatch(settings, -1) {
		hosts = append(hosts, string(m[1]))
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func TestNothingOfThisMachine(t *testing.T) {
	paths, hosts := machinePaths(t), registryHosts()
	for _, f := range files(t) {
		if f.Binary() || f.Name == "LICENSE" {
			continue
		}
		for i, line := range bytes.Split(f.Text, []byte("\n")) {
			for _, path := range paths {
				if bytes.Contains(line, []byte(path)) {
					t.Errorf("%s:%d: a path of this machine: %s", f.Name, i+1, path)
				}
			}
			for _, host := range hosts {
				if bytes.Contains(line, []byte(host)) {
					t.Errorf("%s:%d: the host of a package registry: %s", f.Name, i+1, host)
				}
			}
		}
	}
}

// unfinished are words of somebody who has not finished.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

func TestNothingUnfinished(t *testing.T) {
	for _, f := range files(t) {
		if !slices.Contains([]string{".go", ".sh", ".yml"}, f.Ext()) {
			continue
		}
		for i, line := range bytes.Split(f.Text, []byte("\n")) {
			if unfinished.Match(line) {
				t.Errorf("%s:%d: not finished: %s", f.Name, i+1, bytes.TrimSpace(line))
			}
		}
	}
}

var skip = regexp.MustCompile(`\b[tb]\.Skip(f|Now)?\(`)

// A test may be left out at home for want of a tool, but not where it counts.
func TestNoSilentSkips(t *testing.T) {
	for _, f := range files(t) {
		if strings.HasSuffix(f.Name, "_test.go") && skip.Match(f.Text) && !bytes.Contains(f.Text, []byte(`os.Getenv("CI")`)) {
			t.Errorf(`%s skips a test and never asks os.Getenv("CI")`, f.Name)
		}
	}
}

var shebang = regexp.MustCompile(`^#!/(usr/)?bin/(env )?(ba|da)?sh\b`)

func TestShellcheck(t *testing.T) {
	program := needTool(t, "shellcheck")
	var scripts []string
	for _, f := range files(t) {
		if shebang.Match(f.Text) {
			scripts = append(scripts, f.Name)
		}
	}
	if len(scripts) == 0 {
		t.Fatal("the tree has no shell scripts")
	}
	cmd := exec.Command(program, append([]string{"-x"}, scripts...)...)
	cmd.Dir = top(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

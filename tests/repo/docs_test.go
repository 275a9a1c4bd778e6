package repo_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	mdFence   = regexp.MustCompile("(?ms)^```.*?^```$")
	notInSlug = regexp.MustCompile(`[^\pL\pN _-]`)
)

func TestLinksInDocs(t *testing.T) {
	dir := top(t)
	for _, f := range files(t) {
		if f.Ext() != ".md" {
			continue
		}
		for _, m := range mdLink.FindAllSubmatch(mdFence.ReplaceAll(f.Text, nil), -1) {
			link := string(m[1])
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue // other people's pages come and go
			}
			name, anchor, _ := strings.Cut(link, "#")
			text := f.Text
			if name != "" {
				path := filepath.Join(dir, filepath.Dir(f.Name), name)
				info, err := os.Stat(path)
				if err != nil {
					t.Errorf("%s: link to %s: there is no such file", f.Name, link)
					continue
				}
				if anchor == "" || info.IsDir() {
					continue
				}
				if text, err = os.ReadFile(path); err != nil {
					t.Fatal(err)
				}
			}
			if anchor != "" && !slices.Contains(anchors(text), anchor) {
				t.Errorf("%s: link to %s: no heading has that anchor", f.Name, link)
			}
		}
	}
}

// anchors are the names that headings get on the web.
func anchors(text []byte) []string {
	var all []string
	for _, m := range mdHeading.FindAllSubmatch(mdFence.ReplaceAll(text, nil), -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(string(m[1])), "")
		all = append(all, strings.ReplaceAll(strings.TrimSpace(slug), " ", "-"))
	}
	return all
}

// docPath is a file of the tree that a text names: docs/boot.md, cmd/forge/iso.go.
var docPath = regexp.MustCompile("(?:^|[\\s`(\"])((?:cmd|docs|images|init|internal|os-services|scripts|tests|config)/[A-Za-z0-9_./-]*[A-Za-z0-9_])")

func TestFilesNamedInDocs(t *testing.T) {
	dir := top(t)
	for _, f := range files(t) {
		if f.Ext() != ".md" {
			continue
		}
		for _, m := range docPath.FindAllSubmatch(f.Text, -1) {
			name := string(m[1])
			if strings.Contains(name, "NAME") || strings.Contains(name, "...") {
				continue // a pattern
			}
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("%s names %s: there is no such file", f.Name, name)
			}
		}
	}
}

var (
	target   = regexp.MustCompile(`(?m)^([a-z][a-z-]*):([^=\n].*|)$`)
	makeCall = regexp.MustCompile("(?m)`make ([a-z][a-z-]*)|^\\s+make ([a-z][a-z-]*)")
)

// notForTyping divides the Makefile: below it stand targets that only others
// need.
const notForTyping = "# --- not for typing"

func TestMakefileIsDocumented(t *testing.T) {
	text := file(t, "Makefile").Text
	public, _, ok := bytes.Cut(text, []byte(notForTyping))
	if !ok {
		t.Fatalf("Makefile lacks the line %q", notForTyping)
	}
	for _, m := range target.FindAllSubmatch(public, -1) {
		if !bytes.Contains(m[2], []byte("## ")) {
			t.Errorf("make %s has no description (## behind its dependencies)", m[1])
		}
	}
	var targets []string
	for _, m := range target.FindAllSubmatch(text, -1) {
		targets = append(targets, string(m[1]))
	}
	for _, f := range files(t) {
		if f.Ext() != ".md" {
			continue
		}
		for _, m := range makeCall.FindAllSubmatch(f.Text, -1) {
			if name := string(m[1]) + string(m[2]); !slices.Contains(targets, name) {
				t.Errorf("%s says make %s: the Makefile has no such target", f.Name, name)
			}
		}
	}
}

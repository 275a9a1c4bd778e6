package config_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
)

const docsFile = "../docs/config.md"

// TestDocs compares docs/config.md with what the types say.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("testdata/config.md.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	page, err := template.New("config.md").Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, map[string]string{"Keys": keyTable(), "Appliers": applierTable(), "Effects": effectTable(t)}); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(docsFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), b.String()); diff != "" {
		t.Errorf("docs/config.md is not what the types say (-page +types):\n%s\ngo test ./config -update writes it", diff)
	}
}

// keyTable has a heading for each group of keys and a row for each key.
func keyTable() string {
	rows := map[string]*strings.Builder{}
	var groups []string
	for _, k := range config.Keys() {
		if k.Doc == "" {
			continue // NAME of a table: its keys follow
		}
		g := groupOf(k)
		if rows[g] == nil {
			rows[g] = &strings.Builder{}
			groups = append(groups, g)
		}
		effect, support := config.Effect(k.Name, k.Applier), "yes"
		if k.None != "" {
			support = "accepted: " + k.None
		}
		fmt.Fprintf(rows[g], "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, cell(k.Type), code(k.Default), cell(meaning(k)), cell(effect), cell(support))
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "### %s\n\n| key | type | default | meaning | takes effect | support |\n|---|---|---|---|---|---|\n%s\n", first(g, "At the top"), rows[g])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// groupOf is the key of the mapping that a key stands in: a key with others
// below it heads its own group.
func groupOf(k config.Key) string {
	name := k.Name
	if !k.Section {
		name = name[:max(0, strings.LastIndexByte(name, '.'))]
	}
	parts := strings.Split(strings.ReplaceAll(name, "[]", ""), ".")
	if parts[0] != "rancher" {
		return parts[0]
	}
	return strings.Join(parts[:min(2, len(parts))], ".")
}

func meaning(k config.Key) string {
	if len(k.Also) > 0 {
		return k.Doc + " Also: `" + strings.Join(k.Also, "`, `") + "`."
	}
	return k.Doc
}

func applierTable() string {
	var b strings.Builder
	keys := map[string][]string{}
	for _, k := range config.Keys() {
		if top := strings.SplitN(k.Name, ".", 3); k.Applier != "" && k.None == "" {
			name := strings.Join(top[:min(2, len(top))], ".")
			if name == "rancher.defaults" {
				name = strings.Join(strings.Split(k.Name, ".")[:3], ".")
			}
			if top[0] != "rancher" {
				name, _, _ = strings.Cut(top[0], "[]")
			}
			if list := keys[k.Applier]; len(list) == 0 || list[len(list)-1] != "`"+name+"`" {
				keys[k.Applier] = append(list, "`"+name+"`")
			}
		}
	}
	for _, a := range config.Appliers {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", a.Name, cell(a.Effect), strings.Join(keys[a.Name], ", "))
	}
	return b.String()
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(text)
}

func code(text string) string {
	if text == "" {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "- ")
	}
	return "`" + strings.Join(lines, "`, `") + "`"
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// TestKeysAreDescribed holds the tags to what docs and editors need.
func TestKeysAreDescribed(t *testing.T) {
	used := map[string]bool{}
	for _, k := range config.Keys() {
		if k.Doc == "" && !strings.HasSuffix(k.Name, "NAME") {
			t.Errorf("%s has no doc", k.Name)
		}
		if k.Doc != "" && !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: doc %q is no sentence", k.Name, k.Doc)
		}
		if strings.HasSuffix(k.None, ".") {
			t.Errorf("%s: none %q ends with a full stop", k.Name, k.None)
		}
		if k.None != "" {
			continue
		}
		used[k.Applier] = true
		if _, ok := config.FindApplier(k.Applier); !ok && k.Name != "rancher" && k.Name != "rancher.defaults" {
			t.Errorf("%s: applier %q is not in the table", k.Name, k.Applier)
		}
	}
	for _, a := range config.Appliers {
		if !used[a.Name] {
			t.Errorf("applier %s has no keys", a.Name)
		}
	}
}

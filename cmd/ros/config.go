package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/control"
)

// configVerb is the group of verbs about the config.
func (a *app) configVerb() *cli.Command {
	return &cli.Command{
		Name:     "config",
		Aliases:  []string{"c"},
		Usage:    "see and change what this machine should be",
		Category: "The machine",
		Description: `The config is put together from layers; what you change here is
/var/lib/rancher/conf/cloud-config.yml. "ros c" is short for "ros config".`,
		Metadata: examples(
			"ros config get hostname",
			"sudo ros config set hostname edge-7",
			"ros config show rancher.network --layers",
		),
		Commands: []*cli.Command{
			a.configGetVerb(),
			a.configShowVerb(),
			a.configDiffVerb(),
			a.configExportVerb(),
			a.configImagesVerb(),
			a.configSetVerb(),
			a.configUnsetVerb(),
			a.configMergeVerb(),
			a.configEditVerb(),
			a.configApplyVerb(),
			a.configConfirmVerb(),
			a.configRollbackVerb(),
			a.configValidateVerb(),
			a.configSchemaVerb(),
			a.configGenerateVerb(),
			a.configSyslinuxVerb(),
		},
	}
}

const (
	lookAtConfig = "Look at the config"
	changeConfig = "Change it"
	configFiles  = "Files and tools"
)

func (c client) config(ctx context.Context) (out control.ConfigView, err error) {
	return out, c.ask(ctx, "GET", "/v1/config", nil, &out)
}

func (c client) previewConfig(ctx context.Context, write control.ConfigWrite) (out control.ConfigPreview, err error) {
	return out, c.ask(ctx, "POST", "/v1/config/preview", write, &out)
}

func (c client) writeConfig(ctx context.Context, write control.ConfigWrite) (out control.ConfigApplied, err error) {
	return out, c.ask(ctx, "POST", "/v1/config/write", write, &out)
}

// changeConfig does one of the POST verbs that need no more words.
func (c client) changeConfig(ctx context.Context, verb string) (out control.ConfigApplied, err error) {
	return out, c.ask(ctx, "POST", "/v1/config/"+verb, struct{}{}, &out)
}

// needRoot refuses a verb that only root may do.
func (a *app) needRoot(doing string) error {
	if a.uid == 0 {
		return nil
	}
	return &fault{err: fmt.Errorf("cannot %s: needs root", doing), try: "sudo " + typed(a.argv), code: exitFailed}
}

// typed is a command line as it has to be typed.
func typed(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		if word == "" || strings.ContainsAny(word, " \t\n\"'\\$`*?[]{}()<>|&;#~!") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words[i] = word
	}
	return strings.Join(words, " ")
}

// unreachable says whether err means that rosd does not run.
func (a *app) unreachable(err error) bool {
	f := new(fault)
	return errors.As(a.explain("ask", err), &f) && f.code == exitUnreachable
}

// schemaKey is a key of the schema as it was typed, in parts and under its own
// name; known: there is one.
type schemaKey struct {
	path  []string
	is    config.Key
	known bool
}

// findKey looks a dotted key up.
func findKey(name string) schemaKey {
	keys := map[string]config.Key{}
	for _, k := range config.Keys() {
		keys[k.Name] = k
		parent := k.Name[:strings.LastIndex(k.Name, ".")+1]
		for _, also := range k.Also {
			keys[parent+also] = k
		}
	}
	found := schemaKey{path: config.Split(name)}
	pattern, within := "", config.Key{Section: true, Type: "mapping"}
	for i, part := range found.path {
		k, ok := keys[pattern+part]
		if !ok {
			k, ok = keys[pattern+"NAME"]
		} else {
			found.path[i] = k.Name[strings.LastIndex(k.Name, ".")+1:]
		}
		if !ok {
			// Below a table of texts, or a service, there are no keys of ours.
			found.known = within.Type != "mapping" && strings.HasPrefix(within.Type, "mapping") || within.Type == "anything"
			return found
		}
		pattern, within = k.Name+".", k
	}
	found.is, found.known = within, len(found.path) > 0
	return found
}

// unknownKey says which key was probably meant.
func unknownKey(doing, name string) error {
	var names []string
	for _, k := range config.Keys() {
		if !strings.Contains(k.Name, "[]") {
			names = append(names, k.Name)
		}
	}
	try := "ros config show"
	if near := nearest(name, names); near != "" {
		try = fmt.Sprintf("%q; ros config schema has all keys", near)
	}
	return &fault{err: fmt.Errorf("cannot %s %q: there is no such key", doing, name), try: try, code: exitFailed}
}

// oneKey is the argument of a verb that takes one key.
func oneKey(cmd *cli.Command) (string, error) {
	if cmd.Args().Len() != 1 || cmd.Args().First() == "" {
		return "", usage(cmd.FullName()+" --help", "cannot %s: name one key, such as hostname", cmd.Name)
	}
	return cmd.Args().First(), nil
}

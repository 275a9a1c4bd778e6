package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
)

func (a *app) completionVerb() *cli.Command {
	return &cli.Command{
		Name:     "completion",
		Usage:    "print what makes a shell complete verbs, names and keys",
		Category: "This program",
		Metadata: examples("source <(ros completion bash)"),
		Commands: []*cli.Command{{
			Name:     "bash",
			Usage:    "print the completion script for bash",
			Metadata: examples("source <(ros completion bash)", "ros completion bash > /usr/share/bash-completion/completions/ros"),
			Action: func(_ context.Context, cmd *cli.Command) error {
				if err := noArguments(cmd); err != nil {
					return err
				}
				_, err := io.WriteString(a.stdout, bashCompletion(cmd.Root()))
				return err
			},
		}},
	}
}

// bashCompletion is a script that knows the tree of verbs and the keys of the
// config by heart and asks ros for the names of services. It needs nothing but bash.
func bashCompletion(root *cli.Command) string {
	var cases strings.Builder
	writeCases(&cases, root, root.Name)
	return fmt.Sprintf(bashTemplate, cases.String(), strings.Join(typedKeys(), " "))
}

// typedKeys are the keys of the config as far as they can be typed: up to a
// name that the operator gives.
func typedKeys() []string {
	var keys []string
	for _, k := range config.Keys() {
		if strings.Contains(k.Name, "[]") {
			continue
		}
		name, _, _ := strings.Cut(k.Name, "NAME")
		keys = append(keys, name)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// writeCases writes one case per command: what can follow it.
func writeCases(b *strings.Builder, cmd *cli.Command, path string) {
	var words []string
	for _, sub := range cmd.VisibleCommands() {
		words = append(words, sub.Name)
	}
	var flags, takeValue []string
	for _, f := range cmd.VisibleFlags() {
		for _, name := range f.Names() {
			flags = append(flags, dashed(name))
			if doc, ok := f.(cli.DocGenerationFlag); ok && doc.TakesValue() {
				takeValue = append(takeValue, dashed(name))
			}
		}
	}
	names := ""
	switch {
	case path == "ros engine create": // a name that nothing has
	case strings.Contains(cmd.ArgsUsage, engineUsage), strings.HasPrefix(path, "ros engine rm"):
		names = "engines"
	case cmd.ArgsUsage == catalogNames:
		names = catalogKinds[cmd.Name]
	case strings.Contains(cmd.ArgsUsage, "NAME"):
		names = "services"
	case strings.Contains(cmd.ArgsUsage, "CONSOLE"):
		names = "consoles"
	case strings.Contains(cmd.ArgsUsage, "KEY"):
		names = "keys"
	case strings.Contains(cmd.ArgsUsage, "FILE"):
		names = "files"
	}
	fmt.Fprintf(b, "        %q) verbs=%q flags=%q values=%q names=%q ;;\n",
		path, strings.Join(words, " "), strings.Join(flags, " "), strings.Join(takeValue, " "), names)
	for _, sub := range cmd.VisibleCommands() {
		writeCases(b, sub, path+" "+sub.Name)
	}
}

// catalogKinds are what the verbs of catalogs can be told: what is not enabled
// yet, what is, and what is kept, enabled or not.
var catalogKinds = map[string]string{"enable": "available", "disable": "enabled", "delete": "kept", "update": "kept"}

const bashTemplate = `# Completion of ros for bash. Printed by "ros completion bash".

_ros_tree() {
    case "$1" in
%s        *) return 1 ;;
    esac
}

_ros_keys="%s"

# What "ros service list" has of the catalogs that a verb can be told.
_ros_catalog() {
    local state name _ from
    while read -r state name _ _ from; do
        case "$1 $state" in
            "available disabled"|"enabled enabled"|"kept enabled") echo "$name" ;;
            "kept disabled") [[ "$from" != - ]] && echo "$name" ;;
        esac
    done < <(ros service list --all 2>/dev/null)
}

_ros() {
    local verbs flags values names
    local at=ros word i cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
    _ros_tree "$at"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        [[ "$at $word" == "ros s" ]] && word=service
        [[ "$at $word" == "ros c" ]] && word=config
        _ros_tree "$at $word" && at="$at $word"
    done
    COMPREPLY=()
    if [[ "$cur" != -* && " $values " == *" $prev "* && "$prev" == -* ]]; then
        if [[ " --svg -i --input -o --output " == *" $prev "* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
        return
    fi
    if [[ "$cur" == -* ]]; then
        verbs="$flags"
    elif [[ "$names" == services ]]; then
        verbs="$(ros service ps -q 2>/dev/null)"
    elif [[ "$names" == engines ]]; then
        verbs="$(ros engine list -q 2>/dev/null)"
    elif [[ "$names" == consoles ]]; then
        verbs="$(ros console list -q 2>/dev/null)"
    elif [[ "$names" == available && "$cur" == */* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    elif [[ "$names" == available || "$names" == enabled || "$names" == kept ]]; then
        verbs="$(_ros_catalog "$names")"
    elif [[ "$names" == keys ]]; then
        verbs="$_ros_keys"
    elif [[ "$names" == files ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
    [[ "${COMPREPLY[*]}" == *. ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -F _ros ros
`

package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
)

func TestHelp(t *testing.T) {
	root := newApp(t, nil).try("ros --help")
	golden(t, "testdata/help.txt", root.out)
	for _, line := range []string{"ros", "ros help", "ros h", "ros -h"} {
		check(t, newApp(t, nil), line, root)
	}

	logs := newApp(t, nil).try("ros service logs --help")
	golden(t, "testdata/help-service-logs.txt", logs.out)
	for _, line := range []string{"ros help service logs", "ros h s logs", "ros service help logs", "ros s logs -h", "ros service logs ntp --help"} {
		check(t, newApp(t, nil), line, logs)
	}

	service := newApp(t, nil).try("ros service")
	golden(t, "testdata/help-service.txt", service.out)
	check(t, newApp(t, nil), "ros help s", service)
	check(t, newApp(t, nil), "ros s help", service)

	check(t, newApp(t, nil), "ros help service log", result{code: 2, err: `ros: cannot run "log": "ros service" has no such verb
try: ros service logs
`})

	shutdown := newApp(t, nil).try("shutdown --help")
	golden(t, "testdata/help-shutdown.txt", shutdown.out)
}

// Help fits a terminal, says what it is about and shows how.
func TestEveryHelp(t *testing.T) {
	eachCommand(newApp(t, nil).root(), "ros", func(cmd *cli.Command, path string) {
		t.Run(path, func(t *testing.T) {
			got := newApp(t, nil).try(path + " --help")
			if got.code != 0 || got.err != "" || !strings.HasPrefix(got.out, path+": "+cmd.Usage) {
				t.Fatalf("%s --help ends with %d, %q and begins %.60q", path, got.code, got.err, got.out)
			}
			lines := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
			if len(lines) > 44 {
				t.Errorf("%s --help is %d lines, want at most 44", path, len(lines))
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > 80 {
					t.Errorf("%s --help has a line of %d characters, want at most 80: %s", path, n, line)
				}
			}
			if cmd.Usage == "" || len(examplesOf(cmd)) == 0 {
				t.Errorf("%s lacks a usage or an example", path)
			}
		})
	})
}

// Every example of the help names a verb that there is.
func TestExamplesAreVerbs(t *testing.T) {
	root := newApp(t, nil).root()
	eachCommand(root, "ros", func(cmd *cli.Command, path string) {
		for _, line := range examplesOf(cmd) {
			words := strings.Fields(strings.NewReplacer("sudo ", "", "source <(", "", ")", "").Replace(line))
			if words[0] == "ros" {
				words = words[1:]
			}
			at := root
			for _, word := range words {
				if next := at.Command(word); next != nil {
					at = next
				}
			}
			if len(at.Commands) > 0 {
				t.Errorf("example %q of %q names no verb", line, path)
			}
		}
	})
}

// eachCommand calls do with every command of a tree and what to type for it.
func eachCommand(cmd *cli.Command, path string, do func(cmd *cli.Command, path string)) {
	do(cmd, path)
	for _, sub := range cmd.Commands {
		eachCommand(sub, path+" "+sub.Name, do)
	}
}

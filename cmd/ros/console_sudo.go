package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/control"
)

// sudoName is the name by which this program is the sudo of consoles whose image
// has none.
const sudoName = "sudo"

const sudoUse = "sudo [-u USER] [-i | -s | NAME=VALUE… PROGRAM [ARGUMENT…]]"

// sudo has rosd run a program as root in the same console. It reads of sudo's
// words those that people and scripts use; rosd knows who may.
func (a *app) sudo(ctx context.Context, argv []string) int {
	q, done, err := readSudo(argv[1:])
	if err != nil {
		fmt.Fprintf(a.stderr, "sudo: %v\nusage: %s\n", err, sudoUse)
		return exitUsage
	}
	if done {
		return 0
	}
	q.Env, q.Terminal = console.Pass(a.environ()), a.allTerminal()
	q.Size = sizeFor(q.Terminal)
	if dir, err := os.Getwd(); err == nil {
		q.Dir = dir
	}
	t, err := a.door().talk(ctx, "POST", "/v1/console/sudo", q)
	if err != nil {
		fmt.Fprintf(a.stderr, "sudo: %v\n", err)
		return exitFailed
	}
	return a.report(sudoName, a.attach(t, true, q.Terminal))
}

// readSudo reads the words; done: there is nothing to do.
func readSudo(words []string) (q control.Sudo, done bool, err error) {
	for len(words) > 0 {
		word := words[0]
		switch {
		case word == "--":
			q.Args = words[1:]
			return q, false, enough(q)
		case word == "-u" || word == "--user":
			if len(words) < 2 {
				return q, false, fmt.Errorf("%s needs a user", word)
			}
			q.User, words = words[1], words[1:]
		case strings.HasPrefix(word, "--user="):
			q.User = strings.TrimPrefix(word, "--user=")
		case word == "-i" || word == "--login":
			q.Login = true
		case word == "-s" || word == "--shell":
			q.Shell = true
		case word == "-n", word == "-E", word == "-H", word == "-S", word == "-k" && len(words) > 1,
			word == "--non-interactive", word == "--preserve-env", word == "--set-home":
		case word == "-v", word == "-k", word == "-K":
			return q, true, nil
		case strings.HasPrefix(word, "-"):
			return q, false, fmt.Errorf("%s is not known here; the sudo of an image knows more", word)
		case strings.Contains(word, "=") && !strings.HasPrefix(word, "/"):
			q.Set = append(q.Set, word)
		default:
			q.Args = words
			return q, false, nil
		}
		words = words[1:]
	}
	return q, false, enough(q)
}

func enough(q control.Sudo) error {
	if len(q.Args) == 0 && !q.Shell && !q.Login {
		return fmt.Errorf("no program is named")
	}
	return nil
}

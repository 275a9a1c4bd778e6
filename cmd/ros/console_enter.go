package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/control"
)

// door is where a login asks to be let into the console.
func (a *app) door() client { return client{a.consoleSocket} }

// atOnce is how soon a shell that cannot work ends.
const atOnce = 2 * time.Second

// copies matches what scp and rsync of old run here to send and take files. The
// console may not have them, and the files are in homes, which are the machine's.
var copies = regexp.MustCompile(`^scp (-\S+ )*-[tf] `)

// enter is the shell that people have while logins go on in another console. It
// never keeps anybody out: when the console gives no shell, it becomes the one
// that is theirs in the default console.
func (a *app) enter(ctx context.Context, argv []string) int {
	command := ""
	for i, word := range argv {
		if word == "-c" && i+1 < len(argv) {
			command = argv[i+1]
		}
	}
	if copies.MatchString(command) {
		return a.defaultShell(argv, command)
	}
	terminal := a.allTerminal()
	t, err := a.door().talk(ctx, "POST", "/v1/console/enter", control.Enter{
		Command: command, Env: console.Pass(a.environ()), Terminal: terminal, Size: sizeFor(terminal),
	})
	if err != nil {
		return a.stay(argv, command, err.Error())
	}
	started := a.now()
	typed := &watched{Reader: a.stdin}
	err = a.attachTo(t, typed, terminal)
	var f *fault
	switch {
	case err == nil:
		return 0
	case errors.As(err, &f) && f.err == nil:
		if command == "" && terminal && !typed.any.Load() && a.now().Sub(started) < atOnce {
			return a.stay(argv, command, fmt.Sprintf("its shell ended at once with %d", f.code))
		}
		return f.code
	}
	return a.report("ros", err)
}

// watched remembers whether anything was read.
type watched struct {
	io.Reader
	any atomic.Bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.any.Store(true)
	}
	return n, err
}

// stay says why a login is in the default console.
func (a *app) stay(argv []string, command, why string) int {
	fmt.Fprintf(a.stderr, "ros: cannot enter the console: %s\nros: this is the default console; ros console list shows the others\n", why)
	return a.defaultShell(argv, command)
}

// defaultShell becomes the shell that somebody has in the default console.
func (a *app) defaultShell(argv []string, command string) int {
	shell := a.ownShell()
	args := []string{"-" + filepath.Base(shell)}
	if command != "" || len(argv) > 1 {
		args = append([]string{filepath.Base(shell)}, argv[1:]...)
	}
	env := append(a.environ(), "SHELL="+shell)
	err := a.turnInto(shell, args, env)
	fmt.Fprintf(a.stderr, "ros: cannot start %s: %v\n", shell, err)
	return exitFailed
}

// ownShell is the shell of who runs this, as the machine's table has it.
func (a *app) ownShell() string {
	const otherwise = "/bin/bash"
	text, _ := os.ReadFile(a.accounts) // there is none: the usual shell will do
	t := console.Tables{Passwd: text}
	account, err := t.FindAccount(a.uid)
	if err != nil {
		return otherwise
	}
	if info, err := os.Stat(account.Shell); err != nil || info.Mode()&0o111 == 0 || strings.HasSuffix(account.Shell, "/nologin") {
		return otherwise
	}
	return account.Shell
}

// allTerminal says whether input, output and errors are one. Where one of them
// is not, they have to stay apart.
func (a *app) allTerminal() bool {
	for _, s := range []any{a.stdin, a.stdout, a.stderr} {
		if f, ok := s.(*os.File); !ok || !isTerminal(f) {
			return false
		}
	}
	return true
}

// execProgram replaces this program by another one.
func execProgram(path string, args, env []string) error { return syscall.Exec(path, args, env) }

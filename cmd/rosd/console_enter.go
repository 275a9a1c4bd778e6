package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	// enterWait is how long a login waits for a console that is on its way up.
	enterWait = 10 * time.Second
	// shellBound is how long a shell may take that has nothing to do.
	shellBound = 20 * time.Second
	operator   = 1100
)

var errDefault = errors.New("logins are in the default console")

// Enter implements server.Consoles: a shell of the console for somebody whom
// the machine knows.
func (c *consoles) Enter(ctx context.Context, uid int, q control.Enter) (*containers.Session, error) {
	service := c.service()
	if service == "" {
		return nil, errDefault
	}
	root, err := c.up(ctx, service)
	if err != nil {
		return nil, err
	}
	account, err := c.tables().FindAccount(uid)
	if err != nil {
		return nil, err
	}
	p, err := console.Login(root, account, q.Command, q.Env)
	if err != nil {
		return nil, err
	}
	return c.runtime.ExecAs(ctx, service, containers.Command{
		Args: p.Args, Env: p.Env, WorkingDir: p.Dir, Terminal: q.Terminal, Input: true, Rows: q.Rows, Columns: q.Columns,
	}, containers.Identity{UID: account.UID, GID: account.GID, Groups: account.Groups})
}

// Sudo implements server.Consoles.
func (c *consoles) Sudo(ctx context.Context, uid int, q control.Sudo) (*containers.Session, error) {
	service := c.service()
	if service == "" {
		return nil, errDefault
	}
	account, err := c.tables().FindAccount(uid)
	if err == nil {
		err = console.MayBeRoot(account, c.login("sudoers.d/config"))
	}
	if err != nil {
		return nil, err
	}
	root, err := c.up(ctx, service)
	if err != nil {
		return nil, err
	}
	command := containers.Command{Args: q.Args, User: q.User, WorkingDir: q.Dir, Terminal: q.Terminal, Input: true, Rows: q.Rows, Columns: q.Columns}
	if command.User == "" {
		command.User = "root"
	}
	if q.Shell || q.Login {
		shell, err := console.Shell(root, "")
		if err != nil {
			return nil, err
		}
		command.Args = []string{shell}
		if q.Login {
			command.Args, command.WorkingDir = append(command.Args, "-l"), "/"
		}
		if len(q.Args) > 0 {
			command.Args = append(command.Args, "-c", strings.Join(q.Args, " "))
		}
	}
	command.Env = append(console.SudoEnv(account, command.User, command.Args, q.Env), q.Set...)
	return c.runtime.Exec(ctx, service, command)
}

// up waits for a console and says where its files are.
func (c *consoles) up(ctx context.Context, service string) (root string, err error) {
	ctx, cancel := context.WithTimeout(ctx, enterWait)
	defer cancel()
	for {
		s, err := c.supervisor.Service(service)
		switch {
		case err != nil:
			return "", err
		case s.State == supervise.Running || s.State == supervise.Healthy:
			return rootOf(s.Pid), nil
		case s.State != supervise.Waiting && s.State != supervise.Starting && s.State != supervise.Stopping:
			return "", fmt.Errorf("service %s is %s: %s", service, s.State, s.Reason)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("service %s is %s", service, s.State)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// login is a file of the machine about logins.
func (c *consoles) login(name string) []byte {
	text, _ := os.ReadFile(filepath.Join(c.root, "run/ros/login", name)) // without it nobody is known
	return text
}

// tables are the machine's accounts, with the shells that they really have.
func (c *consoles) tables() console.Tables {
	t := console.Tables{Passwd: c.login("console/passwd"), Group: c.login("group")}
	if len(t.Passwd) == 0 {
		t.Passwd = c.login("passwd")
	}
	return t
}

// works finds out whether the operator gets a shell in a console.
func (c *consoles) works(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, shellBound)
	defer cancel()
	if err := c.gives(ctx, console.Service(name)); err != nil {
		return fmt.Errorf("the image gives no shell: %w", err)
	}
	return nil
}

// tryShell is a login that says a word and goes.
func (c *consoles) tryShell(ctx context.Context, service string) error {
	root, err := c.up(ctx, service)
	if err != nil {
		return err
	}
	account, err := c.tables().FindAccount(operator)
	if err != nil {
		return err
	}
	p, err := console.Login(root, account, "", nil)
	if err != nil {
		return err
	}
	const word = "roster-console-works"
	session, err := c.runtime.ExecAs(ctx, service, containers.Command{
		Args: append(p.Args, "-c", "echo "+word), Env: p.Env, WorkingDir: p.Dir,
	}, containers.Identity{UID: account.UID, GID: account.GID, Groups: account.Groups})
	if err != nil {
		return err
	}
	defer session.Close()
	return heard(ctx, session, word)
}

// heard waits for the end of a session that is to print a word.
func heard(ctx context.Context, session *containers.Session, word string) error {
	var said, complaint head
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(&said, session.Output) })
		both.Go(func() { _, _ = io.Copy(&complaint, session.Errors) })
		both.Wait()
	}()
	code, err := session.Wait(ctx)
	session.Drained(copied)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("no end after %s", shellBound)
	case err != nil:
		return err
	case code != 0 || !strings.Contains(string(said), word):
		return fmt.Errorf("it ends with %d: %s", code, strings.TrimSpace(string(said)+string(complaint)))
	}
	return nil
}

// head keeps as much of what a shell says as anybody reads.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	const enough = 1 << 10
	*h = append(*h, p[:min(len(p), enough-len(*h))]...)
	return len(p), nil
}

// dress makes a container that is about to start a console, if it is to be one.
func (c *consoles) dress(service, root string) {
	if !strings.HasPrefix(service, console.Service("")) {
		return
	}
	if s := c.files.service(service); !c.isConsole(s) {
		return
	}
	if err := console.Dress(root, c.tables()); err != nil {
		c.log.Warn("a console starts without all of it", "service", service, "error", err)
	}
}

// isConsole says whether a service is one that was taken in as a console.
func (c *consoles) isConsole(s compose.Service) bool {
	return s.File != "" && filepath.Dir(filepath.Dir(s.File)) == filepath.Clean(c.kept.Dir)
}

// accounts tells the console in use of those that are new.
func (c *consoles) accounts() {
	service := c.service()
	if service == "" {
		return
	}
	if s, err := c.supervisor.Service(service); err == nil && s.Pid != 0 {
		c.dress(service, rootOf(s.Pid))
	}
}

// persistent says whether what is written to a console's files stays.
func (c *consoles) persistent(name string) bool {
	services, _ := compose.Load(c.file(name))
	return len(services) == 1 && services[0].Persistent && !c.configs.config().Rancher.ForceConsoleRebuild
}

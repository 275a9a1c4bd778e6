package supervise

import (
	"context"
	"errors"
	"time"

	"github.com/rosteros/ros/internal/compose"
)

// Runtime starts and finds containers. Package containers implements it over
// containerd; tests use a fake.
//
// It never retries and keeps no policy: that is what this package is for.
// When containerd is down, calls fail with an error marked by Down, or wait
// for it to come back within their context. An error that the next try cannot
// heal, such as a missing image, is marked by Permanent, and one that time
// heals by NotYet. Any other error of
// Start counts as a run that failed, and the restart policy decides.
type Runtime interface {
	// Start makes the container of a service anew (a leftover of the same name
	// is removed first), starts it and returns its task. When it fails, also
	// because ctx has ended, it leaves nothing behind.
	Start(ctx context.Context, svc compose.Service) (Task, error)

	// Running lists the tasks that exist now, by service name, also those that
	// ended while no rosd was there to see it (their Exited is closed
	// already). rosd calls it once when it starts and adopts what it finds.
	Running(ctx context.Context) (map[string]Task, error)

	// Remove deletes the stopped container of a service and its writable
	// layer, also a persistent one. A container that does not exist is no error.
	Remove(ctx context.Context, svc compose.Service) error

	// DefinitionHash identifies a definition and the image it names; see
	// Task.Hash.
	DefinitionHash(svc compose.Service) (string, error)

	// Spec is the OCI runtime spec that Start would use, as JSON.
	Spec(svc compose.Service) ([]byte, error)
}

// Task is a started container.
type Task interface {
	Pid() int
	StartedAt() time.Time

	// Hash identifies the definition and the image that the task was started
	// with; it equals DefinitionHash of an unchanged service.
	Hash() string

	// Exited is closed when the process has ended. It survives a containerd
	// restart: the implementation reconnects and asks again.
	Exited() <-chan struct{}

	// ExitCode is the status of the ended process; 128+n after signal n, as a
	// shell says it. It is 255 when the shim died and nobody knows.
	ExitCode() int

	// Signal sends a signal to the main process, or to all of them.
	Signal(ctx context.Context, signal string, all bool) error

	// Exec runs argv beside the main process, for health checks. The output
	// is at most the last 4 KiB of stdout and stderr together.
	Exec(ctx context.Context, argv []string, timeout time.Duration) (exitCode int, output string, err error)

	// Delete removes the ended task and container from containerd, but not what
	// a service with a persistent root has written.
	Delete(ctx context.Context) error
}

// Mortal is a Task that can go down with what runs it. It is then no failure of
// the service: it starts again when what it depends on has.
type Mortal interface {
	// Lost says so. It is true before Exited is closed, and before Exited of
	// any other task that was lost with it is.
	Lost() bool
}

func lost(t Task) bool {
	m, ok := t.(Mortal)
	return ok && m.Lost()
}

// Down marks an error of a Runtime or a Task as "containerd does not answer";
// the text stays as it is. Down(nil) is nil.
func Down(err error) error { return mark(err, classDown) }

// IsDown says whether containerd did not answer, so that the call is worth
// repeating and says nothing about the service.
func IsDown(err error) bool { return hasClass(err, classDown) }

// Permanent marks an error that trying again cannot heal; the text stays as it
// is. Permanent(nil) is nil.
func Permanent(err error) error { return mark(err, classPermanent) }

// IsPermanent says whether the service cannot start until somebody changes
// something.
func IsPermanent(err error) bool { return hasClass(err, classPermanent) }

// NotYet marks an error whose text is what the service waits for and need not
// do anything about; the text stays as it is. NotYet(nil) is nil.
func NotYet(err error) error { return mark(err, classNotYet) }

// IsNotYet says whether the service cannot start now and will be able to, by
// itself.
func IsNotYet(err error) bool { return hasClass(err, classNotYet) }

type class int

const (
	classDown class = iota + 1
	classPermanent
	classNotYet
)

type classified struct {
	error
	class class
}

func (c classified) Unwrap() error { return c.error }

func mark(err error, c class) error {
	if err == nil {
		return nil
	}
	return classified{err, c}
}

func hasClass(err error, c class) bool {
	var marked classified
	return errors.As(err, &marked) && marked.class == c
}

// marked is the text of the error that was marked, without what was laid
// around it later.
func marked(err error) string {
	var m classified
	if errors.As(err, &m) {
		return m.Error()
	}
	return err.Error()
}

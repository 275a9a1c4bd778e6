package containers

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/fifo"
	"golang.org/x/sys/unix"
)

// stdio are the pipes of a process that somebody sits in front of. The shim
// opens their other ends.
type stdio struct {
	dir                    string
	input                  io.WriteCloser // nil: none
	output, errors         io.ReadCloser  // errors is nil with a terminal
	stdin, stdout, stderrs string         // paths; "": none
}

// openStdio makes pipes in a folder of its own. They wait for the shim without
// holding up anybody; cancelling ctx or close ends that.
func openStdio(ctx context.Context, dir string, input, terminal bool) (s *stdio, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s = &stdio{dir: dir}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	open := func(name string, flags int) (io.ReadWriteCloser, string, error) {
		path := filepath.Join(dir, name)
		f, err := fifo.OpenFifo(ctx, path, flags|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
		return f, path, err
	}
	if input {
		if s.input, s.stdin, err = open("stdin", unix.O_WRONLY); err != nil {
			return nil, err
		}
	}
	if s.output, s.stdout, err = open("stdout", unix.O_RDONLY); err != nil {
		return nil, err
	}
	if !terminal {
		if s.errors, s.stderrs, err = open("stderr", unix.O_RDONLY); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stdio) paths() (stdin, stdout, stderr string) { return s.stdin, s.stdout, s.stderrs }

func (s *stdio) close() error {
	var errs []error
	for _, c := range []io.Closer{s.input, s.output, s.errors} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

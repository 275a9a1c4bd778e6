// Command osupdate is the worker for everything that touches disks and slots:
// installing, upgrading, committing, going back. It lives at
// /usr/lib/ros/osupdate and runs on the host root, started by rosd for "ros os"
// and "ros install", by PID 1 on the way down, or by hand in the rescue shell.
//
//	osupdate VERB
//
// Options are one JSON object on standard input (none: the defaults), events
// one JSON object a line on standard output (package osupdate), the log goes to
// standard error. It ends with 0 after a result and with 1 after an error.
//
// SIGTERM, or nobody listening any more, ends what is going on in order. A verb
// whose effect is one write finishes it first.
package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/osupdate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// Whoever starts this may have another idea, or none.
	if err := os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"); err != nil {
		panic(err) // the name has no "=" in it
	}
	signal.Ignore(syscall.SIGPIPE) // a write says so too, and then there is time to clean up
	p := program{
		verbs:  verbs(),
		lock:   osupdate.LockFile,
		stdin:  options(os.Stdin),
		stdout: os.Stdout,
		log:    slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// options is standard input, unless that is a terminal, where nobody has
// options ready: osupdate by hand takes the defaults.
func options(f *os.File) io.Reader {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
		return nil
	}
	return f
}

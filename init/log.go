package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/servicelog"
)

// handoverFiles is what "init log" works with.
type handoverFiles struct {
	socket         string // PID 1's
	dir            string // of the logs, for the case that PID 1 does not take them
	stdout, stderr *os.File
	ready          *os.File
}

// defaultHandover are the descriptors that containerd's shim gives to a log
// program: the read ends of the container's stdout and stderr, and a pipe that
// it waits on before it starts the container.
func defaultHandover() handoverFiles {
	return handoverFiles{
		socket: initctl.Socket, dir: servicelog.Dir,
		stdout: os.NewFile(3, "stdout"), stderr: os.NewFile(4, "stderr"), ready: os.NewFile(5, "ready"),
	}
}

// handoverTime bounds the talk with PID 1; the container does not start before.
const handoverTime = 5 * time.Second

// handover gives a container's output to PID 1 and is done. If PID 1 does not
// take it, this process writes the log itself until the container ends: a
// service with a log that does not survive everything is better than none.
func handover(args []string, h handoverFiles) int {
	service, limits, err := servicelog.ParseArgs(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "init: cannot take over a log: %v\n", err)
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), handoverTime)
	defer cancel()
	err = initctl.Log(ctx, h.socket, service, limits.MaxBytes, limits.Files, h.stdout, h.stderr)
	if err == nil {
		h.sayReady()
		return 0
	}
	// The shim's SIGTERM comes when the container is gone; the pipes say that
	// too, and say it after the last line.
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	sink := servicelog.NewSink(h.dir, slog.New(slog.DiscardHandler))
	_ = sink.Line(service, servicelog.Note, fmt.Sprintf("this log is lost if its writer is killed: %v", err))
	if err := sink.Add(service, servicelog.Stdout, h.stdout, limits); err != nil {
		return 1
	}
	if err := sink.Add(service, servicelog.Stderr, h.stderr, limits); err != nil {
		return 1
	}
	h.sayReady()
	sink.Close(math.MaxInt64)
	return 0
}

// sayReady lets the shim go on: a byte and the end of the pipe, which satisfies
// both forms of its protocol (binary and binary-v2).
func (h handoverFiles) sayReady() {
	_, _ = h.ready.Write([]byte{0})
	_ = h.ready.Close()
}

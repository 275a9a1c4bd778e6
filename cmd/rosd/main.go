// Command rosd keeps the services of the OS running. It is a child of PID 1.
//
// It reads the boot record (/run/ros/boot.json), the config layers and the
// service files, makes the machine what the config says (package apply), starts
// and watches the services through containerd, and answers ros at
// /run/ros/api/rosd.sock. It applies a changed config while the machine runs, takes
// back what nobody confirmed, and keeps the last config with which all was well.
//
// It may be killed at any time: what it started goes on, and the next rosd
// adopts it. Signals:
//
//	SIGTERM, SIGINT  end, and leave every service running
//	SIGPWR           stop every service in order, then end
//	SIGHUP           read the service files again (as "ros service up" does first)
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	// A host pays for what rosd holds: collect early. The limit is far above
	// what it needs and only keeps a leak from becoming the machine's problem.
	debug.SetGCPercent(40)
	debug.SetMemoryLimit(64 << 20)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	power, hup := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(power, syscall.SIGPWR)
	signal.Notify(hup, syscall.SIGHUP)

	level := new(slog.LevelVar)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if err := run(ctx, power, hup, log, level); err != nil {
		fmt.Fprintf(os.Stderr, "rosd: %v\n", err)
		os.Exit(1)
	}
}

// Command ros-datasource finds out what the machine should be and keeps the
// answer. It is the one-shot OS service datasource.
//
// It reads what rosd wrote for it (/run/ros/config/datasource), looks at disks,
// firmware and kernel command line, asks the datasources these point to, and
// makes /var/lib/rancher/conf/datasource what the first of them answers. When
// it is done rosd reads the config again. Without an answer that directory
// stays as an earlier boot has left it: no datasource is no fault, and it ends
// with 0.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/datasource"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))
	s := service{
		root:  "/",
		disks: datasource.LocalDisks{Devices: blockdev.Local(), Dir: "/run/datasource"},
		waits: waits,
		log:   log,
	}
	if err := s.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "ros-datasource: %v\n", err)
		os.Exit(1)
	}
}

// withoutTime leaves the time to the service log, which has one for each line.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

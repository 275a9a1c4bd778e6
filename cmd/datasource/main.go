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
	"github.com/rosteros/ros/internal/servicelog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: servicelog.WithoutTime}))
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

// Command container-cron starts containers of the user's engine at the times of
// their labels, as rancher/container-crontab did:
//
//	cron.schedule         when: "0 */10 * * * *", @hourly, @every 90s
//	cron.action           start (the default), restart or stop
//	cron.restart_timeout  seconds that it has to end; 10
//
// It is the program of the catalog's service of that name. It keeps nothing:
// what there is to do it reads from the engine, again at every change.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rosteros/ros/internal/docker"
)

// socket is the engine's, as the service file mounts it.
const socket = "/run/docker.sock"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // who keeps the log adds it
		}
		return a
	}}))
	j := &jobs{engine: docker.NewClient(socket), log: log, now: time.Now}
	j.run(ctx)
}
